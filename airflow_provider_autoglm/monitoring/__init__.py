"""Looking at what the gateway saw: drift, feedback, and traffic as documents.

Imports settings, state, corpus and training; never Airflow.
"""

"""Operators and DAG templates for the closed loop of a text model: the library below, Airflow on top."""

__version__ = "0.1.0"

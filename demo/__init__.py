"""The demo: real text served on loopback, a real Airflow and MLflow beside it, and one run of the dataset pipeline.

Started by ``python -m demo``. Uses the library like anyone else; nothing in the library knows it.
"""

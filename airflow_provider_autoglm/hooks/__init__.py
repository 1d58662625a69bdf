"""Airflow connections as clients of the library. Imported when a DAG is parsed: nothing heavy at module level."""

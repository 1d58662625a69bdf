"""Documents on storage: the corpus store and the stages that turn one corpus into the next.

May import ``exceptions``, ``settings`` and ``tracking``; never Airflow.
"""

"""Triggers: what waits without a worker. Imported when a DAG is parsed: nothing heavy at module level."""

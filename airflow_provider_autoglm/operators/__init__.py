"""Operators: each resolves its inputs, calls the library, logs to MLflow and returns a reference."""

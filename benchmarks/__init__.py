"""Benchmarks: each module is a script that prints tables, measured against its peers in the same run."""

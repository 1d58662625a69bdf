"""Benchmarks: each module is a script that prints one table, measured against its peer in the same run."""

"""What is measured: each module is one library, used as its documentation shows, imported in a process of its own.

All read the same Parquet shards (``source``, a folder) and write Parquet. ``url`` names a document.
"""

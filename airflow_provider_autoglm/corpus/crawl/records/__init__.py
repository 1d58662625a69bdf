"""Sources that are no web sites: files of records, Common Crawl archives, datasets, tables of a query.

Each is read as a stream of batches and let in as documents; a record that is none becomes a rejected row with its
reason. A query comes in as a :class:`TableSource`.
"""

from airflow_provider_autoglm.corpus.crawl.records.admit import TableSource, admit_files, admit_table_source

__all__ = ["TableSource", "admit_files", "admit_table_source"]

"""The crawl: web sites and Parquet files become documents.

``stage`` runs in the task; ``child`` is the process that visits sites, and alone loads Scrapy and the parsers.
"""

from airflow_provider_autoglm.corpus.crawl.stage import crawl

__all__ = ["crawl"]

"""The crawl: web sites, files, datasets and queries become documents.

Where to look: ``stage`` and ``web`` run in the task, ``records`` reads what is no web site, ``process`` holds the child
and ``job`` is what the two tell each other. In the child, which alone loads Scrapy and the parsers, ``crawler`` puts
Scrapy together: ``spider`` (or ``own_spider``), ``scheduler`` and ``frontier`` for what is visited, ``ledger`` and
``sink`` for what is recorded, ``known`` for what an earlier crawl saw. ``manners``, ``wire``, ``addresses`` and
``resolver`` guard every request, ``guarded_proxy`` those of a browser. ``reader`` and ``page`` make text of an answer.
"""

from airflow_provider_autoglm.corpus.crawl.stage import crawl

__all__ = ["crawl"]

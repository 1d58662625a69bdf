"""Our crawl and clean stages, by the library's calls."""

from __future__ import annotations

from typing import Any

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.crawl import crawl as crawl_stage
from airflow_provider_autoglm.corpus.crawl.known import accept
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import CleanSettings, CrawlSettings

SETTINGS = CrawlSettings(
    contact="benchmark@example.org",
    allow_networks=("127.0.0.0/8",),
    delay_s=0,
    autothrottle=False,
    concurrency=8,
    max_depth=100,
    max_pages=1_000_000,
)


def crawl(url: str, destination: str, *, is_cleaned: bool = True, state: str | None = None) -> dict[str, Any]:
    """Crawl ``url``; the pages kept, and those that were no document or are another page."""
    crawled = crawl_stage([url], f"{destination}/crawl", SETTINGS, state_uri=state)
    if is_cleaned:
        clean(crawled.uri, f"{destination}/clean", CleanSettings(max_rejected_fraction=1))
    corpus = Corpus.open(crawled.uri)
    urls = corpus.to_table(["url"])["url"].to_pylist()
    aside = [
        row for kind in ("rejected", "removed") for row in corpus.to_table(["url", "reason"], kind=kind).to_pylist()
    ]
    return {
        "urls": urls,
        "aside": {row["url"]: row["reason"] for row in aside},
        "unchanged": crawled.unchanged,
        "bytes": crawled.metrics["bytes"],
    }


def crawl_again(url: str, destination: str, *, state: str) -> dict[str, Any]:
    """Crawl what changed since the last such call, whose documents count as published."""
    result = crawl(url, destination, is_cleaned=False, state=state)
    accept(state, f"{destination}/crawl", Storage.local())
    return result

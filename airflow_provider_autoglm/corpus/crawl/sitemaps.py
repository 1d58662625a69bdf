"""Sitemaps: the pages they list, and the further sitemaps an index names (sitemaps.org)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from scrapy.utils.gz import gunzip
from scrapy.utils.sitemap import Sitemap as SitemapReader

from airflow_provider_autoglm.corpus.crawl.urls import resolve_url

log = logging.getLogger(__name__)

MAX_SITEMAP_BYTES = 50 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class SitemapEntries:
    """Normalised addresses."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


def read_sitemap(url: str, body: bytes) -> SitemapEntries:
    """Read a sitemap or an index of them, also gzipped; one that cannot be read is empty and logged."""
    try:
        if body.startswith(_GZIP_MAGIC):
            body = gunzip(body, max_size=MAX_SITEMAP_BYTES)
        reader = SitemapReader(body)
        found = tuple(link for entry in reader if (link := resolve_url(url, entry.get("loc", ""))))
    except Exception as error:
        log.warning("sitemap %s cannot be read (%s)", url, type(error).__name__)
        return SitemapEntries()
    return SitemapEntries(sitemaps=found) if reader.type == "sitemapindex" else SitemapEntries(pages=found)

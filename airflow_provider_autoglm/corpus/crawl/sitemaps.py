"""Sitemaps: the pages they list, and the further sitemaps an index names (sitemaps.org)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scrapy.utils.gz import gunzip
from scrapy.utils.sitemap import Sitemap as SitemapReader

from airflow_provider_autoglm.corpus.crawl.urls import resolve_url

log = logging.getLogger(__name__)

MAX_SITEMAP_BYTES = 50 * 1024 * 1024
_CHARACTERS_OF_A_DATE = 10
_LONGEST_DAY = timedelta(hours=36)
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class SitemapEntries:
    """Normalised addresses; ``changed_at`` of pages is when they last changed at the latest, or null."""

    pages: tuple[tuple[str, datetime | None], ...] = ()
    sitemaps: tuple[str, ...] = ()


def read_sitemap(url: str, body: bytes) -> SitemapEntries:
    """Read a sitemap or an index of them, also gzipped; one that cannot be read is empty and logged."""
    try:
        if body.startswith(_GZIP_MAGIC):
            body = gunzip(body, max_size=MAX_SITEMAP_BYTES)
        reader = SitemapReader(body)
        found = tuple(
            (link, latest_change(entry.get("lastmod")))
            for entry in reader
            if (link := resolve_url(url, entry.get("loc", "")))
        )
    except Exception as error:
        log.warning("sitemap %s cannot be read (%s)", url, type(error).__name__)
        return SitemapEntries()
    if reader.type == "sitemapindex":
        return SitemapEntries(sitemaps=tuple(link for link, _ in found))
    return SitemapEntries(pages=found)


def latest_change(lastmod: str | None) -> datetime | None:
    """The last moment that a W3C date may mean: of a date without a time the end of that day anywhere on earth."""
    if not lastmod:
        return None
    try:
        moment = datetime.fromisoformat(lastmod.strip())
        if len(lastmod.strip()) <= _CHARACTERS_OF_A_DATE:
            moment += _LONGEST_DAY
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

"""What is known of each request next to the wire, also of one that is tried again: proxies, bytes, pauses, sizes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import scrapy
from scrapy import signals
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.exceptions import IgnoreRequest, StopDownload

from airflow_provider_autoglm.corpus.crawl.addresses import AddressGuard, literal_address
from airflow_provider_autoglm.corpus.crawl.manners import REASON, RefusedError
from airflow_provider_autoglm.corpus.crawl.urls import site_of
from airflow_provider_autoglm.settings import CrawlSettings

log = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 600.0
"""Seconds that a site is left alone at most when it asks for it."""

_BYTES = "autoglm_bytes"
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_UNAVAILABLE = 503


class WireMiddleware:
    """Scrapy's downloader middleware behind its retries, redirects and proxies.

    A proxy must be at a public or listed address. Behind it names are resolved by the proxy, so of the addresses that
    are visited only those written as numbers are checked.
    """

    def __init__(self, crawler: Any, settings: CrawlSettings) -> None:
        self._crawler = crawler
        self._max_page_bytes = settings.max_page_bytes
        self._guard = AddressGuard.of(settings.allow_networks)
        self._refused_proxies: set[str] = set()
        crawler.signals.connect(self._bytes_received, signal=signals.bytes_received)

    @classmethod
    def from_crawler(cls, crawler: Any) -> WireMiddleware:
        """Scrapy's way to build a component."""
        return cls(crawler, crawler.job.settings)

    def process_request(self, request: scrapy.Request, spider: Any = None) -> None:
        """:raises RefusedError: if the request would go through a proxy at a private address."""
        request.meta.pop(_BYTES, None)
        proxy = request.meta.get("proxy")
        if not proxy:
            return
        host = urlsplit(proxy).hostname or ""
        address = literal_address(host)
        # Of a name the resolver knows, once somebody has asked it.
        is_refused = host in self._crawler.refused_hosts() if address is None else not self._guard.allows(address)
        if is_refused:
            self._refuse_proxy(host)

    def process_response(self, request: scrapy.Request, response: Any, spider: Any = None) -> Any:
        """Count what came, and leave a site alone that asks for it."""
        self._count(request)
        # What RedirectMiddleware, the next to see the answer, may find.
        request.meta[REASON] = "too_many_redirects"
        if response.status in (_HTTP_TOO_MANY_REQUESTS, _HTTP_UNAVAILABLE):
            seconds = retry_after_s(response.headers.get("Retry-After"))
            if seconds > 0:
                self._crawler.engine.scheduler.pause(site_of(request.url), min(seconds, MAX_RETRY_AFTER_S))
        return response

    def process_exception(self, request: scrapy.Request, exception: Exception, spider: Any = None) -> None:
        """Count what came before it."""
        self._count(request)

    def _count(self, request: scrapy.Request) -> None:
        self._crawler.ledger.count("bytes", request.meta.pop(_BYTES, 0))

    def _bytes_received(self, data: bytes, request: scrapy.Request, spider: Any) -> None:
        received = request.meta.get(_BYTES, 0) + len(data)
        request.meta[_BYTES] = received
        if received > request.meta.get("download_cut", self._max_page_bytes):
            raise StopDownload(fail=False)

    def _refuse_proxy(self, host: str) -> None:
        if host not in self._refused_proxies:
            self._refused_proxies.add(host)
            log.warning("the proxy %s is at a private address that crawl.allow_networks does not list", host)
        raise RefusedError("proxy_refused")


class BoundedCompressionMiddleware(HttpCompressionMiddleware):  # type: ignore[misc]
    """Lets a page of any size begin, and bounds what a compressed one unpacks to.

    Scrapy has one limit for both and refuses a larger page by its Content-Length; here :class:`WireMiddleware` cuts the
    rest off instead.
    """

    def __init__(self, crawler: Any) -> None:
        super().__init__(crawler=crawler)
        self._max_page_bytes = crawler.job.settings.max_page_bytes

    @classmethod
    def from_crawler(cls, crawler: Any) -> BoundedCompressionMiddleware:
        """Scrapy's way to build a component."""
        return cls(crawler)

    def process_request(self, request: scrapy.Request, spider: Any = None) -> None:
        """Say which encodings are understood."""
        request.meta["download_maxsize"] = 0
        super().process_request(request)

    def process_response(self, request: scrapy.Request, response: Any, spider: Any = None) -> Any:
        """Unpack; no middleware hears of what goes wrong here, so the reason is left in ``meta``."""
        request.meta["download_maxsize"] = max(self._max_page_bytes, request.meta.get("download_cut", 0))
        request.meta[REASON] = "bad_encoding"
        try:
            return super().process_response(request, response)
        except IgnoreRequest:
            request.meta[REASON] = "too_large"
            raise


def retry_after_s(value: bytes | None) -> float:
    """Seconds that a ``Retry-After`` header asks for, given as such or as a date; 0 if it cannot be read."""
    text = "" if value is None else value.decode("latin-1").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return 0.0
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())

"""What holds for every request, whichever spider makes it: where it may go, and how often."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

import scrapy
from scrapy import signals
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadTimeoutError,
    IgnoreRequest,
)

from airflow_provider_autoglm.corpus.crawl.addresses import AddressGuard, literal_address
from airflow_provider_autoglm.corpus.crawl.robots import MAX_ROBOTS_BYTES, Robots, read_robots, redirect_of_robots
from airflow_provider_autoglm.corpus.crawl.urls import robots_url, site_of
from airflow_provider_autoglm.settings import CrawlSettings

log = logging.getLogger(__name__)

MAX_REDIRECTS_OF_ROBOTS = 5
REASON = "autoglm_reason"
"""Key of ``Request.meta`` for why there is no answer."""
JAVASCRIPT = "javascript"
"""Key of ``Request.meta`` that asks for the page as its scripts make it."""
TARGET = "javascript_target"
"""Key of ``Request.meta`` for where a script of the page wanted to go."""

_IS_OURS = "autoglm_robots"
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (DownloadTimeoutError, "timeout"),
    (CannotResolveHostError, "dns"),
    (DownloadCancelledError, "too_large"),
    (IgnoreRequest, "too_large"),
)


class RefusedError(IgnoreRequest):  # type: ignore[misc]
    """The request is not made; ``reason`` goes to the rejected row."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class MannersMiddleware:
    """Scrapy's downloader middleware nearest to the engine: robots.txt, addresses, and why there is no answer.

    Every request passes here, also a redirect's and a retry's, and those of a user's own spider.
    """

    def __init__(self, crawler: Any, settings: CrawlSettings) -> None:
        self._crawler = crawler
        self._settings = settings
        self._guard = AddressGuard.of(settings.allow_networks)
        self._robots: dict[str, asyncio.Future[Robots]] = {}
        crawler.manners = self
        crawler.signals.connect(self._reached_downloader, signal=signals.request_reached_downloader)

    @classmethod
    def from_crawler(cls, crawler: Any) -> MannersMiddleware:
        """Scrapy's way to build a component."""
        return cls(crawler, crawler.job.settings)

    async def robots_of(self, url: str) -> Robots:
        """What robots.txt of the site of ``url`` says; asked for once."""
        site = site_of(url)
        if site not in self._robots:
            self._robots[site] = asyncio.ensure_future(self._fetch_robots(robots_url(url)))
        return await asyncio.shield(self._robots[site])

    async def process_request(self, request: scrapy.Request, spider: Any = None) -> None:
        """:raises RefusedError: if the request must not be made."""
        parts = urlsplit(request.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RefusedError("scheme")
        if parts.username is not None:
            raise RefusedError("credentials")
        address = literal_address(parts.hostname)
        if address is not None and not self._guard.allows(address):
            raise RefusedError("private_address")
        request.meta["download_slot"] = site_of(request.url)
        if not self._settings.obey_robots or request.meta.get(_IS_OURS):
            return
        robots = await self.robots_of(request.url)
        refusal = robots.reason_against(request.url, self._settings.user_agent)
        if refusal is not None:
            raise RefusedError(refusal)
        if robots.crawl_delay_s(self._settings.user_agent):
            request.meta["autothrottle_dont_adjust_delay"] = True

    def process_response(self, request: scrapy.Request, response: Any, spider: Any = None) -> Any:
        """Remember what it is; called when no other middleware tries again."""
        request.meta["autoglm_status"] = response.status
        request.meta.pop(REASON, None)
        return response

    def process_exception(self, request: scrapy.Request, exception: Exception, spider: Any = None) -> None:
        """Remember why there is no answer; called when no other middleware tries again."""
        request.meta[REASON] = self._reason(request, exception)

    def _reason(self, request: scrapy.Request, exception: Exception) -> str:
        if isinstance(exception, RefusedError):
            return exception.reason
        refused = self._crawler.refused_hosts()
        if urlsplit(request.meta.get("proxy") or "").hostname in refused:
            return "proxy_refused"
        if urlsplit(request.url).hostname in refused:
            return "private_address"
        return next((reason for kind, reason in _REASONS if isinstance(exception, kind)), "connection_failed")

    def _reached_downloader(self, request: scrapy.Request, spider: Any) -> None:
        future = self._robots.get(site_of(request.url))
        if future is None or not future.done() or not self._settings.obey_robots:
            return
        delay = future.result().crawl_delay_s(self._settings.user_agent)
        slot = self._crawler.engine.downloader.slots.get(request.meta["download_slot"])
        if slot is not None and delay > slot.delay:
            slot.delay = delay
            slot.concurrency = 1

    async def _fetch_robots(self, url: str) -> Robots:
        is_moved = False
        for _ in range(MAX_REDIRECTS_OF_ROBOTS + 1):
            meta = {_IS_OURS: True, "dont_redirect": True, "download_cut": MAX_ROBOTS_BYTES}
            request = scrapy.Request(url, meta=meta)
            try:
                response = await self._crawler.engine.download_async(request)
            except Exception as error:
                reason = self._reason(request, error)
                return Robots(refusal="robots_unavailable" if is_moved or reason == "too_large" else reason)
            target = redirect_of_robots(response)
            if target is None:
                break
            url, is_moved = target, True
        return read_robots(response)


def status_of(request: scrapy.Request) -> int | None:
    """The HTTP status that a request was answered with, or None."""
    status: int | None = request.meta.get("autoglm_status")
    return status


def reason_of(request: scrapy.Request) -> str:
    """Why a request got no answer."""
    return str(request.meta.get(REASON, "connection_failed"))

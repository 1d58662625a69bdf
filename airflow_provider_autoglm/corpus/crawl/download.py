"""One request through Scrapy's downloader: retries, time limits, compression and politeness are Scrapy's."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import scrapy
from scrapy import exceptions
from scrapy.crawler import AsyncCrawlerProcess

from airflow_provider_autoglm.settings import CrawlSettings

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.DownloadTimeoutError, "timeout"),
    (exceptions.CannotResolveHostError, "dns"),
    (exceptions.DownloadCancelledError, "too_large"),
    # With robots, cookies and redirects left to us, only a body that grows too large when unpacked is ignored.
    (exceptions.IgnoreRequest, "too_large"),
)


@dataclass(frozen=True)
class Answer:
    """What a server sent; redirects are not followed."""

    url: str
    status: int
    content_type: str
    location: str | None
    etag: str | None
    last_modified: str | None
    body: bytes


class DownloadFailedError(Exception):
    """No answer that could be used: ``timeout``, ``dns``, ``too_large`` or ``connection_failed``."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


Download = Callable[[str, int], Awaitable[Answer]]
"""Takes an address and the bytes to accept at most; raises :class:`DownloadFailedError`."""


def run_with_downloader(
    settings: CrawlSettings, sites: int, main: Callable[[Download], Coroutine[Any, Any, None]]
) -> bool:
    """Run ``main`` in Scrapy's event loop; return False if SIGTERM cancelled it before its end.

    Can be called once in a process: a Twisted reactor does not start again.
    """
    process = AsyncCrawlerProcess(_scrapy_settings(settings, sites))
    # Scrapy sets its logger to DEBUG and tells of every page; what becomes of a page is in the corpus.
    logging.getLogger("scrapy").setLevel(logging.WARNING)
    crawler = process.create_crawler(_Downloader)
    process.crawl(crawler, main=main)
    process.start(install_signal_handlers=False)
    task: asyncio.Task[None] | None = getattr(crawler.spider, "task", None)
    if task is None:
        raise RuntimeError("Scrapy ended before the crawl began")
    if task.cancelled():
        return False
    task.result()
    return True


class _Downloader(scrapy.Spider):  # type: ignore[misc]
    name = "autoglm"

    def __init__(self, main: Callable[[Download], Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self._main = main

    async def start(self) -> AsyncIterator[Any]:
        """Scrapy keeps its engine open while this runs; nothing goes through its scheduler."""
        self.task = asyncio.create_task(self._main(self._download))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.task.cancel)
        await asyncio.wait([self.task])
        no_requests: tuple[scrapy.Request, ...] = ()
        for request in no_requests:
            yield request

    async def _download(self, url: str, max_bytes: int) -> Answer:
        request = scrapy.Request(url, meta={"download_maxsize": max_bytes})
        try:
            response = await self.crawler.engine.download_async(request)
        except Exception as error:
            reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "connection_failed")
            raise DownloadFailedError(reason) from error
        return Answer(
            url=response.url,
            status=response.status,
            content_type=_header(response, "Content-Type") or "",
            location=_header(response, "Location"),
            etag=_header(response, "ETag"),
            last_modified=_header(response, "Last-Modified"),
            body=response.body,
        )


def _header(response: Any, name: str) -> str | None:
    value: bytes | None = response.headers.get(name)
    return None if value is None else value.decode("latin-1")


def _scrapy_settings(settings: CrawlSettings, sites: int) -> dict[str, Any]:
    return {
        "CONCURRENT_REQUESTS": settings.concurrency * sites,
        "CONCURRENT_REQUESTS_PER_DOMAIN": settings.concurrency,
        "COOKIES_ENABLED": False,
        "DOWNLOAD_DELAY": settings.delay_s,
        "DOWNLOAD_DELAY_JITTER": 0,
        "DOWNLOAD_TIMEOUT": settings.timeout_s,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        "DOWNLOAD_WARNSIZE": 0,
        "LOG_ENABLED": False,
        "LOG_INSTALL_ROOT_HANDLER": False,
        "LOG_VERSIONS": [],
        "LOGSTATS_INTERVAL": 0,
        "MEMUSAGE_ENABLED": False,
        "METAREFRESH_ENABLED": False,
        "REDIRECT_ENABLED": False,
        "REFERER_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "RETRY_GIVE_UP_LOG_LEVEL": "DEBUG",
        "RETRY_TIMES": settings.retries,
        "ROBOTSTXT_OBEY": False,
        "STATS_DUMP": False,
        "TELNETCONSOLE_ENABLED": False,
        "USER_AGENT": settings.user_agent,
    }

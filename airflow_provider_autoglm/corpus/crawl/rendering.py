"""Pages as their scripts make them: what was downloaded is opened in a browser, and its document taken instead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

import scrapy
from scrapy import signals
from scrapy.http import HtmlResponse
from scrapy_playwright.handler import ScrapyPlaywrightDownloadHandler

from airflow_provider_autoglm.corpus.crawl.addresses import AddressGuard
from airflow_provider_autoglm.corpus.crawl.browser import BrowserProvider
from airflow_provider_autoglm.corpus.crawl.browser_page import BrowserPage, Drawn
from airflow_provider_autoglm.corpus.crawl.guarded_proxy import GuardedProxy, Ticket
from airflow_provider_autoglm.corpus.crawl.manners import JAVASCRIPT, REASON, TARGET, RefusedError
from airflow_provider_autoglm.settings import CrawlSettings

log = logging.getLogger(__name__)

_HTTP_OK = range(200, 300)
_SECONDS_TO_CLOSE = 10.0
_CUT = "download_stopped"
"""Scrapy's flag of a response that is not whole."""


class RenderingMiddleware:
    """Scrapy's downloader middleware that has HTML pages drawn by a browser, for requests whose ``meta`` asks for it.

    The page itself comes from Scrapy's downloader, with all guards and manners, and is handed to the browser; what its
    scripts load comes through a :class:`GuardedProxy`, as far as robots.txt allows. Each page has a browser context of
    its own, which begins without cookies and ends with the page.
    """

    def __init__(self, crawler: Any, settings: CrawlSettings) -> None:
        self._crawler = crawler
        self._settings = settings
        self._proxy = GuardedProxy(AddressGuard.of(settings.allow_networks), timeout_s=settings.timeout_s)
        self._turn = asyncio.Semaphore(settings.concurrency)
        self._handler = ScrapyPlaywrightDownloadHandler(crawler)
        self._handler.browser_provider_cls = partial(BrowserProvider, proxy=self._proxy)
        crawler.signals.connect(self._proxy.open, signal=signals.engine_started)
        crawler.signals.connect(self._close, signal=signals.engine_stopped)
        # It tells of every page, and of one that fails with a traceback.
        logging.getLogger("scrapy-playwright").setLevel(logging.ERROR)

    @classmethod
    def from_crawler(cls, crawler: Any) -> RenderingMiddleware:
        """Scrapy's way to build a component."""
        return cls(crawler, crawler.job.settings)

    async def process_response(self, request: scrapy.Request, response: Any, spider: Any = None) -> Any:
        """The page as its scripts make it; what is no HTML, or no page, is left as it is.

        :raises RefusedError: if the browser cannot draw it.
        """
        is_page = response.status in _HTTP_OK and isinstance(response, HtmlResponse)
        if not (is_page and request.meta.get(JAVASCRIPT)):
            return response
        async with self._turn:
            for _ in range(1 + max(1, self._settings.retries)):
                try:
                    return await self._rendered(request, response)
                except TimeoutError:
                    raise _refused(request, "timeout") from None
                except Exception as error:
                    # Of playwright, whose classes do not tell what died; its messages may quote the page.
                    log.warning("the browser gave up %s (%s)", response.url, type(error).__name__)
        raise _refused(request, "browser_crashed")

    async def _rendered(self, request: scrapy.Request, response: Any) -> Any:
        with self._proxy.ticket(self._settings.max_page_bytes) as ticket:
            try:
                drawn = await self._drawn(response, ticket)
            finally:
                self._crawler.ledger.count("bytes", ticket.bytes)
        request.meta[TARGET] = drawn.target
        body = drawn.html.encode("utf-8", "replace")
        is_cut = ticket.is_used_up or len(body) > self._settings.max_page_bytes
        headers = response.headers.copy()
        headers["Content-Type"] = "text/html; charset=utf-8"
        flags = [*response.flags, *([_CUT] if is_cut else [])]
        return response.replace(body=body, headers=headers, flags=flags, encoding="utf-8")

    async def _drawn(self, response: Any, ticket: Ticket) -> Drawn:
        name = uuid4().hex
        try:
            async with asyncio.timeout(self._settings.timeout_s + self._settings.javascript_wait_s):
                page = BrowserPage(await self._blank_page(name, ticket), self._may_visit)
                return await page.draw(
                    response, wait_s=self._settings.javascript_wait_s, max_characters=self._settings.max_page_bytes
                )
        finally:
            await self._close_context(name)

    async def _blank_page(self, name: str, ticket: Ticket) -> Any:
        blank = scrapy.Request(
            "about:blank",
            meta={
                "playwright": True,
                "playwright_include_page": True,
                "playwright_context": name,
                "playwright_context_kwargs": {
                    "accept_downloads": False,
                    "locale": "en-US",
                    "proxy": {"server": self._proxy.url, "username": "page", "password": ticket.password},
                    "service_workers": "block",
                    "user_agent": self._settings.full_user_agent,
                },
            },
        )
        browser = getattr(self._handler, "browser", None)
        try:
            answer = await self._handler.download_request(blank)
        except Exception:
            if browser is None:
                raise
            await self._forget(browser)
            answer = await self._handler.download_request(blank)
        return answer.meta["playwright_page"]

    async def _may_visit(self, url: str) -> bool:
        if not self._settings.obey_robots:
            return True
        robots = await self._crawler.manners.robots_of(url)
        return robots.reason_against(url, self._settings.user_agent) is None

    async def _close_context(self, name: str) -> None:
        wrapper = self._handler.context_wrappers.pop(name, None)
        if wrapper is not None:
            await _in_time(wrapper.context.close())

    async def _forget(self, browser: Any) -> None:
        """Have another browser started; scrapy-playwright keeps one whose driver is gone."""
        await _in_time(browser.close())
        if getattr(self._handler, "browser", None) == browser:
            del self._handler.browser

    async def _close(self) -> None:
        await _in_time(self._handler.close())
        await self._proxy.close()


def _refused(request: scrapy.Request, reason: str) -> RefusedError:
    request.meta[REASON] = reason
    return RefusedError(reason)


async def _in_time(ending: Awaitable[Any]) -> None:
    """Await the end of something that may have ended already, or never does."""
    with suppress(Exception):
        async with asyncio.timeout(_SECONDS_TO_CLOSE):
            await ending

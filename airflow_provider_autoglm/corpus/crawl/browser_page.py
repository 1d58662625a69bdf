"""One page in a browser: what it may ask for, when it is ready, and what it says then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.async_api import Error
from playwright.async_api import TimeoutError as WaitedEnoughError

from airflow_provider_autoglm.corpus.crawl.page import decode_html
from airflow_provider_autoglm.corpus.crawl.urls import normalise_url, without_credentials

if TYPE_CHECKING:
    from playwright.async_api import Page, Request, Route

MAX_REQUESTS = 1_000
MAX_HOSTS = 30
"""What a page may ask for at most, besides itself: each new host is asked for its robots.txt first."""

_NOT_LOADED = frozenset({"image", "media", "font", "texttrack", "ping", "beacon", "cspviolationreport", "prefetch"})
_HEADERS_KEPT = ("Content-Security-Policy", "Referrer-Policy")

# Shared workers ask past the routes of a page. The browser is started without UDP; the other names are for one that
# knows that switch by another name.
_WITHOUT = """
for (const name of ['SharedWorker', 'RTCPeerConnection', 'webkitRTCPeerConnection', 'WebTransport']) delete self[name]
"""

# A browser shows no noscript, and readers of the document would take it for text.
_DOCUMENT = """(() => {
  document.querySelectorAll('noscript').forEach(element => element.remove());
  return '<!DOCTYPE html>' + document.documentElement.outerHTML.slice(0, %d);
})()"""


class PageCrashedError(Exception):
    """The process that drew the page is gone."""


@dataclass(frozen=True)
class Drawn:
    """What a page came to: its document, at most as many characters as asked for, and where a script wanted to go."""

    html: str
    target: str | None


class BrowserPage:
    """Draws one page that was downloaded already, in ``page``, which is blank and belongs to it alone.

    What scripts ask for is loaded where ``may_visit`` says so of its address. Frames, images, fonts and the like are
    not loaded. The document stays: where a script or ``meta refresh`` goes is noted instead.
    """

    def __init__(self, page: Page, may_visit: Callable[[str], Awaitable[bool]]) -> None:
        self._page = page
        self._may_visit = may_visit
        self._document: dict[str, Any] | None = None
        self._target: str | None = None
        self._requests = 0
        self._hosts: set[str] = set()

    async def draw(self, response: Any, *, wait_s: float, max_characters: int) -> Drawn:
        """Open a downloaded ``response``; take the document once its network is quiet, after ``wait_s`` at the latest.

        Does not return while a script keeps the page busy.

        :raises PageCrashedError: if the page's process dies.
        :raises Error: of playwright, if the browser does.
        """
        self._url = response.url
        self._document = _as_answer(response)
        return await self._unless_crashed(self._draw(wait_s, max_characters))

    async def _draw(self, wait_s: float, max_characters: int) -> Drawn:
        await self._page.add_init_script(_WITHOUT)
        await self._page.route("**", self._route)
        await self._page.goto(self._url, wait_until="commit")
        with suppress(WaitedEnoughError):
            await self._page.wait_for_load_state("networkidle", timeout=wait_s * 1000)
        return Drawn(await self._html(max_characters), self._target)

    async def _html(self, max_characters: int) -> str:
        """The document as the browser has it, read where the page's scripts cannot interfere."""
        session = await self._page.context.new_cdp_session(self._page)
        tree = await session.send("Page.getFrameTree")
        world = await session.send("Page.createIsolatedWorld", {"frameId": tree["frameTree"]["frame"]["id"]})
        found = await session.send(
            "Runtime.evaluate",
            {
                "expression": _DOCUMENT % max_characters,
                "contextId": world["executionContextId"],
                "returnByValue": True,
            },
        )
        return str(found["result"].get("value", ""))

    async def _unless_crashed(self, work: Coroutine[Any, Any, Drawn]) -> Drawn:
        """Playwright waits for the answer of a process that is gone."""
        task = asyncio.ensure_future(work)
        is_crashed = False

        def crash(page: Page) -> None:
            nonlocal is_crashed
            is_crashed = True
            task.cancel()

        self._page.once("crash", crash)
        try:
            return await task
        except asyncio.CancelledError:
            if is_crashed:
                raise PageCrashedError from None
            raise

    async def _route(self, route: Route, request: Request) -> None:
        # What fails here fails because the page is over.
        with suppress(Error):
            if request.is_navigation_request():
                await self._navigate(route, request)
            elif request.resource_type not in _NOT_LOADED and await self._may_load(request.url):
                await route.continue_()
            else:
                await route.abort()

    async def _navigate(self, route: Route, request: Request) -> None:
        if self._document is not None:
            document, self._document = self._document, None
            await route.fulfill(**document)
            return
        if request.frame == self._page.main_frame and self._target is None:
            target = normalise_url(without_credentials(request.url))
            self._target = None if target == normalise_url(self._url) else target
        # After any other error the browser would show that in place of the page.
        await route.abort("aborted")

    async def _may_load(self, url: str) -> bool:
        parts = urlsplit(url)
        self._requests += 1
        self._hosts.add(parts.netloc)
        is_within = self._requests <= MAX_REQUESTS and len(self._hosts) <= MAX_HOSTS
        return is_within and parts.scheme in ("http", "https") and await self._may_visit(url)


def _as_answer(response: Any) -> dict[str, Any]:
    """Arguments of ``Route.fulfill``; a page that a browser would save instead of showing it is shown."""
    headers = {name: response.headers[name].decode("latin-1") for name in _HEADERS_KEPT if name in response.headers}
    cookies = [value.decode("latin-1") for value in response.headers.getlist("Set-Cookie")]
    if cookies:
        headers["Set-Cookie"] = "\n".join(cookies)
    return {
        "status": response.status,
        "headers": headers | {"Content-Type": "text/html; charset=utf-8"},
        "body": decode_html(response.headers.get("Content-Type", b"").decode("latin-1"), response.body).text,
    }

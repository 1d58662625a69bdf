"""Chromium for pages that are made by JavaScript: finding it, starting it with few rights, starting it again."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error, async_playwright
from scrapy_playwright.provider import PlaywrightBrowserProvider

from airflow_provider_autoglm.corpus.crawl.guarded_proxy import GuardedProxy
from airflow_provider_autoglm.exceptions import BrowserUnavailableError

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserType

MAX_PROCESS_BYTES = 1536 * 1024 * 1024
"""Memory that each process of the browser may write to (``RLIMIT_DATA``): a page that wants more breaks off."""

_NOWHERE = "http://127.0.0.1:9"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "FONTCONFIG_PATH", "FONTCONFIG_FILE")
"""What the browser inherits; the rest of a worker's environment holds secrets."""

_SANDBOX_FAILED = ("No usable sandbox", "Failed to move to new namespace")

_ARGUMENTS = (
    # All that is left to the browser itself is to dial its proxy; loopback too goes by the proxy, which refuses it.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--proxy-bypass-list=<-loopback>",
    "--disable-quic",
    # The first name is that of Chromium and Chrome, the other one that of playwright's headless shell.
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)
_PLAYWRIGHT_ALLOWS = ["--disable-popup-blocking"]


def check_browser() -> None:
    """Start the browser once and end it, so that a crawl does not begin without.

    :raises BrowserUnavailableError: if there is none, or it does not start.
    """
    # A thread of its own: the caller may run in an event loop, which playwright would not share.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _try_out()).result()


async def _try_out() -> None:
    async with async_playwright() as playwright:
        try:
            browser = await launch(playwright.chromium, _NOWHERE)
        except Error as error:
            raise BrowserUnavailableError(_problem(playwright.chromium, error.message)) from None
        await browser.close()


async def launch(chromium: BrowserType, proxy: str) -> Browser:
    """Start playwright's own Chromium if it is installed, else the one on ``PATH``.

    Its sandbox is on unless this process runs as root, where Chromium has none.

    :raises Error: of playwright, if it does not start.
    """
    return await chromium.launch(
        executable_path=_on_path(chromium),
        chromium_sandbox=os.geteuid() != 0,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        # Each page has a password of its own for it; what the browser does of itself has none.
        proxy={"server": proxy},
        args=_ARGUMENTS,
        ignore_default_args=_PLAYWRIGHT_ALLOWS,
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
    )


class BrowserProvider(PlaywrightBrowserProvider):  # type: ignore[misc]
    """Starts the browser for scrapy-playwright, behind ``proxy`` and with bounded memory."""

    def __init__(self, config: Any, *, proxy: GuardedProxy) -> None:
        super().__init__(config)
        self._proxy = proxy

    async def start(self) -> None:
        """Start playwright's driver, whose children inherit its limits."""
        with _bounded_memory():
            await super().start()

    async def launch_browser(self) -> Browser:
        """Start a browser, and the driver as well if that is gone."""
        try:
            return await self._launch()
        except Exception:
            with suppress(Exception):
                await self.close()
            await self.start()
            return await self._launch()

    async def _launch(self) -> Browser:
        assert self.browser_type is not None
        return await launch(self.browser_type, self._proxy.url)


def _on_path(chromium: BrowserType) -> str | None:
    """The browser to start where playwright's own, which is taken with None, is not installed."""
    if os.path.exists(chromium.executable_path):
        return None
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def _problem(chromium: BrowserType, message: str) -> str:
    executable = _on_path(chromium)
    if executable is None and not os.path.exists(chromium.executable_path):
        return "none is installed here"
    if any(sign in message for sign in _SANDBOX_FAILED):
        return f"{executable or chromium.executable_path} cannot set up its sandbox here"
    return f"{executable or chromium.executable_path} does not start ({message.strip().splitlines()[0]})"


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """Let processes that are started within have :data:`MAX_PROCESS_BYTES` of memory each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [MAX_PROCESS_BYTES, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

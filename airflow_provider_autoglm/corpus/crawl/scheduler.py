"""Scrapy's scheduler over the frontier: what is handed out, and when a visit is over."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy.core.scheduler import BaseScheduler
from scrapy.utils.request import request_from_dict

from airflow_provider_autoglm.corpus.crawl.frontier import Found, Visit
from airflow_provider_autoglm.corpus.crawl.ledger import Ledger
from airflow_provider_autoglm.corpus.crawl.urls import normalise_url, site_of
from airflow_provider_autoglm.exceptions import OwnSpiderError

log = logging.getLogger(__name__)

VISIT = "autoglm_visit"
"""Key of ``Request.meta`` that holds the number of the visit, or of the visit that a spider found the request in."""

_OURS = "autoglm_"
_FINISHED = "finished"
_BROKEN_OFF = {"start_error": "its start() failed, so that requests of it may be missing", "shutdown": "Scrapy gave up"}


class FrontierScheduler(BaseScheduler):  # type: ignore[misc]
    """Hands out the frontier's addresses, and settles a visit once Scrapy has worked through all that it brought.

    A request that comes back from a downloader middleware (a retry, a redirect) is the same visit again. Requests of a
    user's own spider are kept as JSON, so their callbacks are methods of the spider and ``meta`` and ``cb_kwargs`` hold
    JSON values.

    Errors raised here would be lost in Scrapy's log: ``failure`` is the first one, and nothing is recorded after it.
    """

    def __init__(self, crawler: Any) -> None:
        self._failure: Exception | None = None
        self._crawler = crawler
        self._ledger: Ledger = crawler.ledger
        self._under_way: dict[int, scrapy.Request] = {}
        self._again: dict[int, scrapy.Request] = {}
        self._paused_until: dict[str, float] = {}
        crawler.frontier_scheduler = self

    @classmethod
    def from_crawler(cls, crawler: Any) -> FrontierScheduler:
        """Scrapy's way to build a component."""
        return cls(crawler)

    @property
    def failure(self) -> Exception | None:
        """Why the crawl cannot go on."""
        return self._failure or self._ledger.failure

    def fail(self, problem: str) -> None:
        """End the crawl, since the spider does what cannot be recorded; the first ``problem`` is told."""
        self._failure = self._failure or OwnSpiderError(type(self._spider).__name__, problem)

    def open(self, spider: scrapy.Spider) -> None:
        """Remember whose requests these are."""
        self._spider = spider

    def has_pending_requests(self) -> bool:
        """Whether anything is left to visit."""
        self._settle_finished()
        return self.failure is None and not self._ledger.is_over

    def enqueue_request(self, request: scrapy.Request) -> bool:
        """Take a request of the spider's own, or one that is to be made again."""
        if self.failure is not None:
            return False
        key = request.meta.get(VISIT)
        if key in self._under_way and self._under_way[key] not in self._crawler.engine.scraper.slot.active:
            del self._under_way[key]
            self._again[key] = request
            self._ledger.put_back(key)
            return True
        return self._enqueue_new(request, found_in=key)

    def next_request(self) -> scrapy.Request | None:
        """The next request, or None while none can be made."""
        self._settle_finished()
        if self.failure is not None:
            return None
        try:
            return self._next_request()
        except Exception as error:
            self._failure = error
            return None

    def _next_request(self) -> scrapy.Request | None:
        now = time.monotonic()
        free = {site: until <= now for site, until in self._paused_until.items()}
        while (visit := self._ledger.take(free)) is not None and self._is_settled_unasked(visit):
            pass
        if visit is None:
            return None
        request = self._again.pop(visit.key, None) or self._request(visit)
        request.meta[VISIT] = visit.key
        self._under_way[visit.key] = request
        return request

    def pause(self, site: str, seconds: float) -> None:
        """Ask nothing of a site for some time, because it said so (``Retry-After``)."""
        self._paused_until[site] = max(self._paused_until.get(site, 0), time.monotonic() + seconds)
        asyncio.get_running_loop().call_later(seconds, self._ask_for_more)

    def _ask_for_more(self) -> None:
        """Have Scrapy call :meth:`next_request`; by itself it does so every five seconds when nothing happens."""
        slot = self._crawler.engine._slot
        if slot is not None:
            slot.nextcall.schedule()

    def close(self, reason: str) -> None:
        """Scrapy calls this when all that was under way is over; a spider may have had enough (``CloseSpider``)."""
        if reason in _BROKEN_OFF:
            self.fail(f"{_BROKEN_OFF[reason]}; see the log above")
        elif reason != _FINISHED:
            self._ledger.halt("close_spider")
        self.settle_all()

    def settle_all(self) -> None:
        """Settle what Scrapy is through with, and commit; ``failure`` says if storage refused."""
        self._settle_finished()
        if self.failure is None:
            try:
                self._ledger.commit()
            except Exception as error:
                self._failure = error

    def _settle_finished(self) -> None:
        if self.failure is not None:
            return
        in_progress = self._crawler.engine._slot.inprogress
        finished = [key for key, request in self._under_way.items() if request not in in_progress]
        for key in finished:
            request = self._under_way.pop(key)
            try:
                if self._crawler.item_rows is not None:
                    self._crawler.item_rows.over(request)
                self._ledger.settle(key)
            except Exception as error:
                self._failure = error
                return

    def _enqueue_new(self, request: scrapy.Request, *, found_in: int | None) -> bool:
        """Remember a request of the spider's own; the visit that it was ``found_in`` has left its marks in ``meta``."""
        for name in [name for name in request.meta if name.startswith(_OURS)]:
            del request.meta[name]
        url = normalise_url(request.url)
        if url is None:
            log.warning("a request of the spider is left out: only http and https, without credentials, is visited")
            self._ledger.count("left/no_web_address")
            return False
        try:
            stored = _stored(request, self._spider)
        except (TypeError, ValueError) as error:
            self.fail(
                f"a request for {url} cannot be kept until its turn ({error}); its callbacks must be methods of the "
                "spider, its meta and cb_kwargs JSON values"
            )
            return False
        found = Found(
            url=url,
            site=site_of(url),
            kind="request",
            depth=int(request.meta.get("depth", 0)),
            priority=request.priority,
            request=stored,
            name=self._name(request, found_in),
        )
        self._ledger.find([found])
        return True

    def _is_settled_unasked(self, visit: Visit) -> bool:
        """Whether a sitemap spares us to ask for a page."""
        if visit.request is not None or not self._spider.is_spared(visit):
            return False
        self._ledger.settle(visit.key)
        return True

    def _request(self, visit: Visit) -> scrapy.Request:
        if visit.request is not None:
            return self._restored(visit.request)
        return self._spider.request_for(visit)

    def _restored(self, stored: bytes) -> scrapy.Request:
        fields = json.loads(stored)
        fields["body"] = fields["body"].encode("latin-1")
        fields["headers"] = {
            name: [value.encode("latin-1") for value in values] for name, values in fields["headers"].items()
        }
        try:
            return request_from_dict(fields, spider=self._spider)
        except ValueError as error:
            problem = f"a request that an earlier try has kept cannot be made ({error}); crawl to another destination"
            raise OwnSpiderError(type(self._spider).__name__, problem) from None

    def _name(self, request: scrapy.Request, found_in: int | None) -> str:
        """What tells requests for one address apart.

        With ``dont_filter`` a page may ask for one again, also for itself, and ``start()`` for another callback. A page
        that is visited once more, since the process was killed, or ``start()``, which runs again, must not count again.
        """
        name = ""
        if request.method != "GET" or request.body:
            name = self._crawler.request_fingerprinter.fingerprint(request).hex()
        if request.dont_filter and (request.callback or request.cb_kwargs or found_in):
            callback = getattr(request.callback, "__name__", "")
            name = json.dumps([name, callback, request.cb_kwargs, found_in], sort_keys=True)
        return name


class FoundInMiddleware:
    """Scrapy's spider middleware that tells the scheduler in which visit a request was found."""

    async def process_spider_output(self, response: Any, result: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """What a callback returned, its requests marked."""
        async for found in result:
            if isinstance(found, scrapy.Request):
                found.meta[VISIT] = response.request.meta[VISIT]
            yield found


def _stored(request: scrapy.Request, spider: scrapy.Spider) -> bytes:
    """A request as JSON.

    :raises TypeError: if it holds something else.
    :raises ValueError: if its callback is no method of the spider.
    """
    fields = request.to_dict(spider=spider)
    fields["body"] = fields["body"].decode("latin-1")
    fields["headers"] = {
        name.decode("latin-1"): [value.decode("latin-1") for value in values]
        for name, values in fields["headers"].items()
    }
    return json.dumps(fields).encode()

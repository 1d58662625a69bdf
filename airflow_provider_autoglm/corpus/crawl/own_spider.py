"""A user's own Scrapy spider: its items become rows, with the frontier, the guards and the output of every crawl."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import scrapy
from itemadapter import ItemAdapter
from scrapy import signals
from scrapy.logformatter import LogFormatter, LogFormatterResult
from scrapy.utils.misc import load_object

from airflow_provider_autoglm.corpus.crawl.job import OwnSpider, Prefix
from airflow_provider_autoglm.corpus.crawl.ledger import Ledger
from airflow_provider_autoglm.corpus.crawl.manners import reason_of, status_of
from airflow_provider_autoglm.corpus.crawl.scheduler import VISIT
from airflow_provider_autoglm.corpus.crawl.sink import CrawledRow, Placed
from airflow_provider_autoglm.corpus.crawl.urls import without_credentials
from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA
from airflow_provider_autoglm.exceptions import SettingsError

_HTTP_OK = range(200, 300)
_TEXTS = ("url", "source", "title", "text", "canonical_url", "charset")
_TAKEN = (*_TEXTS, "published_at")
_NOT_TAKEN = frozenset({*CRAWL_SCHEMA.names, "reason", "stage"} - {*_TAKEN})


def load_spider(own: OwnSpider) -> type[scrapy.Spider]:
    """The spider's class.

    :raises SettingsError: if there is no such class, or it is no spider.
    """
    try:
        found = load_object(own.path)
    except (ImportError, NameError, ValueError) as error:
        raise SettingsError([f"spider = {own.path!r}: cannot be imported ({error})"]) from None
    if not (isinstance(found, type) and issubclass(found, scrapy.Spider)):
        raise SettingsError([f"spider = {own.path!r}: is no subclass of scrapy.Spider"])
    return found


class ItemlessLogFormatter(LogFormatter):  # type: ignore[misc]
    """Scrapy's log without the texts of items."""

    def item_error(
        self, item: Any, exception: BaseException, response: Any, spider: scrapy.Spider
    ) -> LogFormatterResult:
        """Name the page of an item that a pipeline tripped over."""
        return {"level": logging.ERROR, "msg": "Error processing an item of %(page)s", "args": {"page": response}}


class ItemRows:
    """Listens to what becomes of items and requests, and gives the ledger a row of each.

    An item needs the field ``text``; ``url`` (default: the address of its page), ``title``, ``source``,
    ``published_at``, ``charset`` and ``canonical_url`` are taken too, and its other fields become text columns, as
    ``item_<name>`` where a crawl has a column of that name already. A page without an item is a removed row
    ``no_item``, one without an answer a rejected row.
    """

    def __init__(self, crawler: Any, ledger: Ledger) -> None:
        self._ledger = ledger
        self._crawler = crawler
        crawler.signals.connect(self._scraped, signal=signals.item_scraped)
        crawler.signals.connect(self._dropped, signal=signals.item_dropped)
        crawler.signals.connect(self._failed, signal=signals.item_error)
        crawler.signals.connect(self._broken, signal=signals.spider_error)

    def over(self, request: scrapy.Request) -> None:
        """A request is done with: now it has a row, if only one that says why it has no other."""
        status = status_of(request)
        self._ledger.count("answered", status is not None)
        if self._ledger.has_rows(request.meta[VISIT]):
            return
        if status is None:
            self._place(request, None, "rejected/", reason_of(request))
        elif status in _HTTP_OK:
            self._place(request, None, "removed/", "no_item")
        else:
            self._place(request, None, "rejected/", f"http_{status}")

    def _scraped(self, item: Any, response: Any, spider: Any) -> None:
        if self._has_no_page(response):
            return
        if not ItemAdapter.is_item(item):
            self._place(response.request, response, "rejected/", "item_error")
            return
        fields = {str(name): value for name, value in ItemAdapter(item).asdict().items()}
        extra = tuple((_column(name), _text(value)) for name, value in fields.items() if name not in _TAKEN)
        row = replace(_row(response.request, response), **_columns(fields))
        is_empty = not (row.text or "").strip()
        placed = Placed(row, "rejected/", "missing_text", extra) if is_empty else Placed(row, extra=extra)
        self._ledger.place(response.request.meta[VISIT], placed)

    def _dropped(self, item: Any, response: Any, exception: Exception, spider: Any) -> None:
        if not self._has_no_page(response):
            self._place(response.request, response, "removed/", "dropped")

    def _failed(self, item: Any, response: Any, failure: Any, spider: Any) -> None:
        if not self._has_no_page(response):
            self._place(response.request, response, "rejected/", "item_error")

    def _broken(self, failure: Any, response: Any, spider: Any) -> None:
        if response is not None:  # else start() failed, and the crawl with it
            self._place(response.request, response, "rejected/", "spider_error")

    def _has_no_page(self, response: Any) -> bool:
        if response is None:
            self._crawler.frontier_scheduler.fail(
                "its start() yields an item, which would be there once more after each retry; yield it from a callback"
            )
        return response is None

    def _place(self, request: scrapy.Request, response: Any, prefix: Prefix, reason: str) -> None:
        self._ledger.place(request.meta[VISIT], Placed(_row(request, response), prefix, reason))


def _row(request: scrapy.Request, response: Any) -> CrawledRow:
    """What is known of a visit without its item; errbacks have a failure in place of the response."""
    body = getattr(response, "body", None)
    # A redirect may lead to an address with credentials, which is refused.
    url = without_credentials(request.url)
    host = urlsplit(url).netloc
    return CrawledRow(
        url=url,
        source=str(request.meta.get("source") or host),
        depth=int(request.meta.get("depth", 0)),
        host=host,
        fetched_at=datetime.now(UTC),
        final_url=getattr(response, "url", None),
        status=status_of(request),
        content_sha256=None if body is None else hashlib.sha256(body).hexdigest(),
    )


def _column(name: str) -> str:
    return f"item_{name}" if name in _NOT_TAKEN else name


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of an item that are columns; a time is a ``datetime`` or ISO 8601, UTC if it says nothing else."""
    columns: dict[str, Any] = {name: _text(fields[name]) for name in _TEXTS if fields.get(name) is not None}
    if (published := fields.get("published_at")) is not None:
        columns["published_at"] = _time(published)
    return columns


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    # Half of a surrogate pair is no text that can be written.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _time(value: Any) -> datetime | None:
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)

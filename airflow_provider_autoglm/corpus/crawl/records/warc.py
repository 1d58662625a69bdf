"""Web archives: responses become pages as in a crawl, conversions (Common Crawl's WET files) are text already."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import io
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa

from airflow_provider_autoglm.corpus.crawl.records.batch import INVALID_ENCODING, NOINDEX, Batch
from airflow_provider_autoglm.corpus.crawl.records.files import SourceFile
from airflow_provider_autoglm.corpus.crawl.records.http_body import decoded_body
from airflow_provider_autoglm.corpus.crawl.records.streams import open_bytes
from airflow_provider_autoglm.corpus.crawl.records.values import parse_time
from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA
from airflow_provider_autoglm.corpus.shards import ROWS_OF_A_GROUP
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import DamagedSourceError, MissingExtraError
from airflow_provider_autoglm.settings import CrawlSettings
from airflow_provider_autoglm.settings.base import redact_userinfo

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

    from airflow_provider_autoglm.corpus.crawl.page import Page

log = logging.getLogger(__name__)

_CHARACTERS_OF_A_BATCH = 16 * 1024 * 1024
_HTTP_OK = range(200, 300)
_NEEDED = ("fastwarc", "resiliparse", "selectolax")


def read_web_archive(file: SourceFile, key: str, storage: Storage, settings: CrawlSettings) -> Iterator[Batch]:
    """Batches of the pages and texts of a WARC or WET file, with the columns of a crawl and ``key`` as source.

    Records of requests and other things about the archive are no rows; the log says how many of each there are. Of a
    page the first ``max_page_bytes`` are read.

    :raises DamagedSourceError: if the file is no web archive, or ends in the middle of a record.
    :raises MissingExtraError: if what reads archives or pages is not installed.
    """
    for module in _NEEDED:
        if find_spec(module) is None:
            raise MissingExtraError(module, "crawl")
    from fastwarc.warc import ArchiveIterator

    rows = _Rows(key)
    skipped: Counter[str] = Counter()
    with open_bytes(file.uri, file.compression, storage) as opened, closing(_Pages(settings)) as pages:
        # Its own auto_decode ends the file, without an error, at the first body that is not what its header says.
        for record in ArchiveIterator(cast("BinaryIO", _Counted(opened)), parse_http=True):
            kind = _kind_of(record)
            body = _body_of(file.uri, record, 0 if kind is None else settings.max_page_bytes + 1)
            if kind is None:
                skipped[record.headers.get("WARC-Type") or "unknown"] += 1
            else:
                rows.add(*_row_of(record, kind, body, pages))
            if rows.is_full:
                yield rows.take()
    log.info("%s: records that are no pages: %s", file.uri, dict(skipped) or "none")
    yield rows.take()


class _Pages:
    """Reads pages as the crawl of a site does: one that keeps a parser busy is given up."""

    def __init__(self, settings: CrawlSettings) -> None:
        from airflow_provider_autoglm.corpus.crawl.reader import PageReader

        self.max_bytes = settings.max_page_bytes
        self.obeys_noindex = settings.obey_noindex
        self._reader = PageReader(extractor=settings.extractor, timeout_s=settings.parse_timeout_s)
        self._runner = asyncio.Runner()

    def read(self, url: str, content_type: str, body: bytes, *, is_truncated: bool, robots_tag: str) -> Page:
        reading = self._reader.read(url, content_type, body, is_truncated=is_truncated, robots_tag=robots_tag)
        return self._runner.run(reading)

    def close(self) -> None:
        self._runner.run(self._reader.close())
        self._runner.close()


class _Rows:
    """Pages gathered into tables with the columns of a crawl."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._rows: list[dict[str, Any]] = []
        self._reasons: list[str | None] = []
        self._characters = 0

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= ROWS_OF_A_GROUP or self._characters >= _CHARACTERS_OF_A_BATCH

    def add(self, row: dict[str, Any], reason: str | None) -> None:
        self._rows.append(row | {"source": self._key})
        self._reasons.append(reason)
        self._characters += len(row.get("text") or "")

    def take(self) -> Batch:
        table = pa.Table.from_pylist(self._rows, schema=CRAWL_SCHEMA)
        reason = pa.array(self._reasons, pa.string())
        self._rows, self._reasons, self._characters = [], [], 0
        return Batch(table, reason, pa.nulls(table.num_rows, pa.string()))


def _kind_of(record: WarcRecord) -> str | None:
    """What a record is, if it is a page or a text of the web."""
    kind = record.headers.get("WARC-Type")
    is_web = (record.headers.get("WARC-Target-URI") or "").startswith(("http://", "https://"))
    if kind == "response" and not record.is_http_parsed:
        return None
    return kind if is_web and kind in ("response", "resource", "conversion") else None


def _body_of(uri: str, record: WarcRecord, max_bytes: int) -> bytes:
    """The first ``max_bytes`` of a record; the others are read past.

    :raises DamagedSourceError: if the record is shorter than its header says.
    """
    length = record.content_length
    wanted = min(length, max_bytes)
    blocks: list[bytes] = []
    missing = wanted
    while missing and (block := record.reader.read(missing)):
        blocks.append(block)
        missing -= len(block)
    is_whole = not missing and record.reader.consume() == length - wanted
    if not is_whole or not (record.headers.get("Content-Length") or "").isdecimal():
        raise DamagedSourceError(uri, f"byte {record.stream_pos}: the record is shorter than its header says")
    return b"".join(blocks)


def _row_of(record: WarcRecord, kind: str, body: bytes, pages: _Pages) -> tuple[dict[str, Any], str | None]:
    """The columns of a page, and the reason why it is no document."""
    url = redact_userinfo(record.headers["WARC-Target-URI"])
    row: dict[str, Any] = {"url": url, "host": url.split("/", 3)[2], "fetched_at": _date_of(record)}
    content_type, robots_tag = record.headers.get("Content-Type") or "", ""
    if kind == "response":
        http = record.http_headers
        row |= {"final_url": url, "status": http.status_code}
        row |= {"etag": http.get("ETag"), "last_modified": http.get("Last-Modified")}
        if http.status_code not in _HTTP_OK:
            return row, f"http_{http.status_code}"
        content_type, robots_tag = http.get("Content-Type") or "", ", ".join(http.get_multiple("X-Robots-Tag"))
        transfer, packed = http.get("Transfer-Encoding") or "", http.get("Content-Encoding") or ""
        body = decoded_body(body, transfer, packed, pages.max_bytes + 1)
    is_truncated = len(body) > pages.max_bytes or "WARC-Truncated" in record.headers
    body = body[: pages.max_bytes]
    row |= {"truncated": is_truncated, "content_sha256": hashlib.sha256(body).hexdigest()}
    if kind == "conversion":
        return _text_of(row, body, is_truncated)
    page = pages.read(url, content_type, body, is_truncated=is_truncated, robots_tag=robots_tag)
    row |= {"title": page.title, "text": page.text, "charset": page.charset}
    row |= {"canonical_url": page.canonical, "published_at": page.published_at}
    return row, page.reason or (NOINDEX if page.is_noindex and pages.obeys_noindex else None)


def _text_of(row: dict[str, Any], body: bytes, is_truncated: bool) -> tuple[dict[str, Any], str | None]:
    row["charset"] = "utf-8"
    try:
        # The last character of a text that was cut off may be half of one.
        text, reason = codecs.getincrementaldecoder("utf-8")().decode(body, final=not is_truncated), None
    except UnicodeDecodeError:
        text, reason = body.decode("utf-8", "replace"), INVALID_ENCODING
    return row | {"text": text.replace("\0", "")}, reason


def _date_of(record: WarcRecord) -> datetime | None:
    try:
        return parse_time(record.headers.get("WARC-Date") or "")
    except ValueError:
        return None


class _Counted(io.RawIOBase):
    """A stream that knows where it is, as the parser of archives wants it; unpacked ones do not."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

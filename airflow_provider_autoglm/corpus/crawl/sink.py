"""From visited pages to shards on storage, holding at most one shard of pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.crawl.job import PREFIXES, CrawlJob, Lane, Prefix
from airflow_provider_autoglm.corpus.crawl.known import KNOWN_SCHEMA, KnownPage
from airflow_provider_autoglm.corpus.manifest import Shard
from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA, document_id
from airflow_provider_autoglm.corpus.shards import ShardWriter

MAX_TEXT_CHARACTERS = 32 * 1024 * 1024
"""Characters of text held before a shard is ended early."""

_ASIDE_SCHEMA = pa.schema([*CRAWL_SCHEMA, ("reason", pa.string()), ("stage", pa.string())])
_SCHEMAS: dict[Lane, pa.Schema] = {
    "": CRAWL_SCHEMA,
    "rejected/": _ASIDE_SCHEMA,
    "removed/": _ASIDE_SCHEMA,
    "known/": KNOWN_SCHEMA,
}


@dataclass(frozen=True, kw_only=True)
class CrawledRow:
    """One attempted address, with the columns of a crawled corpus."""

    url: str
    source: str
    depth: int
    host: str
    fetched_at: datetime
    final_url: str | None = None
    status: int | None = None
    title: str | None = None
    text: str | None = None
    published_at: datetime | None = None
    canonical_url: str | None = None
    charset: str | None = None
    truncated: bool = False
    etag: str | None = None
    last_modified: str | None = None
    content_sha256: str | None = None

    def columns(self) -> dict[str, Any]:
        """Values by column; languages are filled in by the clean stage."""
        return {"doc_id": document_id(self.url, self.text or ""), **asdict(self)}


@dataclass(frozen=True)
class Placed:
    """A row and where it belongs: with the documents (no ``reason``), or rejected or removed for a ``reason``.

    ``extra`` are the fields of a user's own item that are no column of a crawled corpus, as text.
    """

    row: CrawledRow
    prefix: Prefix = ""
    reason: str | None = None
    extra: tuple[tuple[str, str | None], ...] = ()


class PageSink:
    """Takes rows and writes them to shards when it is told to."""

    def __init__(self, job: CrawlJob) -> None:
        self._job = job
        # The task writes shards of the same attempt too, those of files.
        attempt = f"{job.attempt}-web"
        storage = job.storage
        self._writers: dict[Lane, ShardWriter] = {
            prefix: ShardWriter(storage, job.destination, attempt, prefix=prefix) for prefix in PREFIXES
        }
        if job.known_destination is not None:
            self._writers["known/"] = ShardWriter(storage, job.known_destination, attempt)
        self._clear()

    @property
    def is_full(self) -> bool:
        """Whether one kind of rows fills a shard."""
        largest = max(len(rows) for rows in self._rows.values())
        return largest >= self._job.settings.pages_per_shard or self._characters >= MAX_TEXT_CHARACTERS

    def add(self, placed: Placed) -> None:
        """Hold a row."""
        columns = placed.row.columns() | dict(placed.extra)
        if placed.prefix:
            columns |= {"reason": placed.reason, "stage": "crawl"}
            self._reasons[f"{placed.prefix}{placed.reason}"] += 1
        self._rows[placed.prefix].append(columns)
        self._characters += len(placed.row.text or "")

    def remember(self, page: KnownPage) -> None:
        """Hold what is known of a page, if somebody wants to know."""
        if "known/" in self._writers:
            self._rows["known/"].append(page.row())

    def flush(self) -> tuple[dict[Lane, list[Shard]], Counter[str]]:
        """Write what is held; the shards by lane are whole on storage, ``reasons`` counts their rows."""
        shards: dict[Lane, list[Shard]] = {}
        for lane, rows in self._rows.items():
            if rows:
                writer = self._writers[lane]
                writer.write(_table(rows, _SCHEMAS[lane]))
                writer.end_shard()
                shards[lane], writer.shards = writer.shards, []
        reasons = self._reasons
        self._clear()
        return shards, reasons

    def _clear(self) -> None:
        self._rows: dict[Lane, list[dict[str, Any]]] = {lane: [] for lane in _SCHEMAS}
        self._reasons: Counter[str] = Counter()
        self._characters = 0


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    extra = sorted({name for row in rows for name in row} - set(schema.names))
    return pa.Table.from_pylist(rows, schema=pa.schema([*schema, *((name, pa.string()) for name in extra)]))

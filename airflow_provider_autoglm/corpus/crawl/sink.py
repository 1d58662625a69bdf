"""From visited pages to shards on storage, holding at most one shard of pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.crawl.job import CrawlJob, Prefix, ShardReport
from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA, document_id
from airflow_provider_autoglm.corpus.shards import ShardWriter

MAX_TEXT_CHARACTERS = 32 * 1024 * 1024
"""Characters of text held before a shard is ended early."""

_ASIDE_SCHEMA = pa.schema([*CRAWL_SCHEMA, ("reason", pa.string()), ("stage", pa.string())])


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
    charset: str | None = None
    truncated: bool = False
    etag: str | None = None
    last_modified: str | None = None
    content_sha256: str | None = None

    def columns(self) -> dict[str, Any]:
        """Values by column; languages are filled in by the clean stage."""
        return {"doc_id": document_id(self.url, self.text or ""), **asdict(self)}


class PageSink:
    """Takes rows, writes a shard for every ``pages_per_shard`` of a kind, and reports each as soon as it is whole."""

    def __init__(self, job: CrawlJob, report: Callable[[ShardReport], None]) -> None:
        storage = job.storage
        self._lanes = {
            prefix: _Lane(
                prefix,
                # The task writes shards of the same attempt too, those of Parquet sources.
                ShardWriter(storage, job.destination, f"{job.attempt}-web", prefix=prefix),
                job.settings.pages_per_shard,
                report,
            )
            for prefix in ("", "rejected/", "removed/")
        }

    def keep(self, row: CrawledRow) -> None:
        """A document."""
        self._lanes[""].add(row, None)

    def reject(self, row: CrawledRow, reason: str) -> None:
        """An address that gave no document."""
        self._lanes["rejected/"].add(row, reason)

    def remove(self, row: CrawledRow, reason: str) -> None:
        """An address whose page is another row."""
        self._lanes["removed/"].add(row, reason)

    def finish(self) -> None:
        """Write what is held."""
        for lane in self._lanes.values():
            lane.flush()


class _Lane:
    def __init__(
        self, prefix: Prefix, writer: ShardWriter, rows_of_a_shard: int, report: Callable[[ShardReport], None]
    ) -> None:
        self._prefix = prefix
        self._writer = writer
        self._rows_of_a_shard = rows_of_a_shard
        self._report = report
        self._reported = 0
        self._clear()

    def add(self, row: CrawledRow, reason: str | None) -> None:
        columns = row.columns()
        if reason is not None:
            columns |= {"reason": reason, "stage": "crawl"}
            self._reasons[f"{self._prefix}{reason}"] += 1
        self._rows.append(columns)
        self._characters += len(row.text or "")
        if len(self._rows) >= self._rows_of_a_shard or self._characters >= MAX_TEXT_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        if not self._rows:
            return
        schema = _ASIDE_SCHEMA if self._prefix else CRAWL_SCHEMA
        self._writer.write(pa.Table.from_pylist(self._rows, schema=schema))
        self._writer.end_shard()
        report = ShardReport(
            prefix=self._prefix, shards=tuple(self._writer.shards[self._reported :]), reasons=self._reasons
        )
        self._reported = len(self._writer.shards)
        self._clear()
        self._report(report)

    def _clear(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._reasons: Counter[str] = Counter()
        self._characters = 0

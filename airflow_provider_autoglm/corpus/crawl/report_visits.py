"""Counts over the rows of a crawl: by status, host, depth and charset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.report.tally import count_values
from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA
from airflow_provider_autoglm.corpus.store import Kind

NO_STATUS = "none"


@dataclass(frozen=True)
class Host:
    """The addresses of one host."""

    host: str
    kept: int
    removed: int
    rejected: int

    @property
    def attempted(self) -> int:
        """All of them."""
        return self.kept + self.removed + self.rejected


@dataclass
class Visits:
    """The rows that are pages, of web sites or of web archives; other rows are ``records``.

    ``charsets`` and ``truncated`` are those of kept pages.
    """

    columns: ClassVar[tuple[str, ...]] = ("status", "host", "depth", "charset", "truncated")
    records: int = 0
    pages: int = 0
    truncated: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    depths: Counter[int] = field(default_factory=Counter)
    charsets: Counter[str] = field(default_factory=Counter)
    by_host: dict[Kind, Counter[str]] = field(
        default_factory=lambda: {"shards": Counter(), "removed": Counter(), "rejected": Counter()}
    )

    def add(self, kind: Kind, table: pa.Table) -> None:
        """Count the rows of a table with :attr:`columns`, as far as it has them."""
        if not _is_of_pages(table.schema):
            self.records += table.num_rows
            return
        self.pages += table.num_rows
        for status, rows in _value_counts(table["status"]):
            self.statuses[NO_STATUS if status is None else str(status)] += rows
        for depth, rows in _value_counts(table["depth"]):
            if depth is not None:
                self.depths[depth] += rows
        count_values(self.by_host[kind], table["host"])
        if kind == "shards":
            count_values(self.charsets, table["charset"])
            self.truncated += pc.sum(table["truncated"]).as_py() or 0

    @property
    def number_of_hosts(self) -> int:
        """How many there are."""
        return len(set().union(*self.by_host.values()))

    def hosts(self, limit: int) -> tuple[Host, ...]:
        """The ``limit`` hosts with the most addresses."""
        kept, removed, rejected = self.by_host["shards"], self.by_host["removed"], self.by_host["rejected"]
        hosts = [Host(name, kept[name], removed[name], rejected[name]) for name in {*kept, *removed, *rejected}]
        return tuple(sorted(hosts, key=lambda host: (-host.attempted, host.host))[:limit])


def _is_of_pages(schema: pa.Schema) -> bool:
    """Whether the columns are those of a crawl; a file of records may have columns of the same names."""
    types = dict(zip(schema.names, schema.types, strict=True))
    return all(types.get(name) == CRAWL_SCHEMA.field(name).type for name in Visits.columns)


def _value_counts(values: pa.ChunkedArray) -> list[tuple[int | None, int]]:
    return [(entry["values"], entry["counts"]) for entry in pc.value_counts(values).to_pylist()]

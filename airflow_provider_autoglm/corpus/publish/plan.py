"""What becomes of every row: the first of two passes over the corpora. It lies on disk, not in memory."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.publish import decisions
from airflow_provider_autoglm.corpus.publish.rows import (
    Unwanted,
    create_rows,
    insert_new,
    insert_old,
    kept_of,
    open_scratch,
    scratch_errors,
)
from airflow_provider_autoglm.corpus.publish.versions import Version
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import PublishSettings


@dataclass(frozen=True)
class Fates:
    """Where the rows of a table go: into a split, or aside with a reason; the other of the two is null.

    ``kept_labels`` are, by row number of the table, the columns of what people said of the same document before;
    ``ties`` the address and the cluster that a row may take over from those whose place it takes.
    """

    splits: pa.Array
    reasons: pa.Array
    kept_labels: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    ties: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The fate of each row of the previous version and of the new corpora, both in their order.

    ``class_rows`` are the rows of each label and split. ``new_ends`` says how many of the new rows come from the first
    corpus, from the first two, and so on.
    """

    previous_rows: int
    new_ends: tuple[int, ...]
    class_rows: Mapping[tuple[str, str], int]
    new_documents: int
    changed_labels: int
    dropped: int
    _database: sqlite3.Connection = field(repr=False)

    @property
    def new_rows(self) -> int:
        """Rows of the new corpora."""
        return self.new_ends[-1] if self.new_ends else 0

    @property
    def has_news(self) -> bool:
        """Whether the version would differ from the previous one."""
        return bool(self.new_documents or self.changed_labels or self.dropped)

    @property
    def label_counts(self) -> Counter[str]:
        """Rows of each label that the version has."""
        return self._sums(0)

    @property
    def split_counts(self) -> Counter[str]:
        """Rows of each split."""
        return self._sums(1)

    def previous_fates(self, first: int, rows: int) -> Fates:
        """Of ``rows`` rows of the previous version from number ``first`` on."""
        return self._fates(first, rows)

    def new_fates(self, first: int, rows: int) -> Fates:
        """Of ``rows`` new rows from number ``first`` on, with what they take over."""
        start = self.previous_rows + first
        span = (start, start + rows - 1)
        labels = self._database.execute(
            "SELECT rows.position, kept.kept FROM rows JOIN kept ON kept.doc = rows.doc"
            " WHERE NOT rows.by_people AND rows.position BETWEEN ? AND ?",
            span,
        )
        kept_labels = {position - start: kept_of(text) for position, text in labels}
        ties = self._database.execute(
            "SELECT rows.position, ties.url, ties.cluster FROM rows JOIN ties ON ties.heir = rows.doc"
            " WHERE rows.position BETWEEN ? AND ?",
            span,
        )
        tied = {position - start: {"url": url, "cluster_id": cluster} for position, url, cluster in ties}
        found = self._fates(start, rows)
        return Fates(found.splits, found.reasons, kept_labels, tied)

    def _fates(self, start: int, rows: int) -> Fates:
        found = self._database.execute(
            "SELECT CASE WHEN reason IS NULL THEN split END, reason FROM rows WHERE position BETWEEN ? AND ?"
            " ORDER BY position",
            (start, start + rows - 1),
        ).fetchall()
        splits, reasons = zip(*found, strict=True)
        return Fates(pa.array(splits, pa.string()), pa.array(reasons, pa.string()))

    def _sums(self, key: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        for pair, rows in self.class_rows.items():
            counts[pair[key]] += rows
        return counts


@contextmanager
def make_plan(
    corpora: Sequence[Corpus], previous: Version | None, settings: PublishSettings, *, now: datetime, storage: Storage
) -> Iterator[Plan]:
    """Decide for every row of the new corpora and of the previous version; the plan is gone afterwards.

    ``now`` ends the window of ``settings.window_days``; it comes from the inputs, so that a retry decides the same.
    About 500 bytes a row lie in SQLite's temporary file while it is used.

    :raises SplitLeakageError: if one cluster would lie in two splits.
    :raises StorageError: if the temporary folder cannot be written to.
    """
    oldest = now - timedelta(days=settings.window_days) if settings.window_days else None
    unwanted = Unwanted(settings.erase_doc_ids, oldest)
    with scratch_errors():
        database = open_scratch()
        try:
            earlier = None if previous is None else Corpus.open(previous.uri, storage=storage)
            yield _decide(database, earlier, corpora, unwanted, settings)
        finally:
            database.close()


def _decide(
    database: sqlite3.Connection,
    earlier: Corpus | None,
    corpora: Sequence[Corpus],
    unwanted: Unwanted,
    settings: PublishSettings,
) -> Plan:
    create_rows(database)
    old = 0 if earlier is None else insert_old(database, earlier, unwanted)
    decisions.leave_unknown_labels(database, settings.labels)
    dropped = database.execute("SELECT count(*) FROM rows WHERE reason IS NOT NULL").fetchone()[0]
    decisions.remember_people(database)
    ends = insert_new(database, corpora, unwanted, first=old)
    decisions.keep_labels(database)
    decisions.leave_unknown_labels(database, settings.labels)
    decisions.choose_rows(database)
    decisions.join_clusters(database)
    decisions.place_rows(database, settings)
    new_documents, changed_labels = decisions.count_news(database)
    counted = database.execute(
        "SELECT label, split, count(*) FROM rows WHERE reason IS NULL GROUP BY label, split ORDER BY label, split"
    )
    return Plan(
        previous_rows=old,
        new_ends=tuple(end - old for end in ends),
        class_rows={(label, split): rows for label, split, rows in counted},
        new_documents=new_documents,
        changed_labels=changed_labels,
        dropped=dropped,
        _database=database,
    )

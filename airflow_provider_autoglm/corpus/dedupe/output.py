"""Sending the rows where they belong: kept, removed with what is known of them, or rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.facts import look_at
from airflow_provider_autoglm.corpus.dedupe.names import NO_NAME
from airflow_provider_autoglm.corpus.dedupe.plan import Plan
from airflow_provider_autoglm.corpus.dedupe.prints import Prints, is_document
from airflow_provider_autoglm.corpus.dedupe.store import stored_rows
from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.schema import set_column
from airflow_provider_autoglm.corpus.shards import ShardWriter
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus, StoredShard
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

_FOLDERS = ("", "rejected/", "removed/")


def write_rows(
    attempt: StageAttempt,
    sources: Sequence[Corpus],
    plan: Plan,
    prints: Prints,
    settings: DedupeSettings,
    part: StageAttempt | None,
) -> None:
    """Write every row of ``sources`` in order, one output shard an input shard, and the kept ones to ``part`` too."""
    output = _Output(attempt, plan, None if part is None else _StoreOutput(part, prints, settings))
    shards = [(corpus, stored) for corpus in sources for stored in corpus.shards]
    for number, (corpus, stored) in enumerate(shards):
        output.write_shard(number, corpus, stored)
        attempt.report()


class _StoreOutput:
    """Writes the kept documents of each page to the store, with their prints, which come in pages of other sizes."""

    def __init__(self, part: StageAttempt, prints: Prints, settings: DedupeSettings) -> None:
        self._part = part
        self._settings = settings
        self._pages = prints.iter_tables()
        self._waiting = pa.table({})

    def write(self, kept: pa.Table, is_kept: NDArray[np.bool_]) -> None:
        """Store the kept ones of the next documents."""
        while self._waiting.num_rows < is_kept.size:
            page = next(self._pages)
            self._waiting = pa.concat_tables([self._waiting, page]) if self._waiting.num_rows else page
        prints = self._waiting.slice(0, is_kept.size).filter(pa.array(is_kept))
        self._waiting = self._waiting.slice(is_kept.size)
        self._part.count_in(kept.num_rows)
        self._part.write(stored_rows(kept, prints, look_at(kept, self._settings)))


class _Output:
    def __init__(self, attempt: StageAttempt, plan: Plan, store: _StoreOutput | None) -> None:
        self._attempt = attempt
        self._plan = plan
        self._store = store
        self._documents = 0
        self._compared = 0

    def write_shard(self, number: int, corpus: Corpus, stored: StoredShard) -> None:
        """Send the rows of one input shard where they belong."""
        writers = {folder: self._attempt.writer(f"{folder}{number:05d}-") for folder in _FOLDERS}
        reasons: Counter[str] = Counter()
        for table in corpus.shard_tables(stored):
            for folder, rows in zip(_FOLDERS, self._sorted_out(table), strict=True):
                writers[folder].write(rows)
                if folder:
                    reasons.update(f"{folder}{reason}" for reason in rows["reason"].to_pylist())
        self._adopt(stored, writers, reasons)

    def _adopt(self, stored: StoredShard, writers: dict[str, ShardWriter], reasons: Counter[str]) -> None:
        written: dict[str, int] = {}
        for folder, writer in writers.items():
            writer.end_shard()
            self._attempt.adopt(folder, writer.shards)
            written[folder] = sum(shard.rows for shard in writer.shards)
        counters = Counters(
            rows_in=stored.shard.rows, rows_out=written[""], rejected=written["rejected/"], removed=written["removed/"]
        )
        self._attempt.adopt_counts(counters, reasons)

    def _sorted_out(self, table: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
        """The rows that stay, that are rejected and that go, in the order of the folders."""
        is_accepted = is_document(table)
        rejected = table.filter(pc.invert(is_accepted))
        rejected = set_column(rejected, "reason", _repeat("missing_text", rejected.num_rows))
        kept, removed = self._separated(table.filter(is_accepted))
        return kept, self._with_stage(rejected), self._with_stage(removed)

    def _separated(self, documents: pa.Table) -> tuple[pa.Table, pa.Table]:
        """The next documents: those that stay, and those that go with what is known of them."""
        first, self._documents = self._documents, self._documents + documents.num_rows
        rows = np.flatnonzero(self._plan.is_compared[first : self._documents])
        some = slice(self._compared, self._compared + rows.size)
        self._compared = some.stop
        plan = self._plan.compared
        kept_id = _scattered(documents.num_rows, rows, plan.names.take(plan.kept[some]))
        cluster = _scattered(documents.num_rows, rows, plan.names.take(plan.cluster[some]))
        documents = set_column(documents, "simhash", pa.array(self._plan.fingerprints[first : self._documents]))
        cluster_id = pc.coalesce(cluster, documents["doc_id"].cast(pa.large_string()))
        documents = set_column(documents, "cluster_id", cluster_id.cast(pa.string()))
        is_kept = pc.is_null(kept_id).to_numpy(zero_copy_only=False)
        kept, removed = documents.filter(pa.array(is_kept)), documents.filter(pa.array(~is_kept))
        gone = np.flatnonzero(plan.kept[some] != NO_NAME) + some.start
        removed = set_column(removed, "kept_id", kept_id.drop_null().cast(pa.string()))
        removed = set_column(removed, "hamming", pa.array(plan.hamming[gone]))
        removed = set_column(removed, "jaccard", pa.array(plan.jaccard[gone]))
        reason = np.where(plan.is_exact[gone], "exact_duplicate", "near_duplicate").tolist()
        removed = set_column(removed, "reason", pa.array(reason, pa.string()))
        if self._store is not None:
            self._store.write(kept, is_kept)
        return kept, removed

    def _with_stage(self, table: pa.Table) -> pa.Table:
        return set_column(table, "stage", _repeat(self._attempt.stage, table.num_rows))


def _scattered(size: int, places: NDArray[np.int64], values: pa.Array) -> pa.Array:
    """``size`` values, null but for the ``places``."""
    index = np.full(size, -1, np.int64)
    index[places] = np.arange(places.size)
    return values.take(pa.array(index, mask=index < 0))


def _repeat(value: str, rows: int) -> pa.Array:
    return pa.array([value] * rows, pa.string())

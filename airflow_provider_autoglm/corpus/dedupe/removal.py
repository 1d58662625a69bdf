"""The stage: one pass to fingerprint, one to compare candidates, one to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.schema import set_column
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, StoredShard, open_sources
from airflow_provider_autoglm.exceptions import TooManyRemovedError
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.dedupe.plan import Plan

STAGE = "dedupe"


def deduplicate(
    source: str | Sequence[str],
    destination: str,
    settings: DedupeSettings,
    *,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Remove exact and near duplicates of ``source``, a corpus URI or several, and commit what stays in its order.

    A document goes only for one that is kept and that it is similar to; removed rows lie under ``removed/`` with
    ``kept_id``, ``hamming``, ``jaccard`` and ``reason``. Rows without ``doc_id`` or ``text`` are rejected.

    :raises MissingColumnsError: if a corpus lacks ``doc_id`` or ``text``.
    :raises TooManyRemovedError: if more than ``settings.max_removed_fraction`` of the rows would go.
    """
    # The compiled kernels behind this are loaded when there is work, after compile_cache has been set up.
    from airflow_provider_autoglm.corpus.dedupe.plan import plan_removal

    sources = open_sources(source, storage=storage)
    rows = sum(corpus.rows for corpus in sources)
    attempt = StageAttempt(
        STAGE,
        [corpus.as_input() for corpus in sources],
        destination,
        settings.model_dump(mode="json"),
        rows_total=rows,
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    if attempt.committed is not None:
        return attempt.reused_result()
    plan = plan_removal(sources, settings)
    if plan.removed > settings.max_removed_fraction * rows:
        raise TooManyRemovedError(plan.removed, rows, settings.max_removed_fraction)
    documents_before = 0
    shards = [(corpus, stored) for corpus in sources for stored in corpus.shards]
    for number, (corpus, stored) in enumerate(shards):
        documents_before += _write_shard(attempt, number, corpus, stored, plan, documents_before)
        attempt.report()
    return attempt.commit(metrics=plan.metrics)


def _write_shard(
    attempt: StageAttempt, number: int, corpus: Corpus, stored: StoredShard, plan: Plan, documents_before: int
) -> int:
    """Send the rows of one input shard where they belong; returns how many of them are documents."""
    from airflow_provider_autoglm.corpus.dedupe.catalogue import is_document

    writers = {prefix: attempt.writer(f"{prefix}{number:05d}-") for prefix in ("", "rejected/", "removed/")}
    reasons: Counter[str] = Counter()
    documents = 0
    for table in corpus.shard_tables(stored):
        is_accepted = is_document(table)
        rejected = table.filter(pc.invert(is_accepted))
        accepted = table.filter(is_accepted)
        first = documents_before + documents
        kept, removed = _separate(accepted, plan, np.arange(first, first + accepted.num_rows))
        documents += accepted.num_rows
        writers[""].write(kept)
        writers["removed/"].write(_with_stage(removed))
        writers["rejected/"].write(_with_stage(set_column(rejected, "reason", _repeat("missing_text", rejected))))
        reasons.update({"rejected/missing_text": rejected.num_rows} if rejected.num_rows else {})
        reasons.update(f"removed/{reason}" for reason in removed["reason"].to_pylist())
    written: dict[str, int] = {}
    for prefix, writer in writers.items():
        writer.end_shard()
        attempt.adopt(prefix, writer.shards)
        written[prefix] = sum(shard.rows for shard in writer.shards)
    counters = Counters(
        rows_in=stored.shard.rows, rows_out=written[""], rejected=written["rejected/"], removed=written["removed/"]
    )
    attempt.adopt_counts(counters, reasons)
    return documents


def _separate(table: pa.Table, plan: Plan, documents: NDArray[np.int64]) -> tuple[pa.Table, pa.Table]:
    """The rows that stay, and those that go with what is known of them."""
    kept_by = plan.kept_by[documents]
    table = set_column(table, "simhash", pa.array(plan.fingerprint[documents]))
    table = set_column(table, "cluster_id", _doc_ids(plan, plan.cluster[documents]))
    is_kept = kept_by < 0
    gone = documents[~is_kept]
    removed = table.filter(pa.array(~is_kept))
    removed = set_column(removed, "kept_id", _doc_ids(plan, kept_by[~is_kept]))
    removed = set_column(removed, "hamming", pa.array(plan.hamming[gone]))
    removed = set_column(removed, "jaccard", pa.array(plan.jaccard[gone]))
    reason = np.where(plan.is_exact[gone], "exact_duplicate", "near_duplicate")
    return table.filter(pa.array(is_kept)), set_column(removed, "reason", pa.array(reason.tolist(), pa.string()))


def _doc_ids(plan: Plan, documents: NDArray[np.int64]) -> pa.Array:
    return plan.doc_id.take(pa.array(documents)).cast(pa.string())


def _with_stage(table: pa.Table) -> pa.Table:
    return set_column(table, "stage", _repeat(STAGE, table))


def _repeat(value: str, table: pa.Table) -> pa.Array:
    return pa.array([value] * table.num_rows, pa.string())

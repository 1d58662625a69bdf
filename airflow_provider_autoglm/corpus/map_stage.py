"""Stages that look at one row at a time: one output shard an input shard, and resuming at the last finished one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_autoglm.corpus.documents import Admitted
from airflow_provider_autoglm.corpus.manifest import Counters, Shard
from airflow_provider_autoglm.corpus.parts import is_part
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.schema import require_columns, set_column
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, StoredShard, open_sources, work_digest
from airflow_provider_autoglm.settings.base import Settings

log = logging.getLogger(__name__)

Transform = Callable[[pa.Table], Admitted]


class _FinishedShard(BaseModel):
    """What one input shard became; written once it is whole on storage."""

    model_config = ConfigDict(frozen=True)

    shards: tuple[Shard, ...]
    rejected: tuple[Shard, ...]
    counters: Counters
    reasons: dict[str, int]


def run_map_stage(
    stage: str,
    source: str | Sequence[str],
    destination: str,
    settings: Settings,
    prepare: Callable[[], Transform],
    *,
    max_rejected_fraction: float,
    columns: Sequence[str] = ("doc_id", "text"),
    metrics: Callable[[], Mapping[str, float]] = dict,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Send every row group of ``source`` through a transform and commit what comes out.

    ``prepare`` makes the transform, and is called only if there is work: nothing is loaded for a committed corpus. A
    shard finished by an attempt that was killed is taken over, so a retry goes on where that one stopped. ``metrics``
    is asked at the commit for what else the manifest should tell.

    :raises MissingColumnsError: if a corpus lacks one of ``columns``.
    :raises TooManyRejectedError: if more rows are rejected than allowed; of a part, the join says so.
    """
    sources = open_sources(source, storage=storage)
    attempt = StageAttempt(
        stage,
        [corpus.as_input() for corpus in sources],
        destination,
        settings.model_dump(mode="json"),
        rows_total=sum(corpus.rows for corpus in sources),
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    if attempt.committed is not None:
        return attempt.reused_result()
    transform: Transform | None = None
    for number, (corpus, stored) in enumerate(_all_shards(sources)):
        record = _record_uri(attempt, number)
        finished = _finished(attempt, record)
        if finished is None:
            transform = transform or prepare()
            finished = _take_shard(attempt, number, corpus, stored, transform, columns)
            try:
                attempt.storage.create(record, finished.model_dump_json().encode())
            except FileExistsError:
                finished = _finished(attempt, record) or finished
        attempt.adopt("", finished.shards)
        attempt.adopt("rejected/", finished.rejected)
        attempt.adopt_counts(finished.counters, finished.reasons)
        attempt.report()
    if not is_part(attempt.uri):
        attempt.check_rejected(max_rejected_fraction)
    return attempt.commit(metrics=metrics())


def _all_shards(sources: Sequence[Corpus]) -> list[tuple[Corpus, StoredShard]]:
    return [(corpus, stored) for corpus in sources for stored in corpus.shards]


def _record_uri(attempt: StageAttempt, number: int) -> str:
    work = work_digest(attempt.inputs, attempt.settings_digest)
    return f"{attempt.uri}/_progress/{work}-{attempt.generation}/{number:05d}.json"


def _finished(attempt: StageAttempt, record: str) -> _FinishedShard | None:
    """What an earlier attempt made of a shard, unless the record is unreadable or its shards were cleaned up since."""
    try:
        finished = _FinishedShard.model_validate_json(attempt.storage.read(record))
    except (FileNotFoundError, ValidationError):
        return None
    written = (*finished.shards, *finished.rejected)
    is_whole = all(attempt.storage.size(f"{attempt.uri}/{shard.name}") == shard.bytes for shard in written)
    return finished if is_whole else None


def _take_shard(
    attempt: StageAttempt,
    number: int,
    corpus: Corpus,
    stored: StoredShard,
    transform: Transform,
    columns: Sequence[str],
) -> _FinishedShard:
    kept = attempt.writer(f"{number:05d}-")
    rejected = attempt.writer(f"rejected/{number:05d}-")
    reasons: Counter[str] = Counter()
    for table in corpus.shard_tables(stored):
        require_columns(corpus.uri, table, columns)
        outcome = transform(table)
        kept.write(outcome.kept)
        reasons.update(outcome.counts)
        if outcome.rejected.num_rows:
            reasons.update(f"rejected/{reason}" for reason in outcome.rejected["reason"].to_pylist())
            stage = pa.array([attempt.stage] * outcome.rejected.num_rows, pa.string())
            rejected.write(set_column(outcome.rejected, "stage", stage))
    kept.end_shard()
    rejected.end_shard()
    rows_out = sum(shard.rows for shard in kept.shards)
    rows_rejected = sum(shard.rows for shard in rejected.shards)
    return _FinishedShard(
        shards=tuple(kept.shards),
        rejected=tuple(rejected.shards),
        counters=Counters(rows_in=stored.shard.rows, rows_out=rows_out, rejected=rows_rejected),
        reasons=dict(reasons),
    )

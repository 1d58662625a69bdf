"""The stage that makes documents of traffic: what the reference explains least, and what people said of answers."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.documents import admit_documents
from airflow_provider_autoglm.corpus.manifest import Input, digest_of
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS, TRAFFIC_SOURCE, document_id
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.monitoring.novelty import FEWEST_ROWS, novelty
from airflow_provider_autoglm.monitoring.references import Reference
from airflow_provider_autoglm.monitoring.sample import sample_of
from airflow_provider_autoglm.settings.traffic import TrafficSettings
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.rollouts import latest_rollout
from airflow_provider_autoglm.state.served import Judged, Served, newest_served, read_feedback, texts_of

log = logging.getLogger(__name__)

STAGE = "collect_traffic"

NO_TEXT, EXPLAINED, REPEATED_TEXT, NOT_DRAWN = "no_text", "explained", "repeated_text", "not_drawn"

_FEEDBACK = "feedback"
_TEXTS_AT_ONCE = 500


@dataclass(frozen=True)
class _Log:
    """Rows of one version, how much each should be drawn (0 to 1), and their mean novelty if they were compared."""

    version: str
    ids: NDArray[np.int64]
    at: NDArray[np.float64]
    has_text: NDArray[np.bool_]
    weights: NDArray[np.float64]
    mean_novelty: float | None

    @classmethod
    def of(cls, version: str, rows: Sequence[Served], novelties: NDArray[np.float64] | None) -> _Log:
        """What is left of ``rows`` without their embeddings, which are most of them."""
        return cls(
            version,
            np.array([row.id for row in rows], np.int64),
            np.array([row.at for row in rows], np.float64),
            np.array([row.has_text for row in rows], np.bool_),
            np.ones(len(rows)) if novelties is None else np.maximum(0.0, 2 * novelties - 1),
            None if novelties is None else float(novelties.mean()),
        )

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class _Candidate:
    """A text that may be drawn, by the row of the log that weighs most of those that have it."""

    doc_id: str
    row: int
    at: float
    weight: float


@dataclass(frozen=True)
class _Document:
    doc_id: str
    text: str | None
    at: float
    label: str | None = None


def collect(
    database: Database | None,
    destination: str,
    settings: TrafficSettings,
    *,
    pipeline: str,
    versions: Mapping[str, Reference | None],
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Commit feedback, and what a draw from the prediction log takes, as one corpus of documents.

    Feedback (the newest ``max_rows``, on any version) is labelled by people; where it only says that an answer is wrong
    the document has no label yet. Of the newest ``max_rows`` rows of each of ``versions``, after those that became its
    reference, a row weighs ``2 p - 1``, at least 0, where p is its novelty against the reference. As many rows are
    drawn as all weigh together, ``sample_rows`` at most: the less the reference explains, the more. All rows weigh 1
    where nothing can be compared: without a reference, or with fewer than ``FEWEST_ROWS`` rows of it or of the log.

    Rows that are left out stay in the log and are counted alone: ``no_text``, ``explained`` (weight 0),
    ``repeated_text`` and ``not_drawn``. ``rows_in`` counts rows of the log and feedback. A retry after the commit
    does not look into the log again.

    :param database: None if the pipeline has no state, and so no traffic: the corpus is empty.
    :raises MissingExtraError: if scikit-learn or scipy is not installed and there is a reference.
    :raises DifferentDimensionsError: if a reference is of another model.
    :raises StateUnavailableError: if the state cannot be read.
    """
    attempt = StageAttempt(
        STAGE,
        # Neither rows nor versions are part of it: a task cleared after a promotion finds what it has committed.
        [Input(uri=f"autoglm://{pipeline}/predictions", digest=digest_of(pipeline))],
        destination,
        settings.model_dump(mode="json"),
        storage=storage,
        progress=progress,
        provenance=provenance or Provenance(pipeline=pipeline),
    )
    if attempt.committed is not None:
        return attempt.reused_result()
    if database is None:
        log.warning("%s has no state, so there is no traffic to collect", pipeline)
        return attempt.commit()
    feedback = read_feedback(database, pipeline, limit=settings.max_rows)
    judged = _judged_documents(attempt, feedback)
    from_feedback = _write(attempt, judged.values())
    attempt.report()

    logs = [_read_log(database, pipeline, version, versions[version], settings.max_rows) for version in versions]
    drawn = _draw(attempt, _candidates(attempt, database, logs, judged), settings.sample_rows)
    texts = texts_of(database, [candidate.row for candidate in drawn])
    from_log = _write(attempt, [_Document(one.doc_id, texts.get(one.row), one.at) for one in drawn])
    attempt.report()

    is_learnable = bool(judged) or any(looked.has_text.any() for looked in logs)
    if not is_learnable and (feedback or any(len(looked) for looked in logs)):
        _warn_of_missing_texts(pipeline)
    counts = {"drawn": float(from_log), "feedback": float(from_feedback), "learnable": float(is_learnable)}
    compared = {f"novelty/{one.version}": one.mean_novelty for one in logs if one.mean_novelty is not None}
    return attempt.commit(metrics=counts | compared)


def _warn_of_missing_texts(pipeline: str) -> None:
    log.warning(
        "%s: no text of %s is kept, so its traffic cannot be learned from: set log_text of the gateway to 'full' or "
        "'sample', or send the text with feedback",
        STAGE,
        pipeline,
    )


def _judged_documents(attempt: StageAttempt, feedback: Sequence[Judged]) -> dict[str, _Document]:
    """One document a text: the newest that has a label, else the oldest; ``feedback`` is oldest first."""
    found: dict[str, _Document] = {}
    with_text = [(said.text, said) for said in feedback if said.text is not None]
    for text, said in with_text:
        doc_id = document_id(TRAFFIC_SOURCE, text)
        if said.given_label is not None or doc_id not in found:
            found[doc_id] = _Document(doc_id, text, said.at, said.given_label)
    attempt.count_in(len(feedback))
    _count_removed(attempt, NO_TEXT, len(feedback) - len(with_text))
    _count_removed(attempt, REPEATED_TEXT, len(with_text) - len(found))
    return found


def _read_log(database: Database, pipeline: str, version: str, reference: Reference | None, max_rows: int) -> _Log:
    usable = reference if reference is not None and len(reference.sample) >= FEWEST_ROWS else None
    rollout = latest_rollout(database, pipeline, version)
    rows = newest_served(
        database,
        pipeline,
        version,
        limit=max_rows,
        after_id=0 if usable is None else usable.last_prediction_id,
        since=0.0 if rollout is None else rollout.created_at,  # rows before are of an earlier registry's model
    )
    if usable is None or len(rows) < FEWEST_ROWS:
        return _Log.of(version, rows, None)
    return _Log.of(version, rows, novelty(usable.sample, sample_of(rows)).of_current)


def _candidates(
    attempt: StageAttempt, database: Database, logs: Sequence[_Log], judged: Mapping[str, _Document]
) -> list[_Candidate]:
    """The texts that may be drawn: kept, not explained by the reference, and not known from feedback."""
    found: dict[str, _Candidate] = {}
    for looked in logs:
        eligible = np.flatnonzero(looked.has_text & (looked.weights > 0))
        attempt.count_in(len(looked))
        _count_removed(attempt, NO_TEXT, int((~looked.has_text).sum()))
        _count_removed(attempt, EXPLAINED, int(looked.has_text.sum()) - len(eligible))
        known = len(found)
        offered = 0
        for candidate in _with_doc_ids(database, looked, eligible):
            offered += 1
            if candidate.doc_id not in judged:
                found[candidate.doc_id] = max(found.get(candidate.doc_id, candidate), candidate, key=_weight_then_row)
        _count_removed(attempt, NO_TEXT, len(eligible) - offered)
        _count_removed(attempt, REPEATED_TEXT, offered - (len(found) - known))
    return list(found.values())


def _with_doc_ids(database: Database, looked: _Log, positions: NDArray[np.intp]) -> Iterator[_Candidate]:
    """The rows whose text is still there; the text itself is dropped, so that a long log takes no more memory."""
    for first in range(0, len(positions), _TEXTS_AT_ONCE):
        some = positions[first : first + _TEXTS_AT_ONCE]
        texts = texts_of(database, looked.ids[some].tolist())
        for position in some:
            row = int(looked.ids[position])
            if row in texts:
                doc_id = document_id(TRAFFIC_SOURCE, texts[row])
                yield _Candidate(doc_id, row, float(looked.at[position]), float(looked.weights[position]))


def _weight_then_row(candidate: _Candidate) -> tuple[float, int]:
    return candidate.weight, candidate.row


def _draw(attempt: StageAttempt, candidates: Sequence[_Candidate], most: int) -> list[_Candidate]:
    """Draw without replacement by weight, always the same (Efraimidis and Spirakis, 2006)."""
    wanted = min(most, round(math.fsum(candidate.weight for candidate in candidates)))
    drawn = sorted(candidates, key=_reservoir_key, reverse=True)[:wanted]
    _count_removed(attempt, NOT_DRAWN, len(candidates) - len(drawn))
    return drawn


def _reservoir_key(candidate: _Candidate) -> tuple[float, str]:
    """The logarithm of ``u ** (1 / weight)``, u from 0 to 1 by a hash that no other stage takes, e.g. for splits."""
    digest = hashlib.sha256(f"{STAGE}\0{candidate.doc_id}".encode()).digest()
    u = (int.from_bytes(digest[:8], "big") + 1) / 2.0**64
    return math.log(u) / candidate.weight, candidate.doc_id


def _write(attempt: StageAttempt, documents: Iterable[_Document]) -> int:
    """Write documents in an order of their own; those that cannot be documents are rejected. Returns how many stay."""
    table = _table(sorted(documents, key=lambda one: one.doc_id))
    admitted = admit_documents(table, uri=attempt.uri, source=TRAFFIC_SOURCE)
    attempt.write(admitted.kept)
    attempt.reject(admitted.rejected)
    return int(admitted.kept.num_rows)


def _table(documents: Sequence[_Document]) -> pa.Table:
    by_people = [None if one.label is None else _FEEDBACK for one in documents]
    label_values = {
        "label": [one.label for one in documents],
        "label_score": [None if one.label is None else 1.0 for one in documents],
        "labeler": by_people,
        "label_source": by_people,
    }
    missing = [None] * len(documents)
    microseconds = [round(one.at * 1e6) for one in documents]
    return pa.table(
        {
            "doc_id": pa.array([one.doc_id for one in documents], pa.string()),
            "text": pa.array([one.text for one in documents], pa.string()),
            "fetched_at": pa.array(microseconds, pa.timestamp("us", tz="UTC")),
            **{column.name: pa.array(label_values.get(column.name, missing), column.type) for column in LABEL_COLUMNS},
        }
    )


def _count_removed(attempt: StageAttempt, reason: str, rows: int) -> None:
    if rows:
        attempt.count_removed(reason, rows)

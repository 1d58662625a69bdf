"""The stage that judges the answers and writes them into the corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.manifest import ReviewRecord
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS, LABELLED_BY_PEOPLE, set_column
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.labeling.review.answers import read_answers
from airflow_provider_autoglm.labeling.review.estimate import Estimate
from airflow_provider_autoglm.labeling.review.tally import Tally, Verdict, tally
from airflow_provider_autoglm.labeling.review.verdict import Judged, Outcome, judge
from airflow_provider_autoglm.settings.review import ReviewSettings

STAGE = "review"


@dataclass(frozen=True)
class ReviewResult:
    """What a spot check came to. ``uri`` is the corpus to publish, empty if it ``failed`` or is asked ``again``.

    ``asked`` and ``answered`` are texts of the random sample, which alone tells of the ``population`` of automatically
    labelled documents; ``corrected`` counts the labels that people changed in either set.
    """

    uri: str
    outcome: Outcome
    reason: str
    estimate: Estimate | None
    rounds: int
    target: float
    asked: int
    answered: int
    population: int
    corrected: int
    reused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return asdict(self)


def decide(
    source: str | Sequence[str],
    draws: Sequence[str],
    answers: Sequence[str],
    destination: str,
    settings: ReviewSettings,
    *,
    storage: Storage | None = None,
    provenance: Provenance | None = None,
) -> ReviewResult:
    """Judge the ``answers`` to the ``draws`` (of the first round, and of the second) from ``source``.

    A form without answers counts as not answered. Unless the outcome is ``failed`` or ``again``, all rows of ``source``
    are committed to ``destination``, those that people labelled with their label; of two answers for one document the
    first stays. Nothing is committed otherwise.

    :raises SettingsError: if a draw is of other corpora or answers are of another draw.
    :raises StorageError: if answers are gone or damaged.
    """
    storage = storage or Storage.local()
    corpora = open_sources(source, storage=storage)
    opened = [Corpus.open(uri, storage=storage) for uri in draws]
    _check_draws(opened, corpora)
    given = [read_answers(uri, storage) for uri in answers]
    found = tally(opened, given)
    judged = judge(found, settings, rounds=len(opened))
    result = _result(found, judged, settings, rounds=len(opened))
    if judged.outcome in ("failed", "again"):
        return result
    inputs = [corpus.as_input() for corpus in (*corpora, *opened)]
    inputs += [each.as_input(uri) for each, uri in zip(given, answers, strict=True)]
    attempt = StageAttempt(
        STAGE,
        inputs,
        destination,
        settings.model_dump(mode="json"),
        rows_total=sum(corpus.rows for corpus in corpora),
        storage=storage,
        provenance=provenance,
    )
    if attempt.committed is not None:
        return replace(result, uri=attempt.reused_result().uri, reused=True)
    for corpus in corpora:
        for stored in corpus.shards:
            for table in corpus.shard_tables(stored):
                attempt.count_in(table.num_rows)
                attempt.write(with_verdicts(table, found.verdicts))
            attempt.report()
    committed = attempt.commit(metrics=_metrics(result, found), review=_record(result, settings))
    return replace(result, uri=committed.uri, reused=committed.reused)


def with_verdicts(table: pa.Table, verdicts: Mapping[str, Verdict]) -> pa.Table:
    """``table`` with the labels that people gave; rows that people had labelled before stay as they are."""
    by_people = pc.is_in(table["label_source"], value_set=pa.array(LABELLED_BY_PEOPLE))
    place = pc.index_in(table["doc_id"].cast(pa.string()), value_set=pa.array(list(verdicts), pa.string()))
    is_reviewed = pc.and_(pc.is_valid(place), pc.invert(by_people))
    values = {
        "label": pa.array([verdict.label for verdict in verdicts.values()], pa.string()).take(place),
        "labeler": pa.array([verdict.labeler for verdict in verdicts.values()], pa.string()).take(place),
        "label_source": pa.scalar("human"),
    }
    for column in LABEL_COLUMNS:
        old = table[column.name] if column.name in table.column_names else pa.nulls(table.num_rows)
        new = values.get(column.name, pa.scalar(None, column.type))
        table = set_column(table, column.name, pc.if_else(is_reviewed, new, old.cast(column.type)))
    return table


def _check_draws(draws: Sequence[Corpus], corpora: Sequence[Corpus]) -> None:
    if not draws:
        raise SettingsError(["draws: name the first draw at least"])
    read = [corpus.digest for corpus in corpora]
    seen: list[str] = []
    for draw in draws:
        if [item.digest for item in draw.manifest.inputs] != [*read, *seen]:
            raise SettingsError([f"draws: {draw.uri} was not drawn from these corpora and the draws before it"])
        seen.append(draw.digest)


def _result(found: Tally, judged: Judged, settings: ReviewSettings, *, rounds: int) -> ReviewResult:
    return ReviewResult(
        uri="",
        outcome=judged.outcome,
        reason=judged.reason,
        estimate=judged.estimate,
        target=settings.target_accuracy,
        population=found.population,
        asked=found.asked,
        answered=found.answered,
        corrected=found.corrected,
        rounds=rounds,
    )


def _record(result: ReviewResult, settings: ReviewSettings) -> ReviewRecord:
    estimate = result.estimate
    return ReviewRecord(
        outcome="passed" if result.outcome == "passed" else "unreviewed",
        accuracy=None if estimate is None else estimate.accuracy,
        low=None if estimate is None else estimate.low,
        high=None if estimate is None else estimate.high,
        confidence=settings.confidence,
        target=result.target,
        population=result.population,
        asked=result.asked,
        answered=result.answered,
        corrected=result.corrected,
        rounds=result.rounds,
    )


def _metrics(result: ReviewResult, found: Tally) -> dict[str, float]:
    estimate = result.estimate
    measured = {} if estimate is None else {name: getattr(estimate, name) for name in ("accuracy", "low", "high")}
    counts = {
        "population": result.population,
        "asked": result.asked,
        "answered": result.answered,
        "corrected": result.corrected,
        "suspicious_asked": found.suspicious_asked,
        "suspicious_answered": found.suspicious_answered,
    }
    return {f"review/{name}": float(value) for name, value in {**measured, **counts}.items()}

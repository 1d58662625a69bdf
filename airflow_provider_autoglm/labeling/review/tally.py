"""Draws and answers put together: what each stratum showed, and which labels people gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.corpus.schema import REVIEWED_SAMPLE, REVIEWED_SUSPICIOUS
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.labeling.review.answers import Answer, Answers
from airflow_provider_autoglm.labeling.review.draw import SAMPLE
from airflow_provider_autoglm.labeling.review.estimate import Stratum


@dataclass(frozen=True)
class Verdict:
    """What a person said of a document: its ``label`` (None: none of these), and where it was asked (``labeler``)."""

    label: str | None
    labeler: str
    is_change: bool


@dataclass(frozen=True)
class Tally:
    """What people answered. ``asked`` and ``answered`` are texts of the random sample alone."""

    strata: tuple[Stratum, ...]
    asked: int
    answered: int
    suspicious_asked: int
    suspicious_answered: int
    verdicts: dict[str, Verdict]

    @property
    def population(self) -> int:
        """Documents with an automatic label."""
        return sum(stratum.rows for stratum in self.strata)

    @property
    def is_incomplete(self) -> bool:
        """Whether some of the population was not asked about."""
        return self.asked < self.population

    @property
    def corrected(self) -> int:
        """Documents whose label a person changed."""
        return sum(verdict.is_change for verdict in self.verdicts.values())


def tally(draws: Sequence[Corpus], answers: Sequence[Answers]) -> Tally:
    """Count the answers to all rounds; of two answers for one document the first stays.

    :raises SettingsError: if answers belong to none of the draws.
    """
    said = _by_document(draws, answers)
    rows = [(row, said.get((row["draw"], row["form"], row["doc_id"]))) for row in _rows(draws)]
    sample = [(row, answer) for row, answer in rows if row["review_set"] == SAMPLE]
    suspicious = [(row, answer) for row, answer in rows if row["review_set"] != SAMPLE]
    verdicts: dict[str, Verdict] = {}
    for found, labeler in ((sample, REVIEWED_SAMPLE), (suspicious, REVIEWED_SUSPICIOUS)):
        for row, answer in found:
            if answer is not None:
                verdicts.setdefault(row["doc_id"], Verdict(answer.label, labeler, answer.label != row["label"]))
    return Tally(
        strata=_strata(sample),
        asked=len(sample),
        answered=_answered(sample),
        suspicious_asked=len(suspicious),
        suspicious_answered=_answered(suspicious),
        verdicts=verdicts,
    )


_Asked = Sequence[tuple[dict[str, Any], Answer | None]]


def _strata(sample: _Asked) -> tuple[Stratum, ...]:
    rows, answered, right = dict[str, int](), Counter[str](), Counter[str]()
    for row, answer in sample:
        rows[row["stratum"]] = row["stratum_rows"]
        if answer is not None:
            answered[row["stratum"]] += 1
            right[row["stratum"]] += answer.label == row["label"]
    return tuple(Stratum(rows[name], answered[name], right[name]) for name in sorted(rows))


def _answered(asked: _Asked) -> int:
    return sum(answer is not None for _, answer in asked)


def _rows(draws: Sequence[Corpus]) -> Iterator[dict[str, Any]]:
    for draw in draws:
        for table in draw.iter_tables(["doc_id", "label", "review_set", "stratum", "stratum_rows", "form"]):
            for row in table.to_pylist():
                yield {**row, "draw": draw.digest}


def _by_document(draws: Sequence[Corpus], answers: Sequence[Answers]) -> dict[tuple[str, int, str], Answer]:
    known = {draw.digest for draw in draws}
    said: dict[tuple[str, int, str], Answer] = {}
    for form in answers:
        if form.draw_digest not in known:
            raise SettingsError([f"answers: form {form.form} of {form.draw_uri} belongs to none of the draws"])
        for answer in form.answers:
            if answer.outcome != "not_answered":
                said.setdefault((form.draw_digest, form.form, answer.doc_id), answer)
    return said

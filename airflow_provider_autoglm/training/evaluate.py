"""Judging a challenger: it and the champion answer the same test texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import TooFewRowsError
from airflow_provider_autoglm.settings import EvaluateSettings
from airflow_provider_autoglm.training.data import TEST, TRAIN, Dataset
from airflow_provider_autoglm.training.packaged import PackagedModel
from airflow_provider_autoglm.training.scores import Confusion

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger may take the champion's place, and why.

    ``metrics`` holds ``challenger/…`` beside ``champion/…``, or beside ``majority/…`` where there is no champion;
    ``details`` the scores of each class, the confusion matrices and how often the two disagree.
    """

    passed: bool
    reasons: tuple[str, ...]
    metrics: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON types."""
        return {**asdict(self), "reasons": list(self.reasons)}


def compare(
    dataset: str,
    challenger: str,
    champion: str | None,
    settings: EvaluateSettings,
    *,
    storage: Storage | None = None,
) -> Verdict:
    """Compare two packaged models on the labelled rows of the test split, read table by table.

    Without a champion the challenger is compared with always answering the most frequent class of the training split.
    A champion that was trained for other labels is compared all the same: an answer that is none of the dataset's
    labels is wrong. So is one that is not finite, which a challenger must not give at all.

    :param challenger: folder of the packaged model; ``champion`` likewise.
    :raises TooFewRowsError: if the test split has fewer labelled rows than ``min_rows``.
    :raises DamagedModelError: if a model cannot be loaded or breaks on a text.
    """
    opened = Dataset.open(dataset, storage=storage)
    rows = int(opened.class_rows(TEST).sum())
    if rows < settings.min_rows:
        raise TooFewRowsError(
            opened.uri,
            f"the test split has {rows} labelled rows, evaluate.min_rows asks for {settings.min_rows}; "
            "publish more documents or lower it",
        )
    baseline: _Answering = _Majority.of(opened) if champion is None else _Model(PackagedModel.open(champion), opened)
    contest = _Contest.held(opened, _Model(PackagedModel.open(challenger), opened), baseline)
    return contest.verdict(opened, settings, "majority" if champion is None else "champion")


class _Answering(Protocol):
    def classes(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The class of each text; -1 is none of the dataset's, -2 an answer that is not finite."""


_INVALID = -2


@dataclass(frozen=True)
class _Model:
    model: PackagedModel
    dataset: Dataset

    def classes(self, texts: Sequence[str]) -> NDArray[np.int64]:
        answers = self.model.predict(texts)
        return np.where(answers.is_valid, self.dataset.classes(answers.labels), _INVALID)


@dataclass(frozen=True)
class _Majority:
    most_frequent: int

    @classmethod
    def of(cls, dataset: Dataset) -> _Majority:
        return cls(int(dataset.class_rows(TRAIN).argmax()))

    def classes(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return np.full(len(texts), self.most_frequent, np.int64)


@dataclass(frozen=True)
class _Contest:
    """Counts of both sides over the same texts; ``only_…`` are the texts that one alone got right."""

    challenger: Confusion
    baseline: Confusion
    only_challenger: int
    only_baseline: int
    invalid: int

    @classmethod
    def held(cls, dataset: Dataset, challenger: _Answering, baseline: _Answering) -> _Contest:
        """Let both answer the test split."""
        none = np.zeros(0, np.int64)
        first = second = Confusion.of(none, none, len(dataset.labels))
        only_first = only_second = invalid = 0
        for table in dataset.tables(TEST):
            texts, truth = table["text"].to_pylist(), dataset.classes(table["label"].to_pylist())
            ours, theirs = challenger.classes(texts), baseline.classes(texts)
            invalid += int((ours == _INVALID).sum())
            only_first += int(((ours == truth) & (theirs != truth)).sum())
            only_second += int(((theirs == truth) & (ours != truth)).sum())
            first += Confusion.of(truth, np.maximum(ours, -1), len(dataset.labels))
            second += Confusion.of(truth, np.maximum(theirs, -1), len(dataset.labels))
        return cls(first, second, only_first, only_second, invalid)

    def verdict(self, dataset: Dataset, settings: EvaluateSettings, opponent: str) -> Verdict:
        """What follows from the counts."""
        sides = {"challenger": self.challenger, opponent: self.baseline}
        ours, theirs = (getattr(side, settings.metric) for side in sides.values())
        gain = ours - theirs
        p_value = self._p_value()
        is_enough = gain + _ROUNDING >= settings.min_gain
        reasons = [
            f"{settings.metric} {ours:.4f} on {self.challenger.rows} test rows, {opponent} {theirs:.4f}: "
            f"gain {gain:+.4f}, at least {settings.min_gain:+.4f} is asked for"
        ]
        if self.invalid:
            reasons.insert(0, f"{self.invalid} of {self.challenger.rows} answers are not finite numbers")
        return Verdict(
            passed=is_enough and not self.invalid,
            reasons=tuple(reasons),
            metrics={
                **{f"{name}/accuracy": side.accuracy for name, side in sides.items()},
                **{f"{name}/macro_f1": side.macro_f1 for name, side in sides.items()},
                "gain": gain,
                "test_rows": float(self.challenger.rows),
                "mcnemar_p": p_value,
            },
            details={
                "dataset": dataset.uri,
                "metric": settings.metric,
                "min_gain": settings.min_gain,
                "opponent": opponent,
                "invalid_answers": self.invalid,
                "only_challenger_right": self.only_challenger,
                f"only_{opponent}_right": self.only_baseline,
                **{name: side.to_dict(dataset.labels) for name, side in sides.items()},
            },
        )

    def _p_value(self) -> float:
        """McNemar's exact test: how likely such a difference is between two equally good sides."""
        from scipy.stats import binomtest

        differing = self.only_challenger + self.only_baseline
        return float(binomtest(self.only_challenger, differing).pvalue) if differing else 1.0

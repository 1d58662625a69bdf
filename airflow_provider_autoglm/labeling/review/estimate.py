"""The share of right labels in a corpus, from the answers to a stratified random sample of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.review.limits import limits_of_share

_PRIOR_ROWS = 1.0
"""Rows of the whole sample's share that each stratum is given when its spread is reckoned: else one whose few rows are
all right would count as known."""
_ERROR_OF_A_SECOND_LOOK = 1 / 5
"""Share of the interval's error that a second round is allowed: it is held only where the first did not decide, and of
two looks at one sample either can miss. As a rule its interval is narrower than the first one's all the same."""


@dataclass(frozen=True)
class Stratum:
    """The rows of one predicted label: how many there are, were answered, and were found right."""

    rows: int
    answered: int
    right: int


@dataclass(frozen=True)
class Estimate:
    """The estimated share of right labels and the interval that holds the true one with ``confidence``.

    ``effective`` is the size of the simple random sample that would tell as much.
    """

    accuracy: float
    low: float
    high: float
    confidence: float
    effective: float

    def __str__(self) -> str:
        return f"{self.accuracy:.3f} ({self.low:.3f} to {self.high:.3f} at {self.confidence:.0%})"


def estimate(strata: Sequence[Stratum], confidence: float, *, rounds: int = 1) -> Estimate | None:
    """The design-weighted share of right labels among the rows of all ``strata``; None without any answer.

    ``confidence`` is that of the whole check: after a second of two ``rounds``, of both looks together.

    A stratum counts by its rows; inside it unanswered rows are taken to be like the answered ones. One without any
    answer is taken to be like the rest. The interval is the exact one of Clopper and Pearson for a finite population,
    on the effective size of the sample, which never counts as more than its answers (Korn and Graubard, Survey
    Methodology 24, 1998; Dean and Pagano, Journal of Survey Statistics and Methodology 3, 2015).
    """
    rows, answered, right = (
        np.array([getattr(stratum, name) for stratum in strata], np.float64) for name in ("rows", "answered", "right")
    )
    population, answers = int(rows.sum()), float(answered.sum())
    if not answers:
        return None
    known = answered > 0
    rows, answered, right = rows[known], answered[known], right[known]
    weights = rows / rows.sum()
    accuracy = min(float(weights @ (right / answered)), 1.0)
    effective = _effective_size(rows, answered, right, population, accuracy)
    error = (1 - confidence) * (1 if rounds == 1 else _ERROR_OF_A_SECOND_LOOK)
    low, high = limits_of_share(accuracy, effective, population, 1 - error)
    return Estimate(
        accuracy=accuracy,
        low=max(low, float(right.sum()) / population),
        high=min(high, 1 - float((answered - right).sum()) / population),
        confidence=confidence,
        effective=effective,
    )


def _effective_size(
    rows: NDArray[np.float64],
    answered: NDArray[np.float64],
    right: NDArray[np.float64],
    population: int,
    accuracy: float,
) -> float:
    """The size of the simple random sample whose share varies as much as the stratified one, no more than answered."""
    answers = float(answered.sum())
    overall = (answers * accuracy + 1) / (answers + 2)
    shares = (right + _PRIOR_ROWS * overall) / (answered + _PRIOR_ROWS)
    left_out = (rows - answered) / np.maximum(rows - 1, 1)
    variance = float(((rows / rows.sum()) ** 2 * left_out * shares * (1 - shares) / answered).sum())
    spread = overall * (1 - overall)
    return min(spread * population / (spread + variance * (population - 1)), answers)

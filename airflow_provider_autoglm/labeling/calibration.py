"""Scores that mean what they say: one temperature for all classes, fitted on texts of known label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from airflow_provider_autoglm.labeling.labels import Labeler, Labels, Vectors

_BINS = 15
_FOLDS = 5
_COLDEST, _HOTTEST = 0.02, 50.0
_STEPS = 60
_GOLDEN = (5**0.5 - 1) / 2
_SMALLEST = 1e-12


class Calibration(BaseModel):
    """A temperature, and the expected calibration error before and after it on ``rows`` texts of known label.

    The error after is that of texts that the temperature was not fitted on (five folds), so it is no flattery.
    """

    model_config = ConfigDict(frozen=True)

    temperature: float
    rows: int
    ece_before: float
    ece_after: float

    def metrics(self) -> dict[str, float]:
        """The same as MLflow metrics."""
        return {f"calibration/{name}": float(value) for name, value in self.model_dump().items()}


def calibrate(probabilities: Vectors, truth: NDArray[np.intp]) -> Calibration:
    """Fit a temperature to finite ``probabilities`` [n, classes] and the numbers of the true classes [n].

    It is 1, which changes nothing, where the fitted ones make held-out texts no likelier. Guo et al., On Calibration of
    Modern Neural Networks, ICML 2017 (arXiv 1706.04599).
    """
    after = np.empty_like(probabilities)
    for fold in range(_FOLDS):
        is_held_out = np.arange(len(truth)) % _FOLDS == fold
        temperature = fitted_temperature(probabilities[~is_held_out], truth[~is_held_out])
        after[is_held_out] = tempered(probabilities[is_held_out], temperature)
    helps = _log_loss(after, truth, 1.0) < _log_loss(probabilities, truth, 1.0)
    before = expected_calibration_error(probabilities, truth)
    return Calibration(
        temperature=fitted_temperature(probabilities, truth) if helps else 1.0,
        rows=len(truth),
        ece_before=before,
        ece_after=expected_calibration_error(after, truth) if helps else before,
    )


def tempered(probabilities: Vectors, temperature: float) -> Vectors:
    """``probabilities`` with their logarithms divided by ``temperature``; the order of classes stays."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST)) / temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    scaled: Vectors = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    return scaled


def fitted_temperature(probabilities: Vectors, truth: NDArray[np.intp]) -> float:
    """The temperature that makes the true classes likeliest: golden-section search on its logarithm."""
    low, high = np.log(_COLDEST), np.log(_HOTTEST)
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _log_loss(probabilities, truth, np.exp(left)) <= _log_loss(probabilities, truth, np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def expected_calibration_error(probabilities: Vectors, truth: NDArray[np.intp]) -> float:
    """Mean distance of score and share of right labels over 15 bins of equal width, weighted by their texts."""
    scores = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(scores[bins == number].mean() - is_right[bins == number].mean()) * (bins == number).mean()
        for number in np.unique(bins)
    ]
    return float(sum(gaps))


@dataclass(frozen=True)
class CalibratedLabeler:
    """A labeler whose scores are those of ``labeler`` at a fitted temperature."""

    labeler: Labeler
    temperature: float

    @property
    def name(self) -> str:
        """That of the labeler."""
        return self.labeler.name

    def predict(self, texts: Sequence[str]) -> Labels:
        """The same labels with calibrated probabilities."""
        found = self.labeler.predict(texts)
        return replace(found, probabilities=tempered(found.probabilities, self.temperature))


def _log_loss(probabilities: Vectors, truth: NDArray[np.intp], temperature: float) -> float:
    likelihoods = tempered(probabilities, temperature)[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(likelihoods, _SMALLEST)).mean())

"""A linear classifier of vectors for few examples, whose probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.calibration import tempered
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.scores import softmax

Classes = NDArray[np.intp]

_CHOICES_OF_C = (1.0, 10.0, 100.0)
_C_UNTRIED = 10.0
_FOLDS = 5
_MOST_ROWS_OF_ALL_FOLDS = 2_000
_TEMPERATURES = np.geomspace(0.02, 20.0, 60)
_SMALLEST = 1e-12


@dataclass(frozen=True)
class LogisticHead:
    """``weights`` float64[classes, d] and ``biases`` float64[classes] of vectors of length 1."""

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]

    def probabilities(self, vectors: Vectors) -> Vectors:
        """Of vectors [..., d], those of each class: float32[..., classes]."""
        logits = vectors.astype(np.float64) @ self.weights.T + self.biases
        return softmax(logits)

    def at(self, temperature: float) -> LogisticHead:
        """The same head, its logits divided by ``temperature``."""
        return LogisticHead(self.weights / temperature, self.biases / temperature)


def fit_logistic_head(vectors: Vectors, classes: Classes) -> LogisticHead:
    """Fit finite ``vectors`` [n, d] of the classes 0, 1, …, of which each has an example and all weigh alike.

    The strength of regularisation is that of three which foretells examples best that it has not seen (five folds,
    drawn within each class by a fixed seed), each at its best temperature: heads on few examples are far less sure
    than they could be. With one example a class there is nothing to try on.
    """
    folds = _folds(classes)
    if (folds < 0).all():
        return _fitted(vectors, classes, _C_UNTRIED)
    tried = [_tried(vectors, classes, folds, c) for c in _CHOICES_OF_C]
    best = min(tried, key=lambda trial: trial.loss)
    return _fitted(vectors, classes, best.c).at(best.temperature)


@dataclass(frozen=True)
class _Trial:
    c: float
    temperature: float
    loss: float


def _tried(vectors: Vectors, classes: Classes, folds: Classes, c: float) -> _Trial:
    """How well unseen examples are foretold at the temperature that is best for them."""
    found = [
        (_fitted(vectors[~held_out], classes[~held_out], c).probabilities(vectors[held_out]), classes[held_out])
        for held_out in _held_out(folds)
    ]
    probabilities, truth = (np.concatenate(parts) for parts in zip(*found, strict=True))
    losses = [_loss(probabilities, truth, temperature) for temperature in _TEMPERATURES]
    best = int(np.argmin(losses))
    return _Trial(c, float(_TEMPERATURES[best]), losses[best])


def _loss(probabilities: Vectors, truth: Classes, temperature: float) -> float:
    """The mean negative log-likelihood, with one more example of which each class is as likely.

    A few examples that are all foretold would else make the head surer than they can prove (after Platt, Probabilistic
    Outputs for Support Vector Machines, 1999).
    """
    likelihoods = np.log(np.maximum(tempered(probabilities, temperature), _SMALLEST))
    of_truth = likelihoods[np.arange(len(truth)), truth]
    return -float((of_truth.sum() + likelihoods.mean()) / (len(truth) + 1))


def _held_out(folds: Classes) -> Iterator[NDArray[np.bool_]]:
    """Each fold in turn; of many examples the first one, which is then large enough."""
    numbers = np.unique(folds[folds >= 0])
    for number in numbers if len(folds) <= _MOST_ROWS_OF_ALL_FOLDS else numbers[:1]:
        yield folds == number


def _folds(classes: Classes) -> Classes:
    """The fold of each example, those of a class spread over all; -1 for the only one of a class."""
    random = np.random.default_rng(0)
    folds = np.full(len(classes), -1, np.intp)
    for number in np.unique(classes):
        rows = random.permutation(np.flatnonzero(classes == number))
        if len(rows) > 1:
            folds[rows] = np.arange(len(rows)) % _FOLDS
    return folds


def _fitted(vectors: Vectors, classes: Classes, c: float) -> LogisticHead:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=c, class_weight="balanced", max_iter=2_000).fit(vectors.astype(np.float64), classes)
    weights, biases = fitted.coef_, fitted.intercept_
    if len(weights) == 1:  # of two classes one row is kept, the log-odds of the second
        weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
    return LogisticHead(weights, biases)

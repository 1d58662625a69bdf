"""How new texts are to a reference: a classifier that tells the two apart, asked about texts it was not fitted on.

What a classifier cannot tell apart is no drift, whatever the number of rows (Lopez-Paz and Oquab, Revisiting classifier
two-sample tests, arXiv 1610.06545).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.exceptions import DifferentDimensionsError, MissingExtraError, UnusableSampleError
from airflow_provider_autoglm.monitoring.sample import Sample

FOLDS = 5
FEWEST_ROWS = 20
"""Rows a side needs to be compared at all."""

_MODULES = ("scipy", "sklearn")
_EXTRA = "monitor"
_SEED = 0
_MAX_ITERATIONS = 1_000

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Novelty:
    """How new every row is: the probability, by a classifier that has not seen it, that it is from the current side.

    Both sides count the same however many rows they have, so a row that says nothing has 0.5.

    :param of_reference: float64[n] of the n rows of the reference.
    :param of_current: float64[m] of the m rows of the current sample.
    """

    of_reference: Scores
    of_current: Scores

    @property
    def auc(self) -> float:
        """The chance that a current row is newer than one of the reference; 0.5 says that nothing tells them apart."""
        from sklearn.metrics import roc_auc_score

        truth = _sides(len(self.of_reference), len(self.of_current))
        return float(roc_auc_score(truth, np.concatenate([self.of_reference, self.of_current])))


def novelty(reference: Sample, current: Sample) -> Novelty:
    """Score each row by a logistic regression fitted on the other folds; the same samples give the same scores.

    Rows with one and the same embedding, a text that was sent twice, are in one fold: a row is never scored by a
    classifier that was fitted on its copy.

    :raises MissingExtraError: if scikit-learn or scipy is not installed.
    :raises DifferentDimensionsError: if the embeddings of the sides differ in length.
    :raises UnusableSampleError: if a side has fewer than ``FEWEST_ROWS`` rows, not one label a row, or a number that is
        not finite.
    """
    embeddings = _comparable(reference, current)
    is_current = _sides(len(reference), len(current))
    fold = _folds(embeddings, is_current, FOLDS)
    scores = np.empty(len(embeddings))
    with _one_thread():
        for held_out in (fold == number for number in range(FOLDS)):
            scores[held_out] = _score(embeddings, is_current, held_out)
    return Novelty(scores[: len(reference)], scores[len(reference) :])


def p_value_of(reference: Sample, current: Sample) -> float:
    """The chance of rows this new if both sides were alike: one-sided Mann-Whitney test on the half not fitted on.

    The scores of :func:`novelty` are no substitute: those of several classifiers in one test are false too often.

    :raises: as :func:`novelty` does.
    """
    embeddings = _comparable(reference, current)
    from scipy.stats import mannwhitneyu

    is_current = _sides(len(reference), len(current))
    held_out = _folds(embeddings, is_current, 2) == 1
    with _one_thread():
        scores = _score(embeddings, is_current, held_out)
    held_out_current = is_current[held_out]
    return float(mannwhitneyu(scores[held_out_current], scores[~held_out_current], alternative="greater").pvalue)


def require_extra() -> None:
    """Import what comparing needs.

    :raises MissingExtraError: if a library is not installed.
    """
    for module in _MODULES:
        try:
            importlib.import_module(module)
        except ImportError:
            raise MissingExtraError(module, _EXTRA) from None


def _comparable(reference: Sample, current: Sample) -> NDArray[np.float32]:
    require_extra()
    for side, sample in (("reference", reference), ("current", current)):
        _check(side, sample)
    dimensions = reference.embeddings.shape[1], current.embeddings.shape[1]
    if dimensions[0] != dimensions[1]:
        raise DifferentDimensionsError(*dimensions)
    return np.concatenate([reference.embeddings, current.embeddings]).astype(np.float32)


def _check(side: str, sample: Sample) -> None:
    if len(sample) < FEWEST_ROWS:
        raise UnusableSampleError(side, f"{len(sample)} rows are too few to compare, {FEWEST_ROWS} are needed")
    if len(sample.labels) != len(sample):
        raise UnusableSampleError(side, f"{len(sample.labels)} labels for {len(sample)} rows")
    broken = int((~np.isfinite(sample.embeddings).all(axis=1)).sum())
    if broken:
        raise UnusableSampleError(side, f"{broken} of {len(sample)} embeddings hold a number that is not finite")


def _sides(reference_rows: int, current_rows: int) -> NDArray[np.bool_]:
    return np.repeat(np.array([False, True]), [reference_rows, current_rows])


def _folds(embeddings: NDArray[np.float32], is_current: NDArray[np.bool_], folds: int) -> NDArray[np.intp]:
    """The fold of each row; every fold, and the rest of it, has rows of both sides.

    Copies share a fold, unless a side has fewer different rows than there are folds.
    """
    group = _copies(embeddings)
    if min(len(np.unique(group[~is_current])), len(np.unique(group[is_current]))) < folds:
        group = np.arange(len(embeddings))
    in_reference, in_current = np.zeros((2, int(group.max()) + 1), np.bool_)
    in_reference[group[~is_current]] = True
    in_current[group[is_current]] = True
    shuffled = np.random.default_rng(_SEED).permutation(len(in_current))
    # In the order reference alone, both, current alone, those of one side follow each other, and so go round all folds.
    ordered = shuffled[np.argsort(in_current[shuffled].astype(int) - in_reference[shuffled], kind="stable")]
    fold = np.empty(len(ordered), np.intp)
    fold[ordered] = np.arange(len(ordered)) % folds
    return fold[group]


def _copies(embeddings: NDArray[np.float32]) -> NDArray[np.intp]:
    """A number for each row, counted from 0, the same for rows that are equal."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in embeddings], np.intp)


def _score(embeddings: NDArray[np.float32], is_current: NDArray[np.bool_], held_out: NDArray[np.bool_]) -> Scores:
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(class_weight="balanced", max_iter=_MAX_ITERATIONS)
    classifier.fit(embeddings[~held_out], is_current[~held_out])
    scores: Scores = classifier.predict_proba(embeddings[held_out])[:, 1].astype(np.float64)
    return scores


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: tasks share a machine's cores, and sums in another order have other last digits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield

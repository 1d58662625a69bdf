"""Which rows people are asked about: a random sample, stratified by the predicted label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.review.limits import limits_of_share
from airflow_provider_autoglm.settings.review import ReviewSettings

FEWEST_OF_A_LABEL = 3
"""Rows of each predicted label in the sample; all of a label that has no more."""


@dataclass(frozen=True)
class Drawn:
    """Numbers of rows: of the first round, and those kept back for a second, both in the order of the hash."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]


def sample_size(rows: int, settings: ReviewSettings) -> int:
    """The fewest of ``rows`` whose interval is no wider than wanted, if as many labels are right as expected."""
    z = NormalDist().inv_cdf((1 + settings.confidence) / 2)
    spread = settings.expected_accuracy * (1 - settings.expected_accuracy)
    unlimited = spread * (z / settings.margin) ** 2
    # Exact limits are wider than those of the normal distribution, by about one answer on each side.
    low = math.ceil(unlimited / (1 + unlimited / max(rows, 1)))
    high = math.ceil(1.5 * low + 2 / settings.margin)
    low, high = min(low, rows), min(high, rows)
    while low < high:
        middle = (low + high) // 2
        if _half_width(middle, rows, settings) <= settings.margin:
            high = middle
        else:
            low = middle + 1
    return low


def draw_sample(strata: NDArray[np.int32], order: NDArray[np.uint64], settings: ReviewSettings) -> Drawn:
    """Draw from rows with these ``strata`` (numbers from 0) and keyed hashes.

    A row's hash is its place in a random order of its stratum, so the first rows of each are a random sample without
    replacement, and together with the next ones a larger one.
    """
    counts = np.bincount(strata) if len(strata) else np.zeros(0, np.intp)
    first = _allocate(counts, sample_size(len(strata), settings))
    # Half of the rest stays for the suspicious texts: a row that was corrected cannot be drawn at random any more.
    second = np.minimum(first, (counts - first + 1) // 2) if settings.second_round else np.zeros_like(first)
    in_order = np.lexsort((order, strata))
    by_stratum = strata[in_order]
    place = np.arange(len(strata)) - (np.cumsum(counts) - counts)[by_stratum]
    is_first = place < first[by_stratum]
    is_second = ~is_first & (place < (first + second)[by_stratum])
    return Drawn(_by_hash(in_order[is_first], order), _by_hash(in_order[is_second], order))


def _half_width(size: int, rows: int, settings: ReviewSettings) -> float:
    low, high = limits_of_share(settings.expected_accuracy, size, rows, settings.confidence)
    return (high - low) / 2


def _allocate(counts: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Share out ``size`` rows in proportion to ``counts`` by the largest remainders; a few of each at least."""
    shares = size * counts / max(int(counts.sum()), 1)
    allocated = np.floor(shares).astype(np.intp)
    largest = np.argsort(allocated - shares, kind="stable")[: size - int(allocated.sum())]
    allocated[largest] += 1
    return np.maximum(allocated, np.minimum(counts, FEWEST_OF_A_LABEL))


def _by_hash(rows: NDArray[np.intp], order: NDArray[np.uint64]) -> NDArray[np.intp]:
    return rows[np.argsort(order[rows], kind="stable")]

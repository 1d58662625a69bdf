"""Exact confidence limits of a share in a finite population."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

_CACHED = 8_192
_ROUNDING = 1e-6


def limits_of_share(share: float, sample: float, population: int, confidence: float) -> tuple[float, float]:
    """The interval that holds the share of right rows among ``population`` with ``confidence``.

    ``share`` is what a random sample of ``sample`` rows without replacement showed; the limits are those of Clopper and
    Pearson with the hypergeometric distribution in the place of the binomial. A ``sample`` that is no whole number (an
    effective size), and a number of right rows that is none, are interpolated between their neighbours; the limits are
    shares that a population of this size can have.
    """
    smaller = max(math.floor(sample), 1)
    larger = min(max(math.ceil(sample), 1), population)
    weight = sample - smaller if larger > smaller else 0.0
    near, far = (_rows_right(share, size, population, confidence) for size in (smaller, larger))
    fewest, most = (one + weight * (other - one) for one, other in zip(near, far, strict=True))
    return math.floor(fewest + _ROUNDING) / population, math.ceil(most - _ROUNDING) / population


def _rows_right(share: float, sample: int, population: int, confidence: float) -> tuple[float, float]:
    tail = round((1 - confidence) / 2, 12)
    right = share * sample
    fewest = _between(right, sample, population, tail)
    return fewest, population - _between(sample - right, sample, population, tail)


def _between(right: float, sample: int, population: int, tail: float) -> float:
    below = min(max(math.floor(right), 0), sample)
    above = min(max(math.ceil(right), 0), sample)
    least, next_least = (_fewest_right(number, sample, population, tail) for number in (below, above))
    return least + (right - below) * (next_least - least)


@lru_cache(maxsize=_CACHED)
def _fewest_right(right: int, sample: int, population: int, tail: float) -> int:
    """The smallest number of right rows in the population that shows ``right`` or more with a chance above ``tail``."""
    low, high = right, population - sample + right
    while low < high:
        middle = (low + high) // 2
        if _chance_of_more(right, sample, middle, population) > tail:
            high = middle
        else:
            low = middle + 1
    return low


def _chance_of_more(right: int, sample: int, right_in_all: int, population: int) -> float:
    """The chance of ``right`` or more right rows in a sample, if the population holds ``right_in_all``."""
    wrong_in_all = population - right_in_all
    first = (
        _log_choose(right_in_all, right) + _log_choose(wrong_in_all, sample - right) - _log_choose(population, sample)
    )
    more = np.arange(right, min(sample, right_in_all), dtype=np.float64)
    ratios = (right_in_all - more) * (sample - more) / ((more + 1) * (wrong_in_all - sample + more + 1))
    return math.exp(first) + float(np.exp(first + np.cumsum(np.log(ratios))).sum())


def _log_choose(items: int, chosen: int) -> float:
    return math.lgamma(items + 1) - math.lgamma(chosen + 1) - math.lgamma(items - chosen + 1)

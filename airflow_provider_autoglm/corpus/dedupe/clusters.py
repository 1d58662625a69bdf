"""Components of near duplicates, and what goes in each: the documents that are compared, not the whole corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.minhash import band_groups
from airflow_provider_autoglm.corpus.dedupe.neighbours import iter_pairs, likely_pairs
from airflow_provider_autoglm.corpus.dedupe.shingles import Shingles, ShinglesOnDisk
from airflow_provider_autoglm.corpus.dedupe.verify import Problem, anchor, join_groups, join_pairs, roots

_VALUES_AT_ONCE = 512 * 1024
"""Of sets that are looked at before their memory is given back: 2 MiB, and the pages around them."""


@dataclass(frozen=True)
class Clusters:
    """For each document its component, what is kept in its place (or ``verify.KEPT``), and the similarity to that.

    ``candidates`` counts the pairs whose similarity was looked at to find the components, ``verified`` the pairs of a
    document and a kept one that were found similar.
    """

    component: NDArray[np.int64]
    kept_by: NDArray[np.int64]
    jaccard: NDArray[np.float64]
    candidates: int
    verified: int


def find_clusters(problem: Problem, on_disk: ShinglesOnDisk, order: NDArray[np.int64]) -> Clusters:
    """Join similar candidates to components, then anchor every component in keep order.

    Document ``n`` of the problem has the set ``order[n]``. The result depends on the documents alone. Pairs that could
    not join anything are not compared, so that ten thousand copies of a page cost little more than as many comparisons.
    """
    shingles = on_disk.read(order)
    parent = np.arange(problem.fingerprints.size)
    if problem.max_hamming >= 0:
        for pairs in likely_pairs(problem.fingerprints, problem.max_hamming):
            _join_pairs(parent, pairs, problem, shingles, on_disk)
    candidates = parent.size - int(np.unique(roots(parent)).size)
    if problem.max_hamming >= 0:
        for pairs in iter_pairs(problem.fingerprints, problem.max_hamming, joined=lambda: roots(parent)):
            candidates += _join_pairs(parent, pairs, problem, shingles, on_disk)
    for band in range(problem.band_keys.shape[1]):
        groups = band_groups(problem.band_keys[:, band])
        candidates += join_groups(parent, groups.members, groups.bounds, problem, shingles)
        on_disk.forget_pages()
    component = roots(parent)
    kept_by, jaccard, verified = _anchored(component, problem, shingles, on_disk)
    return Clusters(component, kept_by, jaccard, candidates, verified)


def _join_pairs(
    parent: NDArray[np.int64], pairs: NDArray[np.uint64], problem: Problem, shingles: Shingles, on_disk: ShinglesOnDisk
) -> int:
    sizes = shingles.ends - shingles.starts
    compared = 0
    for piece in _pieces(sizes[pairs >> np.uint64(32)] + sizes[pairs & np.uint64(0xFFFFFFFF)]):
        compared += join_pairs(parent, pairs[piece], problem, shingles)
        on_disk.forget_pages()
    return compared


def _anchored(
    component: NDArray[np.int64], problem: Problem, shingles: Shingles, on_disk: ShinglesOnDisk
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(component[order]) != 0)) if order.size else order
    kept_by, jaccard = np.empty(order.size, np.int64), np.empty(order.size, np.float64)
    sizes = np.add.reduceat((shingles.ends - shingles.starts)[order], starts) if order.size else starts
    bounds = np.append(starts, order.size)
    verified = 0
    for piece in _pieces(sizes):
        verified += anchor(order, bounds[piece.start : piece.stop + 1], problem, shingles, kept_by, jaccard)
        on_disk.forget_pages()
    return kept_by, jaccard, verified


def _pieces(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Runs of items that together have no more values than are looked at at once, or are one item."""
    number = np.cumsum(sizes) // _VALUES_AT_ONCE
    cuts = np.flatnonzero(np.diff(number)) + 1
    for start, end in pairwise([0, *cuts.tolist(), sizes.size]):
        if start < end:
            yield slice(start, end)

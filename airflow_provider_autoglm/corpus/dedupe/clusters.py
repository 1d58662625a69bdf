"""Components of near duplicates, and what goes in each: the documents that are compared, not the whole corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.minhash import Groups, band_groups
from airflow_provider_autoglm.corpus.dedupe.neighbours import iter_pairs, likely_pairs
from airflow_provider_autoglm.corpus.dedupe.shingles import ShingleReader, ShinglesOnDisk
from airflow_provider_autoglm.corpus.dedupe.verify import KEPT, Problem, anchor, join_groups, join_pairs, roots

_VALUES_AT_ONCE = 1024 * 1024
"""Of sets that are in memory at once, 4 bytes each, unless one item alone has more."""


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
    components = _Components(problem, on_disk.reader(order))
    candidates = 0
    if problem.max_hamming >= 0:
        for pairs in likely_pairs(problem.fingerprints, problem.max_hamming):
            components.join_pairs(pairs)
        candidates = components.joins()
        for pairs in iter_pairs(problem.fingerprints, problem.max_hamming, joined=components.roots):
            candidates += components.join_pairs(pairs)
    for band in range(problem.band_keys.shape[1]):
        candidates += components.join_groups(band_groups(problem.band_keys[:, band]))
    kept_by, jaccard, verified = components.anchored()
    return Clusters(components.roots(), kept_by, jaccard, candidates, verified)


class _Components:
    """The forest of joined documents; sets are loaded for those whose comparison can change it."""

    def __init__(self, problem: Problem, reader: ShingleReader) -> None:
        self._problem = problem
        self._reader = reader
        self._parent = np.arange(problem.fingerprints.size)

    def roots(self) -> NDArray[np.int64]:
        """A number for each document, the same for all of a component."""
        return roots(self._parent)

    def joins(self) -> int:
        """How many pairs have joined something."""
        return int(np.sum(self._parent != np.arange(self._parent.size)))

    def join_pairs(self, pairs: NDArray[np.uint64]) -> int:
        """Join the similar ones of ``pairs``; returns how many were compared."""
        component = self.roots()
        one, other = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
        is_open = component[one] != component[other]
        pairs, one, other = pairs[is_open], one[is_open], other[is_open]
        compared = 0
        for piece in _pieces(self._reader.known[one] + self._reader.known[other]):
            shingles = self._reader.load(np.unique(np.concatenate((one[piece], other[piece]))))
            compared += join_pairs(self._parent, pairs[piece], self._problem, shingles)
        return compared

    def join_groups(self, groups: Groups) -> int:
        """Join the similar ones of each group; returns how many pairs were compared."""
        if groups.bounds.size == 1:
            return 0
        component, starts = self.roots()[groups.members], groups.bounds[:-1]
        is_open = np.minimum.reduceat(component, starts) != np.maximum.reduceat(component, starts)
        sizes = np.diff(groups.bounds)[is_open]
        members = groups.members[np.repeat(is_open, np.diff(groups.bounds))]
        bounds = np.append(0, np.cumsum(sizes))
        compared = 0
        for piece in _pieces(np.add.reduceat(self._reader.known[members], bounds[:-1]) if members.size else sizes):
            some = slice(bounds[piece.start], bounds[piece.stop])
            shingles = self._reader.load(members[some])
            inside = bounds[piece.start : piece.stop + 1] - bounds[piece.start]
            compared += join_groups(self._parent, members[some], inside, self._problem, shingles)
        return compared

    def anchored(self) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
        """What is kept in place of each document, the similarity to that, and how many such pairs were similar."""
        component = self.roots()
        kept_by, jaccard = np.full(component.size, KEPT, np.int64), np.ones(component.size, np.float64)
        order = np.argsort(component, kind="stable")
        order = order[np.bincount(component, minlength=component.size)[component[order]] > 1]
        if order.size == 0:
            return kept_by, jaccard, 0
        starts = np.flatnonzero(np.append(True, np.diff(component[order]) != 0))
        bounds = np.append(starts, order.size)
        verified = 0
        for piece in _pieces(np.add.reduceat(self._reader.known[order], starts)):
            some = slice(bounds[piece.start], bounds[piece.stop])
            shingles = self._reader.load(order[some])
            inside = bounds[piece.start : piece.stop + 1] - bounds[piece.start]
            verified += anchor(order[some], inside, self._problem, shingles, kept_by, jaccard)
        return kept_by, jaccard, verified


def _pieces(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Runs of items that together have no more values than are looked at at once, or are one item."""
    number = np.cumsum(sizes) // _VALUES_AT_ONCE
    cuts = np.flatnonzero(np.diff(number)) + 1
    for start, end in pairwise([0, *cuts.tolist(), sizes.size]):
        if start < end:
            yield slice(start, end)

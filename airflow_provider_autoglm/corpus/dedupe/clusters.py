"""Components of near duplicates, and what goes in each: the documents that are compared, not the whole corpus."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.minhash import Groups, band_groups
from airflow_provider_autoglm.corpus.dedupe.neighbours import iter_pairs, likely_pairs
from airflow_provider_autoglm.corpus.dedupe.shingles import ShingleReader
from airflow_provider_autoglm.corpus.dedupe.verify import (
    KEPT,
    Problem,
    anchor,
    anchor_run,
    join_groups,
    join_pairs,
    join_runs,
    roots,
)

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 10.0
_VALUES_AT_ONCE = 1024 * 1024
"""Of sets that are in memory at once, 4 bytes each, unless one item alone has more."""


@dataclass(frozen=True)
class Clusters:
    """For each document its component, what is kept in its place (or ``verify.KEPT``), and the similarity to that.

    ``candidates`` counts the pairs whose similarity was looked at to find the components, ``verified`` the pairs of a
    document and a kept one that were found similar.
    """

    component: NDArray[np.int32]
    kept_by: NDArray[np.int32]
    jaccard: NDArray[np.float32]
    candidates: int
    verified: int


def find_clusters(
    problem: Problem, reader: ShingleReader, keys_of_band: Callable[[int], NDArray[np.uint32]]
) -> Clusters:
    """Join similar candidates to components, then anchor every component in keep order.

    ``reader`` has the sets of the problem's documents, and ``keys_of_band`` their keys in one band of MinHash, by its
    number. The result depends on the documents alone. Pairs that could not join anything are not compared, so that ten
    thousand copies of a page cost little more than as many comparisons.
    """
    components = _Components(problem, reader)
    candidates = 0
    if problem.max_hamming >= 0:
        for pairs in likely_pairs(problem.fingerprints, problem.max_hamming):
            components.join_pairs(pairs)
        candidates = components.joins()
        for pairs in iter_pairs(problem.fingerprints, problem.max_hamming, joined=components.roots):
            candidates += components.join_pairs(pairs)
    for band in range(problem.bands):
        candidates += components.join_groups(band_groups(keys_of_band(band)), band)
    kept_by, jaccard, verified = components.anchored()
    return Clusters(components.roots(), kept_by, jaccard, candidates, verified)


class _Components:
    """The forest of joined documents; sets are loaded for those whose comparison can change it."""

    def __init__(self, problem: Problem, reader: ShingleReader) -> None:
        self._problem = problem
        self._reader = reader
        self._parent = np.arange(problem.fingerprints.size, dtype=np.int32)
        self._told = time.monotonic()

    def roots(self) -> NDArray[np.int32]:
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
        one, other = one[is_open], other[is_open]
        compared = 0
        for piece in _pieces(self._reader.known(one) + self._reader.known(other)):
            some, places = np.unique(np.concatenate((one[piece], other[piece])), return_inverse=True)
            ones, others = np.split(places, 2)
            shingles = self._reader.load(some)
            compared += join_pairs(self._parent, some, ones, others, self._problem, shingles)
            self._tell(compared)
        return compared

    def join_groups(self, groups: Groups, band: int) -> int:
        """Join the similar ones of each group of a band; returns how many pairs were compared."""
        if groups.bounds.size == 1:
            return 0
        component, starts = self.roots()[groups.members], groups.bounds[:-1]
        is_open = np.minimum.reduceat(component, starts) != np.maximum.reduceat(component, starts)
        sizes = np.diff(groups.bounds)[is_open]
        members = groups.members[np.repeat(is_open, np.diff(groups.bounds))]
        bounds = np.append(0, np.cumsum(sizes))
        compared = 0
        for piece in _pieces(np.add.reduceat(self._reader.known(members), bounds[:-1]) if members.size else sizes):
            some = members[bounds[piece.start] : bounds[piece.stop]]
            if piece.stop - piece.start == 1:
                compared += self._join_group(some, band)
            else:
                inside = bounds[piece.start : piece.stop + 1] - bounds[piece.start]
                shingles = self._reader.load(some)
                compared += join_groups(self._parent, some, inside, band, self._problem, shingles)
            self._tell(compared)
        return compared

    def _join_group(self, members: NDArray[np.int64], band: int) -> int:
        """Join one group, two runs of it at a time, so that memory does not hold all of a large one."""
        runs = [members[piece] for piece in _pieces(self._reader.known(members))]
        compared = 0
        for number, run in enumerate(runs):
            for other in runs[: number + 1]:
                split = 0 if other is run else other.size
                some = run if other is run else np.concatenate((other, run))
                shingles = self._reader.load(some)
                compared += join_runs(self._parent, some, 0, split, some.size, band, self._problem, shingles)
                self._tell(compared)
        return compared

    def anchored(self) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
        """What is kept in place of each document, the similarity to that, and how many such pairs were similar."""
        component = self.roots()
        kept_by, jaccard = np.full(component.size, KEPT, np.int32), np.ones(component.size, np.float32)
        order = np.flatnonzero((np.bincount(component) > 1)[component])
        if order.size == 0:
            return kept_by, jaccard, 0
        order = order[np.argsort(component[order], kind="stable")]
        starts = np.flatnonzero(np.append(True, np.diff(component[order]) != 0))
        bounds = np.append(starts, order.size)
        verified = 0
        for piece in _pieces(np.add.reduceat(self._reader.known(order), starts)):
            some = order[bounds[piece.start] : bounds[piece.stop]]
            if piece.stop - piece.start == 1:
                verified += self._anchor(some, kept_by, jaccard)
            else:
                inside = bounds[piece.start : piece.stop + 1] - bounds[piece.start]
                verified += anchor(some, inside, self._problem, self._reader.load(some), kept_by, jaccard)
        return kept_by, jaccard, verified

    def _anchor(self, component: NDArray[np.int64], kept_by: NDArray[np.int32], jaccard: NDArray[np.float32]) -> int:
        """Walk one component; of a large one memory holds what is kept so far, and some documents more."""
        kept = component[:0]
        places = np.empty(component.size, np.int64)
        verified = 0
        for piece in _pieces(self._reader.known(component)):
            some = np.concatenate((kept, component[piece]))
            places[: kept.size] = np.arange(kept.size)
            size, similar = anchor_run(
                some, kept.size, some.size, places, kept.size, self._problem, self._reader.load(some), kept_by, jaccard
            )
            kept = some[places[:size]]
            verified += similar
        return verified

    def _tell(self, compared: int) -> None:
        """Say now and then how far a long comparison has come."""
        if time.monotonic() - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            log.info(
                "dedupe: %d pairs compared in this step, %d of %d documents joined to others",
                compared,
                self.joins(),
                self._parent.size,
            )


def _pieces(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Runs of items that together have no more values than may be in memory, or are one item that has more."""
    start = 0
    large = np.flatnonzero(np.append(sizes > _VALUES_AT_ONCE, True))
    for end in large.tolist():
        number = np.cumsum(sizes[start:end]) // _VALUES_AT_ONCE
        cuts = start + 1 + np.flatnonzero(np.diff(number))
        for first, last in pairwise([start, *cuts.tolist(), end]):
            if first < last:
                yield slice(first, last)
        if end < sizes.size:
            yield slice(end, end + 1)
        start = end + 1

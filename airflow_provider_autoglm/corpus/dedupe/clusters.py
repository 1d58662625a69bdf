"""Components of near duplicates, and what goes in each: the documents that are compared, not the whole corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.blocks import BITS
from airflow_provider_autoglm.corpus.dedupe.minhash import band_groups
from airflow_provider_autoglm.corpus.dedupe.neighbours import hamming_distances, iter_pairs
from airflow_provider_autoglm.corpus.dedupe.shingles import Shingles, ShinglesOnDisk
from airflow_provider_autoglm.corpus.dedupe.verify import Problem, anchor, join_groups, join_pairs, roots

_VALUES_AT_ONCE = 8 * 1024 * 1024
"""Of sets that are looked at before their memory is given back: 32 MiB."""
_ROTATIONS = (0, 16, 32, 48)


@dataclass(frozen=True)
class Clusters:
    """For each document its component, what is kept in its place (or ``verify.KEPT``), and the similarity to that.

    ``candidates`` counts the pairs that the method offered, those that two bands offer twice; ``verified`` the pairs of
    a document and a kept one that were found similar.
    """

    component: NDArray[np.int64]
    kept_by: NDArray[np.int64]
    jaccard: NDArray[np.float64]
    candidates: int
    verified: int


def find_clusters(problem: Problem, on_disk: ShinglesOnDisk) -> Clusters:
    """Join similar candidates to components, then anchor every component in keep order.

    The result depends on the documents alone. Pairs that could not join anything are not compared, so that ten
    thousand copies of a page cost little more than ten thousand comparisons.
    """
    shingles = on_disk.read()
    sizes = shingles.ends - shingles.starts
    parent = np.arange(problem.fingerprints.size)
    candidates = 0
    for pairs, offered in _candidate_pairs(problem, parent):
        candidates += offered
        for piece in _pieces(sizes[pairs >> np.uint64(32)] + sizes[pairs & np.uint64(0xFFFFFFFF)]):
            join_pairs(parent, pairs[piece], problem, shingles)
            on_disk.forget_pages()
    for band in range(problem.band_keys.shape[1]):
        groups = band_groups(problem.band_keys[:, band])
        lengths = np.diff(groups.bounds)
        candidates += int((lengths * (lengths - 1) // 2).sum())
        join_groups(parent, groups.members, groups.bounds, problem, shingles)
        on_disk.forget_pages()
    component = roots(parent)
    kept_by, jaccard, verified = _anchored(component, problem, shingles, on_disk)
    return Clusters(component, kept_by, jaccard, candidates, verified)


def _candidate_pairs(problem: Problem, parent: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.uint64], int]]:
    """Pairs of near fingerprints and how many they stand for: likely ones, then all that are not joined by then."""
    fingerprints = problem.fingerprints
    if problem.max_hamming < 0:
        return
    for bits in _ROTATIONS:
        # Near fingerprints often are neighbours in sorted order, and copies of a page are joined by few comparisons.
        turned = (fingerprints << np.uint64(bits)) | (fingerprints >> np.uint64((BITS - bits) % BITS))
        order = np.argsort(turned, kind="stable")
        one, other = order[:-1], order[1:]
        is_near = hamming_distances(fingerprints, one, fingerprints, other) <= problem.max_hamming
        yield (one[is_near].astype(np.uint64) << np.uint64(32)) | other[is_near].astype(np.uint64), 0
    for chunk in iter_pairs(fingerprints, problem.max_hamming, joined=lambda: roots(parent)):
        yield chunk.pairs, chunk.near


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

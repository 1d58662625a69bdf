"""Which near duplicates go: those similar to a document that stays; and which documents hang together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.neighbours import pairs_within
from airflow_provider_autoglm.corpus.dedupe.shingles import Shingles

KEPT = -1
_BARELY = 1e-9
"""Room for rounding in the bound that ends a comparison early; the comparison itself is exact."""


@dataclass(frozen=True)
class Candidates:
    """Which documents to compare: those of one print, and those of prints that are near each other.

    Prints rather than documents are paired, so that many documents with one print cost no memory. Numbers are places
    in keep order. Documents of print ``p`` are ``members[member_bounds[p]:member_bounds[p + 1]]``, ascending; its
    neighbours, itself first, are ``near[near_bounds[p]:near_bounds[p + 1]]``.
    """

    print_of: NDArray[np.int64]
    members: NDArray[np.int64]
    member_bounds: NDArray[np.int64]
    near: NDArray[np.int64]
    near_bounds: NDArray[np.int64]

    @property
    def pairs(self) -> int:
        """Pairs of documents within the Hamming distance."""
        sizes = np.diff(self.member_bounds)
        print_numbers = np.repeat(np.arange(sizes.size), np.diff(self.near_bounds))
        ordered = int((sizes[print_numbers] * sizes[self.near]).sum())
        return (ordered - int(sizes.sum())) // 2

    def has_any(self) -> NDArray[np.bool_]:
        """For each document, whether there is another one to compare it with."""
        is_shared = (np.diff(self.member_bounds) > 1) | (np.diff(self.near_bounds) > 1)
        return np.asarray(is_shared[self.print_of], np.bool_)


@dataclass(frozen=True)
class Anchoring:
    """For each document, by its place in keep order, what becomes of it.

    ``kept_by`` is the most similar kept document, or ``KEPT``; ``jaccard`` is the similarity to it. ``component`` is
    the same number for all documents that a chain of similar pairs joins.
    """

    kept_by: NDArray[np.int64]
    jaccard: NDArray[np.float64]
    component: NDArray[np.int64]
    verified_pairs: int


def find_candidates(fingerprints: NDArray[np.uint64], max_hamming: int) -> Candidates:
    """The documents to compare with each, by the fingerprints in keep order."""
    prints, print_of = np.unique(fingerprints, return_inverse=True)
    pairs = pairs_within(prints, max_hamming)
    itself = np.arange(prints.size)
    left = np.concatenate((itself, pairs.i, pairs.j))
    near = np.concatenate((itself, pairs.j, pairs.i))
    by_print = np.argsort(left, kind="stable")
    return Candidates(
        print_of=print_of.astype(np.int64),
        members=np.argsort(print_of, kind="stable").astype(np.int64),
        member_bounds=_bounds(print_of, prints.size),
        near=near[by_print].astype(np.int64),
        near_bounds=_bounds(left, prints.size),
    )


def anchor(candidates: Candidates, shingles: Shingles, min_jaccard: float) -> Anchoring:
    """Walk documents in keep order; one that is similar to a kept one goes, every other one is kept.

    Pairs that could neither remove a document nor join two components are not compared, so ``verified_pairs`` counts
    the similar pairs that mattered.
    """
    compared = (
        candidates.print_of,
        candidates.members,
        candidates.member_bounds,
        candidates.near,
        candidates.near_bounds,
        shingles.values,
        shingles.starts,
        shingles.ends,
        min_jaccard,
    )
    kept_by, jaccard, parent, removing = _remove(*compared)
    component, joining = _join(*compared, kept_by, parent)
    return Anchoring(kept_by, jaccard, component, int(removing + joining))


def _bounds(numbers: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    bounds = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(numbers, minlength=size), out=bounds[1:])
    return bounds


@kernel
def _similarity(a: NDArray[np.uint64], b: NDArray[np.uint64], min_jaccard: float) -> float:
    """Jaccard similarity of two ascending sets; -1 as soon as it is certain to be below ``min_jaccard``."""
    needed = min_jaccard * (a.size + b.size) / (1 + min_jaccard) - _BARELY
    i = j = common = 0
    while i < a.size and j < b.size:
        if common + min(a.size - i, b.size - j) < needed:
            return -1.0
        if a[i] == b[j]:
            common += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    similarity = common / max(a.size + b.size - common, 1)
    return similarity if similarity >= min_jaccard else -1.0


@kernel
def _root(parent: NDArray[np.int64], n: int) -> int:
    while parent[n] != n:
        parent[n] = parent[parent[n]]
        n = parent[n]
    return n


@kernel
def _unite(parent: NDArray[np.int64], a: int, b: int) -> None:
    parent[_root(parent, a)] = _root(parent, b)


@kernel
def _remove(
    print_of: NDArray[np.int64],
    members: NDArray[np.int64],
    member_bounds: NDArray[np.int64],
    near: NDArray[np.int64],
    near_bounds: NDArray[np.int64],
    values: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    min_jaccard: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], int]:
    """Compare each document with the kept ones before it: who goes for whom, how similar, and who is joined."""
    documents = print_of.size
    kept_by = np.full(documents, KEPT, np.int64)
    best = np.zeros(documents, np.float64)
    parent = np.arange(documents)
    verified = 0
    for document in range(documents):
        own = values[starts[document] : ends[document]]
        number = print_of[document]
        for print_near in near[near_bounds[number] : near_bounds[number + 1]]:
            for other in members[member_bounds[print_near] : member_bounds[print_near + 1]]:
                if other >= document:
                    break
                if kept_by[other] != KEPT:
                    continue
                similarity = _similarity(own, values[starts[other] : ends[other]], min_jaccard)
                if similarity < 0:
                    continue
                verified += 1
                _unite(parent, document, other)
                if kept_by[document] == KEPT or (similarity, -other) > (best[document], -kept_by[document]):
                    kept_by[document] = other
                    best[document] = similarity
    return kept_by, best, parent, verified


@kernel
def _join(
    print_of: NDArray[np.int64],
    members: NDArray[np.int64],
    member_bounds: NDArray[np.int64],
    near: NDArray[np.int64],
    near_bounds: NDArray[np.int64],
    values: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    min_jaccard: float,
    kept_by: NDArray[np.int64],
    parent: NDArray[np.int64],
) -> tuple[NDArray[np.int64], int]:
    """Compare each document with the removed ones before it, where that can join two components."""
    verified = 0
    for document in range(print_of.size):
        own = values[starts[document] : ends[document]]
        number = print_of[document]
        for print_near in near[near_bounds[number] : near_bounds[number + 1]]:
            for other in members[member_bounds[print_near] : member_bounds[print_near + 1]]:
                if other >= document:
                    break
                if kept_by[other] == KEPT or _root(parent, document) == _root(parent, other):
                    continue
                if _similarity(own, values[starts[other] : ends[other]], min_jaccard) >= 0:
                    verified += 1
                    _unite(parent, document, other)
    component = np.empty_like(parent)
    for document in range(parent.size):
        component[document] = _root(parent, document)
    return component, verified

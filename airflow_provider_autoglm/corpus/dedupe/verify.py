"""Kernels that compare candidates: similar ones are joined to components, in which kept documents anchor the others.

Documents are numbered in keep order. Those from ``first_stored`` to ``end_stored`` are of earlier runs: they stay, and
are not compared with each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.bucket_search import bits_set
from airflow_provider_autoglm.corpus.dedupe.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.minhash import NO_KEY
from airflow_provider_autoglm.corpus.dedupe.shingles import Shingles

KEPT = -1
_BARELY = 1e-9
"""Room for rounding in the bound that ends a comparison early; the comparison itself is exact."""


class Problem(NamedTuple):
    """What decides: two documents are candidates if their prints differ in at most ``max_hamming`` bits or they share
    the key of a MinHash band, and near duplicates if their Jaccard similarity is ``min_jaccard`` at least.

    ``max_hamming`` is -1, and ``band_keys`` has no columns, where the method does not use them.
    """

    fingerprints: NDArray[np.uint64]
    band_keys: NDArray[np.uint32]
    max_hamming: int
    min_jaccard: float
    first_stored: int
    end_stored: int


@kernel
def _intersection(a: NDArray[np.uint32], b: NDArray[np.uint32], needed: float) -> int:
    """Values that two ascending sets share; -1 as soon as they are certain to be fewer than ``needed``."""
    i = j = common = 0
    while i < a.size and j < b.size:
        if common + min(a.size - i, b.size - j) < needed:
            return -1
        one, other = a[i], b[j]
        common += one == other
        i += one <= other
        j += other <= one
    return common


@kernel
def _estimate(a: NDArray[np.uint32], b: NDArray[np.uint32], known: int) -> float:
    """Jaccard similarity of the sets of which ``a`` and ``b`` are the smallest values, from the ``known`` of the union.

    Bottom-k sketches: Cohen and Kaplan, "Summarizing data using bottom-k sketches", 2007.
    """
    i = j = common = seen = 0
    while seen < known and i < a.size and j < b.size:
        one, other = a[i], b[j]
        common += one == other
        i += one <= other
        j += other <= one
        seen += 1
    return common / min(known, seen + a.size - i + b.size - j)


@kernel
def similarity(shingles: Shingles, one: int, other: int, min_jaccard: float) -> float:
    """Jaccard similarity of two documents; -1 if it is below ``min_jaccard``.

    It is an estimate where only the smallest values of a set are known. Texts without a word are similar to nothing.
    """
    a = shingles.values[shingles.starts[one] : shingles.ends[one]]
    b = shingles.values[shingles.starts[other] : shingles.ends[other]]
    if a.size == 0 or b.size == 0:
        return -1.0
    if a.size < shingles.sizes[one] or b.size < shingles.sizes[other]:
        known = min(
            a.size if a.size < shingles.sizes[one] else shingles.sizes[one] + shingles.sizes[other],
            b.size if b.size < shingles.sizes[other] else shingles.sizes[one] + shingles.sizes[other],
        )
        jaccard = _estimate(a, b, known)
    else:
        common = _intersection(a, b, min_jaccard * (a.size + b.size) / (1 + min_jaccard) - _BARELY)
        jaccard = common / (a.size + b.size - common) if common >= 0 else -1.0
    return jaccard if jaccard >= min_jaccard else -1.0


@kernel
def _root(parent: NDArray[np.int64], n: int) -> int:
    while parent[n] != n:
        parent[n] = parent[parent[n]]
        n = parent[n]
    return n


@kernel
def roots(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """The representative of each document's component."""
    found = np.empty_like(parent)
    for n in range(parent.size):
        found[n] = _root(parent, n)
    return found


@kernel
def _join(parent: NDArray[np.int64], one: int, other: int, problem: Problem, shingles: Shingles) -> int:
    """Unite two documents if they are similar; what is joined already is not compared. Returns 1 if it was."""
    if min(one, other) >= problem.first_stored and max(one, other) < problem.end_stored:
        return 0
    first, second = _root(parent, one), _root(parent, other)
    if first == second:
        return 0
    if similarity(shingles, one, other, problem.min_jaccard) >= 0:
        parent[max(first, second)] = min(first, second)
    return 1


@kernel
def join_pairs(parent: NDArray[np.int64], pairs: NDArray[np.uint64], problem: Problem, shingles: Shingles) -> int:
    """Unite the similar ones of ``pairs``, which are ``i << 32 | j``; returns how many were compared."""
    compared = 0
    for pair in pairs:
        one, other = np.int64(pair >> np.uint64(32)), np.int64(pair & np.uint64(0xFFFFFFFF))
        compared += _join(parent, int(one), int(other), problem, shingles)
    return compared


@kernel
def _share_a_band(band_keys: NDArray[np.uint32], bands: int, one: int, other: int) -> bool:
    """Whether two documents share the key of one of the first ``bands``."""
    for band in range(bands):
        if band_keys[one, band] == band_keys[other, band] and band_keys[one, band] != NO_KEY:
            return True
    return False


@kernel
def join_runs(
    parent: NDArray[np.int64],
    some: NDArray[np.int64],
    others: NDArray[np.int64],
    is_same: bool,
    band: int,
    problem: Problem,
    shingles: Shingles,
) -> int:
    """Unite the similar ones of two runs of documents that share the key of ``band``; returns how many were compared.

    Those that share a key of an earlier band were compared then. With ``is_same`` both are one run.
    """
    compared = 0
    for n in range(others.size):
        for m in range(n if is_same else some.size):
            if not _share_a_band(problem.band_keys, band, some[m], others[n]):
                compared += _join(parent, some[m], others[n], problem, shingles)
    return compared


@kernel
def join_groups(
    parent: NDArray[np.int64],
    members: NDArray[np.int64],
    bounds: NDArray[np.int64],
    band: int,
    problem: Problem,
    shingles: Shingles,
) -> int:
    """As :func:`join_runs`, of each group ``members[bounds[g]:bounds[g + 1]]``."""
    compared = 0
    for group in range(bounds.size - 1):
        run = members[bounds[group] : bounds[group + 1]]
        compared += join_runs(parent, run, run, True, band, problem, shingles)
    return compared


@kernel
def _are_candidates(problem: Problem, one: int, other: int) -> bool:
    difference = problem.fingerprints[one] ^ problem.fingerprints[other]
    if np.int64(bits_set(difference)) <= problem.max_hamming:
        return True
    return _share_a_band(problem.band_keys, problem.band_keys.shape[1], one, other)


@kernel
def anchor_run(
    documents: NDArray[np.int64],
    kept: NDArray[np.int64],
    size: int,
    problem: Problem,
    shingles: Shingles,
    kept_by: NDArray[np.int64],
    jaccard: NDArray[np.float64],
) -> tuple[int, int]:
    """Walk documents of one component in keep order; one goes for the most similar kept one that it is a candidate of.

    ``kept[:size]`` are those kept so far; what is kept now is put behind them. ``kept_by`` and ``jaccard`` are written.
    Returns the new size, and how many pairs of a document and a kept one were found similar.
    """
    verified = 0
    for document in documents:
        is_stored = problem.first_stored <= document < problem.end_stored
        kept_by[document], jaccard[document] = KEPT, 1.0
        for other in kept[: 0 if is_stored else size]:
            if not _are_candidates(problem, document, other):
                continue
            similar = similarity(shingles, document, other, problem.min_jaccard)
            verified += similar >= 0
            if similar >= 0 and (kept_by[document] == KEPT or similar > jaccard[document]):
                kept_by[document], jaccard[document] = other, similar
        if kept_by[document] == KEPT:
            kept[size] = document
            size += 1
    return size, verified


@kernel
def anchor(
    components: NDArray[np.int64],
    bounds: NDArray[np.int64],
    problem: Problem,
    shingles: Shingles,
    kept_by: NDArray[np.int64],
    jaccard: NDArray[np.float64],
) -> int:
    """As :func:`anchor_run`, of each component ``components[bounds[c]:bounds[c + 1]]``."""
    kept = np.empty(np.max(np.diff(bounds)), np.int64)
    verified = 0
    for component in range(bounds.size - 1):
        run = components[bounds[component] : bounds[component + 1]]
        verified += anchor_run(run, kept, 0, problem, shingles, kept_by, jaccard)[1]
    return verified

"""Kernels that compare candidates: similar ones are joined to components, in which kept documents anchor the others.

Documents are numbered in keep order. Those from ``first_stored`` to ``end_stored`` are of earlier runs: they stay, and
are not compared with each other. The kernels are given some ``documents`` at a time, and name them by their places in
that array, by which their sets are known too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.bucket_search import bits_set
from airflow_provider_autoglm.corpus.dedupe.minhash import NO_KEY
from airflow_provider_autoglm.corpus.dedupe.shingles import Shingles

KEPT = -1
_BARELY = 1e-9
"""Room for rounding in the bound that ends a comparison early; the comparison itself is exact."""


class Problem(NamedTuple):
    """What decides: two documents are candidates if their prints differ in at most ``max_hamming`` bits or they share
    the key of a MinHash band, and near duplicates if their Jaccard similarity is ``min_jaccard`` at least.

    ``max_hamming`` is -1, and ``bands`` is 0, where the method does not use them.
    """

    fingerprints: NDArray[np.uint64]
    bands: int
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
def _root(parent: NDArray[np.int32], n: int) -> int:
    while parent[n] != n:
        parent[n] = parent[parent[n]]
        n = parent[n]
    return n


@kernel
def roots(parent: NDArray[np.int32]) -> NDArray[np.int32]:
    """The representative of each document's component."""
    found = np.empty_like(parent)
    for n in range(parent.size):
        found[n] = _root(parent, n)
    return found


@kernel
def _join(
    parent: NDArray[np.int32], documents: NDArray[np.int64], one: int, other: int, problem: Problem, shingles: Shingles
) -> int:
    """Unite two documents if they are similar; what is joined already is not compared. Returns 1 if it was."""
    a, b = documents[one], documents[other]
    if min(a, b) >= problem.first_stored and max(a, b) < problem.end_stored:
        return 0
    first, second = _root(parent, a), _root(parent, b)
    if first == second:
        return 0
    if similarity(shingles, one, other, problem.min_jaccard) >= 0:
        parent[max(first, second)] = min(first, second)
    return 1


@kernel
def join_pairs(
    parent: NDArray[np.int32],
    documents: NDArray[np.int64],
    ones: NDArray[np.int64],
    others: NDArray[np.int64],
    problem: Problem,
    shingles: Shingles,
) -> int:
    """Unite the similar ones of the pairs ``(ones[n], others[n])``; returns how many were compared."""
    compared = 0
    for n in range(ones.size):
        compared += _join(parent, documents, ones[n], others[n], problem, shingles)
    return compared


@kernel
def _share_a_band(shingles: Shingles, bands: int, compared: int, one: int, other: int) -> bool:
    """Whether two documents, each with its keys of ``bands``, share one of the first ``compared``."""
    first, second = shingles.starts[one] - bands, shingles.starts[other] - bands
    for band in range(compared):
        key = shingles.values[first + band]
        if key == shingles.values[second + band] and key != NO_KEY:
            return True
    return False


@kernel
def join_runs(
    parent: NDArray[np.int32],
    documents: NDArray[np.int64],
    start: int,
    split: int,
    end: int,
    band: int,
    problem: Problem,
    shingles: Shingles,
) -> int:
    """Unite the similar ones of ``documents[start:split]`` and ``documents[split:end]``, which share a key: ``band``'s.

    Those that share a key of an earlier band were compared then. With ``split`` at the start all are compared with
    all. Returns how many pairs were compared.
    """
    compared = 0
    for n in range(split, end):
        for m in range(start, n if split == start else split):
            if not _share_a_band(shingles, problem.bands, band, m, n):
                compared += _join(parent, documents, m, n, problem, shingles)
    return compared


@kernel
def join_groups(
    parent: NDArray[np.int32],
    documents: NDArray[np.int64],
    bounds: NDArray[np.int64],
    band: int,
    problem: Problem,
    shingles: Shingles,
) -> int:
    """As :func:`join_runs`, of each group ``documents[bounds[g]:bounds[g + 1]]``, all with all."""
    compared = 0
    for group in range(bounds.size - 1):
        start, end = bounds[group], bounds[group + 1]
        compared += join_runs(parent, documents, start, start, end, band, problem, shingles)
    return compared


@kernel
def _are_candidates(documents: NDArray[np.int64], one: int, other: int, problem: Problem, shingles: Shingles) -> bool:
    difference = problem.fingerprints[documents[one]] ^ problem.fingerprints[documents[other]]
    if np.int64(bits_set(difference)) <= problem.max_hamming:
        return True
    return _share_a_band(shingles, problem.bands, problem.bands, one, other)


@kernel
def anchor_run(
    documents: NDArray[np.int64],
    start: int,
    end: int,
    kept: NDArray[np.int64],
    size: int,
    problem: Problem,
    shingles: Shingles,
    kept_by: NDArray[np.int32],
    jaccard: NDArray[np.float32],
) -> tuple[int, int]:
    """Walk ``documents[start:end]``, all of one component, in keep order.

    One goes for the most similar kept one that it is a candidate of. ``kept[:size]`` are the places of those kept so
    far; what is kept now is put behind them. ``kept_by`` and ``jaccard`` are written. Returns the new size, and how
    many pairs of a document and a kept one were found similar.
    """
    verified = 0
    for place in range(start, end):
        document = documents[place]
        is_stored = problem.first_stored <= document < problem.end_stored
        best, most = KEPT, 0.0
        for other in kept[: 0 if is_stored else size]:
            if not _are_candidates(documents, place, other, problem, shingles):
                continue
            similar = similarity(shingles, place, other, problem.min_jaccard)
            verified += similar >= 0
            if similar >= 0 and (best == KEPT or similar > most):
                best, most = documents[other], similar
        kept_by[document], jaccard[document] = best, most
        if best == KEPT:
            jaccard[document] = 1.0
            kept[size] = place
            size += 1
    return size, verified


@kernel
def anchor(
    documents: NDArray[np.int64],
    bounds: NDArray[np.int64],
    problem: Problem,
    shingles: Shingles,
    kept_by: NDArray[np.int32],
    jaccard: NDArray[np.float32],
) -> int:
    """As :func:`anchor_run`, of each component ``documents[bounds[c]:bounds[c + 1]]``."""
    kept = np.empty(np.max(np.diff(bounds)), np.int64)
    verified = 0
    for component in range(bounds.size - 1):
        start, end = bounds[component], bounds[component + 1]
        verified += anchor_run(documents, start, end, kept, 0, problem, shingles, kept_by, jaccard)[1]
    return verified

"""MinHash: candidates by the Jaccard similarity of their sets of four-character windows, for short and Chinese text.

Two sets have the same minimum under a random permutation with a probability that is their Jaccard similarity J (Broder,
"On the resemblance and containment of documents", 1997). The minima of 128 permutations are cut into 32 bands of 4, and
documents that agree in a band are candidates: 1 - (1 - J ** 4) ** 32 of the pairs, .87 at J = .5 and .99 at J = .6
(Leskovec, Rajaraman and Ullman, "Mining of massive datasets", 2020, section 3.4).

A permutation is ``hash * odd + added`` modulo 2 ** 32 (Dietzfelbinger et al., "A reliable randomized algorithm for the
closest-pair problem", 1997), of a hash that mixes a window's characters. Without ``added`` a hash near zero would be
the minimum of many permutations at once. A minimum does not mind repetition, so the sets are never made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.tokens import CHARACTERS_OF_A_WINDOW

BANDS = 32
ROWS_OF_A_BAND = 4
PERMUTATIONS = BANDS * ROWS_OF_A_BAND
NO_KEY = 0
"""The key in each band of a document without a window; no other document has it."""

_SEED = 1997
# NumPy promises the raw numbers of a bit generator for all versions, those of a Generator it does not.
_RANDOM = np.random.PCG64(_SEED).random_raw(PERMUTATIONS)
_ADDED = _RANDOM.astype(np.uint32)
_MULTIPLIERS = (_RANDOM >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
_LARGEST = np.uint32(0xFFFFFFFF)
_UNMIXED = np.uint32(0x811C9DC5)


@dataclass(frozen=True)
class Groups:
    """Documents that agree in a band: group ``g`` is ``members[bounds[g]:bounds[g + 1]]``, ascending, two or more."""

    members: NDArray[np.int64]
    bounds: NDArray[np.int64]


@kernel
def _add(mixed: np.uint32, word: np.uint32) -> np.uint32:
    product = np.uint32((mixed ^ word) * np.uint32(0x9E3779B1))
    return np.uint32(product ^ (product >> np.uint32(15)))


@kernel
def _finish(mixed: np.uint32) -> np.uint32:
    """Let every bit depend on every bit (finaliser of MurmurHash3, Appleby 2011)."""
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(mixed ^ (mixed >> np.uint32(16)))


@kernel
def _hash_of_four(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32) -> np.uint32:
    return _finish(_add(_add(_add(_add(_UNMIXED, a), b), c), d))


@kernel
def _window_hashes(codes: NDArray[np.uint32], bounds: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The hash of the window that starts at each character; those across two documents are not for use.

    A document shorter than a window has one, at its first character.
    """
    hashes = np.empty(codes.size, np.uint32)
    for position in range(codes.size - CHARACTERS_OF_A_WINDOW + 1):
        hashes[position] = _hash_of_four(codes[position], codes[position + 1], codes[position + 2], codes[position + 3])
    for document in range(bounds.size - 1):
        start, end = bounds[document], bounds[document + 1]
        if 0 < end - start < CHARACTERS_OF_A_WINDOW:
            mixed = _UNMIXED
            for position in range(start, end):
                mixed = _add(mixed, codes[position])
            hashes[start] = _finish(mixed)
    return hashes


@kernel
def _permuted(value: np.uint32, permutation: int) -> np.uint32:
    return np.uint32(np.uint32(value * _MULTIPLIERS[permutation]) + _ADDED[permutation])


@kernel
def _lower(minima: NDArray[np.uint32], a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32) -> None:
    """Take four windows into the minima, so that those are loaded and stored once for four.

    The permutations are the inner dimension, so that the compiler computes several in one instruction.
    """
    for permutation in range(PERMUTATIONS):
        first = min(_permuted(a, permutation), _permuted(b, permutation))
        second = min(_permuted(c, permutation), _permuted(d, permutation))
        minima[permutation] = min(minima[permutation], first, second)


@kernel
def band_keys(codes: NDArray[np.uint32], bounds: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The keys of each document in the 32 bands, ``uint32[documents, 32]``, from the two arrays of ``Tokens``.

    Documents with the same set of windows have the same keys, on every machine. Keys of one band can agree by chance,
    at one pair in 2 ** 32. A document without a window has ``NO_KEY`` in every band.
    """
    hashes = _window_hashes(codes, bounds)
    keys = np.full((bounds.size - 1, BANDS), NO_KEY, np.uint32)
    minima = np.empty(PERMUTATIONS, np.uint32)
    for document in range(bounds.size - 1):
        start, end = bounds[document], bounds[document + 1]
        if start == end:
            continue
        minima[:] = _LARGEST
        last = max(end - CHARACTERS_OF_A_WINDOW, start)
        for window in range(start, last + 1, 4):
            _lower(
                minima,
                hashes[window],
                hashes[min(window + 1, last)],
                hashes[min(window + 2, last)],
                hashes[min(window + 3, last)],
            )
        for band in range(BANDS):
            key = _hash_of_four(minima[band], minima[BANDS + band], minima[2 * BANDS + band], minima[3 * BANDS + band])
            keys[document, band] = max(key, np.uint32(NO_KEY + 1))
    return keys


def band_groups(keys: NDArray[np.uint32]) -> Groups:
    """The documents that share a key of one band, ``uint32[documents]``: groups of two or more, by ascending key.

    Documents with ``NO_KEY`` are in no group.
    """
    by_key = _above_numbers(keys)
    by_key.sort()
    return Groups(*_runs(by_key))


@kernel
def _above_numbers(keys: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Keys above the numbers of the documents: all different, so that the fastest sort there is gives one result."""
    by_key = np.empty(keys.size, np.uint64)
    for n in range(keys.size):
        by_key[n] = np.uint64(keys[n]) << np.uint64(32) | np.uint64(n)
    return by_key


@kernel
def _runs(by_key: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Members and bounds of the groups; ``by_key`` is overwritten, from where nothing is read any more."""
    members = by_key.view(np.int64)
    bounds = np.zeros(by_key.size // 2 + 1, np.int64)
    groups = size = start = 0
    for end in range(1, by_key.size + 1):
        key = by_key[start] >> np.uint64(32)
        if end < by_key.size and by_key[end] >> np.uint64(32) == key:
            continue
        if end - start > 1 and key != NO_KEY:
            for position in range(start, end):
                members[size] = by_key[position] & np.uint64(0xFFFFFFFF)
                size += 1
            groups += 1
            bounds[groups] = size
        start = end
    return members[:size].copy(), bounds[: groups + 1].copy()

"""All pairs of fingerprints within a Hamming distance, exactly, without comparing all with all.

Each block of the 64 bits (``blocks``) is a counting sort and a walk over its buckets: the fingerprints of the buckets
near one are copied side by side, so that the members of that one are compared with them by vector instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.blocks import BITS, Blocks, best_blocks, flips_of
from airflow_provider_autoglm.corpus.dedupe.bucket_search import (
    PAIRS_OF_A_CHUNK,
    hamming_distances,
    numbers_of_buckets,
    search_buckets,
    sort_by_block,
)
from airflow_provider_autoglm.corpus.dedupe.threads import in_threads

_RANGES_OF_A_BLOCK = 16
_FEWEST_OF_A_RANGE = 4_096
_ROTATIONS = (0, 16, 32, 48)
_NOTHING_JOINED: NDArray[np.int32] = np.empty(0, np.int32)


@dataclass(frozen=True)
class Pairs:
    """Pairs sorted by ``(i, j)``, each once, and the bits in which they differ."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    hamming: NDArray[np.uint8]


@dataclass(frozen=True)
class BucketRange:
    """A share of a search: the buckets ``first`` to ``end`` of one block. Shares find no pair twice."""

    block: int
    first: int
    end: int


@dataclass(frozen=True)
class _Buckets:
    """Fingerprints sorted by a block: bucket ``key`` is ``starts[key]:starts[key + 1]``; ``members`` says whose."""

    prints: NDArray[np.uint64]
    members: NDArray[np.uint32]
    starts: NDArray[np.int64]


def pairs_within(fingerprints: NDArray[np.uint64], max_hamming: int) -> Pairs:
    """Every pair ``i < j`` of ``fingerprints`` that differs in at most ``max_hamming`` bits.

    :raises ValueError: if ``max_hamming`` is not between 0 and 64.
    """
    fingerprints = np.ascontiguousarray(fingerprints, np.uint64)
    found = list(iter_pairs(fingerprints, max_hamming))
    return _unpacked(np.concatenate([np.empty(0, np.uint64), *found]), fingerprints, fingerprints)


def pairs_between(batch: NDArray[np.uint64], stored: NDArray[np.uint64], max_hamming: int) -> Pairs:
    """Every pair of a fingerprint ``i`` of ``batch`` and a fingerprint ``j`` of ``stored``.

    :raises ValueError: if ``max_hamming`` is not between 0 and 64.
    """
    batch, stored = np.ascontiguousarray(batch, np.uint64), np.ascontiguousarray(stored, np.uint64)
    found = list(iter_pairs_between(batch, stored, max_hamming))
    return _unpacked(np.concatenate([np.empty(0, np.uint64), *found]), batch, stored)


def iter_pairs_between(
    batch: NDArray[np.uint64], stored: NDArray[np.uint64], max_hamming: int
) -> Iterator[NDArray[np.uint64]]:
    """As :func:`pairs_between`, some pairs at a time; memory is that of both arrays three times."""
    blocks = best_blocks(stored.size, batch.size, max_hamming)
    for block in range(blocks.shifts.size):
        left, right = _sorted_by(stored, blocks, block), _sorted_by(batch, blocks, block)
        for pairs in _search_ranges(left, right, blocks, _even_ranges(block, left), _NOTHING_JOINED, is_same=False):
            yield (pairs << np.uint64(32)) | (pairs >> np.uint64(32))


def iter_pairs(
    fingerprints: NDArray[np.uint64],
    max_hamming: int,
    *,
    share: tuple[int, int] = (0, 1),
    joined: Callable[[], NDArray[np.integer[Any]]] | None = None,
) -> Iterator[NDArray[np.uint64]]:
    """The pairs ``i < j`` within ``max_hamming``, some at a time, each once, in a fixed order.

    ``share`` is (number, count): of all buckets of all blocks only the ``number``-th of ``count`` equal shares is
    searched; the pairs of all shares are the pairs of one search. ``joined`` is asked before each block for a number
    for each fingerprint: pairs with the same number are left out.

    :raises ValueError: if ``max_hamming`` is not between 0 and 64.
    """
    blocks = best_blocks(fingerprints.size, fingerprints.size, max_hamming)
    for chosen in _shares(blocks, *share):
        buckets = _sorted_by(fingerprints, blocks, chosen.block)
        ranges = [
            BucketRange(chosen.block, max(part.first, chosen.first), min(part.end, chosen.end))
            for part in _even_ranges(chosen.block, buckets)
            if part.first < chosen.end and part.end > chosen.first
        ]
        already = joined().astype(np.int32, copy=False) if joined is not None else _NOTHING_JOINED
        yield from _search_ranges(buckets, buckets, blocks, ranges, already, is_same=True)


def likely_pairs(fingerprints: NDArray[np.uint64], max_hamming: int) -> Iterator[NDArray[np.uint64]]:
    """Some of the pairs within ``max_hamming``, as ``i << 32 | j``: neighbours in the order of some of their bits.

    Copies of one page are chained by these few, so that the pairs among them need not be looked at one by one.
    """
    for bits in _ROTATIONS:
        turned = (fingerprints << np.uint64(bits)) | (fingerprints >> np.uint64((BITS - bits) % BITS))
        order = np.argsort(turned, kind="stable")
        del turned
        for start in range(0, order.size - 1, PAIRS_OF_A_CHUNK):
            one, other = order[:-1][start : start + PAIRS_OF_A_CHUNK], order[1:][start : start + PAIRS_OF_A_CHUNK]
            is_near = hamming_distances(fingerprints, one, fingerprints, other) <= max_hamming
            yield (one[is_near].astype(np.uint64) << np.uint64(32)) | other[is_near].astype(np.uint64)


def _shares(blocks: Blocks, number: int, count: int) -> Iterator[BucketRange]:
    """The buckets of one share; the blocks lie one after the other and count by what their walk costs."""
    walks = np.array([flips_of(blocks, block).size for block in range(blocks.shifts.size)], np.float64)
    ends = np.cumsum(walks)
    first, end = ends[-1] * number / count, ends[-1] * (number + 1) / count
    for block in range(blocks.shifts.size):
        buckets = 1 << int(blocks.widths[block])
        start = ends[block] - walks[block]
        bounds = [round(min(max((place - start) / walks[block], 0.0), 1.0) * buckets) for place in (first, end)]
        if bounds[0] < bounds[1]:
            yield BucketRange(block, *bounds)


def _even_ranges(block: int, buckets: _Buckets) -> list[BucketRange]:
    """Ranges of buckets with about as many fingerprints each, for threads to share."""
    size = buckets.prints.size
    count = max(1, min(_RANGES_OF_A_BLOCK, size // _FEWEST_OF_A_RANGE))
    cuts = np.searchsorted(buckets.starts, [size * part // count for part in range(1, count)]).tolist()
    return [
        BucketRange(block, first, end) for first, end in pairwise([0, *cuts, buckets.starts.size - 1]) if first < end
    ]


def _search_ranges(
    left: _Buckets,
    right: _Buckets,
    blocks: Blocks,
    ranges: list[BucketRange],
    joined: NDArray[np.int32],
    *,
    is_same: bool,
) -> Iterator[NDArray[np.uint64]]:
    sides = (left.prints, left.members, left.starts, right.prints, right.members, right.starts)

    numbers = numbers_of_buckets(right.starts, right.members, joined)

    def search(part: BucketRange, state: NDArray[np.int64]) -> NDArray[np.uint64]:
        flips = flips_of(blocks, part.block)
        found: NDArray[np.uint64] = search_buckets(
            *sides, part.end, flips, part.block, blocks, joined, numbers, is_same, state
        )
        return found

    def begin(part: BucketRange) -> tuple[BucketRange, NDArray[np.int64], NDArray[np.uint64]]:
        state = np.array([part.first, 0, 0, 0, 0], np.int64)
        return part, state, search(part, state)

    for part, state, pairs in in_threads(begin, ranges):
        yield pairs
        while state[0] < part.end:
            yield search(part, state)


def _sorted_by(fingerprints: NDArray[np.uint64], blocks: Blocks, block: int) -> _Buckets:
    return _Buckets(*sort_by_block(fingerprints, int(blocks.shifts[block]), int(blocks.widths[block])))


def _unpacked(found: NDArray[np.uint64], left: NDArray[np.uint64], right: NDArray[np.uint64]) -> Pairs:
    found.sort()
    i, j = (found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return Pairs(i, j, hamming_distances(left, i, right, j))

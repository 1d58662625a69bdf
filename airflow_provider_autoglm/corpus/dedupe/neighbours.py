"""All pairs of fingerprints within a Hamming distance, exactly, without comparing all with all.

Each block of the 64 bits (``blocks``) is a counting sort and a walk over its buckets: the fingerprints of the buckets
near one are copied side by side, so that the members of that one are compared with them by vector instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.blocks import BITS, Blocks, best_blocks, flips_of
from airflow_provider_autoglm.corpus.dedupe.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.threads import in_threads

_TILE = 2_048
"""Fingerprints that are compared at once; a tile stays in the nearest cache."""
_VECTORS = 32
"""Tiles are filled up to a multiple of this many fingerprints, for loops without a rest."""
_RANGES_OF_A_BLOCK = 16
_FEWEST_OF_A_RANGE = 4_096
_PAIRS_OF_A_CHUNK = 65_536
_ROTATIONS = (0, 16, 32, 48)
_NOTHING_JOINED: NDArray[np.int64] = np.empty(0, np.int64)


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
    joined: Callable[[], NDArray[np.int64]] | None = None,
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
        already = joined() if joined is not None else _NOTHING_JOINED
        yield from _search_ranges(buckets, buckets, blocks, ranges, already, is_same=True)


def likely_pairs(fingerprints: NDArray[np.uint64], max_hamming: int) -> Iterator[NDArray[np.uint64]]:
    """Some of the pairs within ``max_hamming``, as ``i << 32 | j``: neighbours in the order of some of their bits.

    Copies of one page are chained by these few, so that the pairs among them need not be looked at one by one.
    """
    for bits in _ROTATIONS:
        turned = (fingerprints << np.uint64(bits)) | (fingerprints >> np.uint64((BITS - bits) % BITS))
        order = np.argsort(turned, kind="stable")
        one, other = order[:-1], order[1:]
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
    joined: NDArray[np.int64],
    *,
    is_same: bool,
) -> Iterator[NDArray[np.uint64]]:
    sides = (left.prints, left.members, left.starts, right.prints, right.members, right.starts)

    numbers = _numbers_of_buckets(right.starts, right.members, joined)

    def search(part: BucketRange, state: NDArray[np.int64]) -> NDArray[np.uint64]:
        flips = flips_of(blocks, part.block)
        found: NDArray[np.uint64] = _search(
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
    return _Buckets(*_sort(fingerprints, int(blocks.shifts[block]), int(blocks.widths[block])))


def _unpacked(found: NDArray[np.uint64], left: NDArray[np.uint64], right: NDArray[np.uint64]) -> Pairs:
    found.sort()
    i, j = (found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return Pairs(i, j, hamming_distances(left, i, right, j))


@kernel
def bits_set(x: np.uint64) -> np.uint64:
    """Population count, in the form that compilers turn into one instruction."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@kernel
def hamming_distances(
    left: NDArray[np.uint64], i: NDArray[np.int64], right: NDArray[np.uint64], j: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Bits in which the fingerprints ``left[i[n]]`` and ``right[j[n]]`` differ."""
    distances = np.empty(i.size, np.uint8)
    for n in range(i.size):
        distances[n] = bits_set(left[i[n]] ^ right[j[n]])
    return distances


@kernel
def _sort(
    fingerprints: NDArray[np.uint64], shift: int, width: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.int64]]:
    """Counting sort by a block."""
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    starts = np.zeros((1 << width) + 1, np.int64)
    for fingerprint in fingerprints:
        starts[np.int64((fingerprint >> np.uint64(shift)) & mask) + 1] += 1
    for key in range(1 << width):
        starts[key + 1] += starts[key]
    prints = np.empty_like(fingerprints)
    members = np.empty(fingerprints.size, np.uint32)
    ends = starts.copy()
    for n in range(fingerprints.size):
        bucket = np.int64((fingerprints[n] >> np.uint64(shift)) & mask)
        prints[ends[bucket]] = fingerprints[n]
        members[ends[bucket]] = n
        ends[bucket] += 1
    return prints, members, starts


@kernel
def _has_near(
    prints: NDArray[np.uint64], start: int, stop: int, fingerprint: np.uint64, max_hamming: np.uint64
) -> bool:
    """Whether any of ``prints[start:stop]`` is near; no branch in the loop, so that it is vectorised."""
    nearest = np.uint64(BITS)
    for n in range(start, stop):
        nearest = min(nearest, bits_set(prints[n] ^ fingerprint))
    return bool(nearest <= max_hamming)


@kernel
def _is_found_before(
    difference: np.uint64, block: int, shifts: NDArray[np.int64], widths: NDArray[np.int64], radii: NDArray[np.int64]
) -> bool:
    """Whether a block before ``block`` reports this pair."""
    for earlier in range(block):
        mask = (np.uint64(1) << np.uint64(widths[earlier])) - np.uint64(1)
        if bits_set((difference >> np.uint64(shifts[earlier])) & mask) <= np.uint64(radii[earlier]):
            return True
    return False


@kernel
def _report(
    found: NDArray[np.uint64],
    size: int,
    fingerprint: np.uint64,
    member: np.uint32,
    prints: NDArray[np.uint64],
    members: NDArray[np.uint32],
    start: int,
    stop: int,
    block: int,
    blocks: Blocks,
    joined: NDArray[np.int64],
    is_same: bool,
) -> tuple[NDArray[np.uint64], int]:
    """Append the pairs of one fingerprint and ``prints[start:stop]``."""
    for n in range(start, stop):
        difference = prints[n] ^ fingerprint
        if bits_set(difference) > np.uint64(blocks.max_hamming) or _is_found_before(
            difference, block, blocks.shifts, blocks.widths, blocks.radii
        ):
            continue
        one, other = member, members[n]
        if joined.size > 0 and joined[one] == joined[other]:
            continue
        if size == found.size:
            found = np.concatenate((found, np.empty_like(found)))
        if is_same and one > other:
            one, other = other, one
        found[size] = np.uint64(one) << np.uint64(32) | np.uint64(other)
        size += 1
    return found, size


@kernel
def _numbers_of_buckets(
    starts: NDArray[np.int64], members: NDArray[np.uint32], joined: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The number that all members of a bucket have in ``joined``, or -1; nothing if nothing is joined."""
    numbers = np.full(starts.size - 1 if joined.size > 0 else 0, -1, np.int64)
    for key in range(numbers.size):
        for n in range(starts[key], starts[key + 1]):
            number = joined[members[n]]
            if n > starts[key] and number != numbers[key]:
                numbers[key] = -1
                break
            numbers[key] = number
    return numbers


@kernel
def _fill_tile(
    tile: NDArray[np.uint64],
    tile_members: NDArray[np.uint32],
    prints: NDArray[np.uint64],
    members: NDArray[np.uint32],
    starts: NDArray[np.int64],
    key: int,
    flips: NDArray[np.int64],
    numbers: NDArray[np.int64],
    is_same: bool,
    flip: int,
    place: int,
) -> tuple[int, int, int]:
    """Copy the buckets near ``key`` until the tile is full, from the ``flip``-th and the ``place``-th of it on.

    Returns how many were copied and where to go on; nothing is left when ``flip`` is behind the last one.
    """
    filled = 0
    while flip < flips.size:
        other = key ^ flips[flip]
        # Of one array, a pair of buckets is walked from the smaller key, unless all in both are joined already.
        is_walked = not is_same or (other > key and (numbers.size == 0 or not 0 <= numbers[key] == numbers[other]))
        size = starts[other + 1] - starts[other] if is_walked else 0
        taken = min(size - place, tile.size - filled)
        for n in range(taken):
            tile[filled + n] = prints[starts[other] + place + n]
            tile_members[filled + n] = members[starts[other] + place + n]
        filled += taken
        place += taken
        if place < size:
            break
        flip, place = flip + 1, 0
    return filled, flip, place


@kernel
def _search(
    left_prints: NDArray[np.uint64],
    left_members: NDArray[np.uint32],
    left_starts: NDArray[np.int64],
    right_prints: NDArray[np.uint64],
    right_members: NDArray[np.uint32],
    right_starts: NDArray[np.int64],
    end: int,
    flips: NDArray[np.int64],
    block: int,
    blocks: Blocks,
    joined: NDArray[np.int64],
    numbers: NDArray[np.int64],
    is_same: bool,
    state: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """Pairs ``left << 32 | right`` of the left buckets up to ``end``, each reported by its first block only.

    With ``is_same`` both sides are one array, and the smaller number comes first. ``state`` says where to go on, and
    is where the next call goes on: bucket, members of it that were compared inside it, flip and place that the
    present tile begins with, members that were compared with it. It is behind ``end`` when all is done.
    """
    max_hamming = np.uint64(blocks.max_hamming)
    found, size = np.empty(1024, np.uint64), 0
    tile, tile_members = np.empty(_TILE, np.uint64), np.empty(_TILE, np.uint32)
    while state[0] < end:
        key = state[0]
        start, stop = left_starts[key], left_starts[key + 1]
        number = numbers[key] if numbers.size > 0 else -1
        while is_same and number < 0 and state[1] < stop - start and size < _PAIRS_OF_A_CHUNK:
            a = start + state[1]
            state[1] += 1
            if _has_near(left_prints, a + 1, stop, left_prints[a], max_hamming):
                found, size = _report(
                    found, size, left_prints[a], left_members[a], left_prints, left_members, a + 1, stop,
                    block, blocks, joined, is_same,
                )  # fmt: skip
        while start < stop and state[2] < flips.size and size < _PAIRS_OF_A_CHUNK:
            filled, flip, place = _fill_tile(
                tile, tile_members, right_prints, right_members, right_starts, key, flips, numbers, is_same,
                state[2], state[3],
            )  # fmt: skip
            padded = (filled + _VECTORS - 1) // _VECTORS * _VECTORS
            tile[filled:padded] = tile[max(filled - 1, 0)]
            while state[4] < stop - start and size < _PAIRS_OF_A_CHUNK:
                a = start + state[4]
                state[4] += 1
                if _has_near(tile, 0, padded, left_prints[a], max_hamming):
                    found, size = _report(
                        found, size, left_prints[a], left_members[a], tile, tile_members, 0, filled,
                        block, blocks, joined, is_same,
                    )  # fmt: skip
            if state[4] == stop - start:
                state[2], state[3], state[4] = flip, place, 0
        if size >= _PAIRS_OF_A_CHUNK:
            break
        state[0], state[1], state[2], state[3], state[4] = key + 1, 0, 0, 0, 0
    return found[:size]

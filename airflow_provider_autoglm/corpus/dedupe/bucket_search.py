"""The kernels of the search for neighbours: buckets of fingerprints, walked and compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.blocks import BITS, Blocks

_TILE = 2_048
"""Fingerprints that are compared at once; a tile stays in the nearest cache."""
_VECTORS = 32
"""Tiles are filled up to a multiple of this many fingerprints, for loops without a rest."""
PAIRS_OF_A_CHUNK = 65_536
"""Pairs after which a search returns, to go on with the next call."""


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
def sort_by_block(
    fingerprints: NDArray[np.uint64], shift: int, width: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.int64]]:
    """Counting sort by a block."""
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    # The start of a bucket is counted up to its end while it is filled: that is the start of the next one.
    starts = np.zeros((1 << width) + 2, np.int64)
    for fingerprint in fingerprints:
        starts[np.int64((fingerprint >> np.uint64(shift)) & mask) + 2] += 1
    for key in range(1 << width):
        starts[key + 2] += starts[key + 1]
    prints = np.empty_like(fingerprints)
    members = np.empty(fingerprints.size, np.uint32)
    for n in range(fingerprints.size):
        bucket = np.int64((fingerprints[n] >> np.uint64(shift)) & mask)
        place = starts[bucket + 1]
        prints[place] = fingerprints[n]
        members[place] = n
        starts[bucket + 1] += 1
    return prints, members, starts[:-1]


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
    joined: NDArray[np.int32],
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
def numbers_of_buckets(
    starts: NDArray[np.int64], members: NDArray[np.uint32], joined: NDArray[np.int32]
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
def search_buckets(
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
    joined: NDArray[np.int32],
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
        while is_same and number < 0 and state[1] < stop - start and size < PAIRS_OF_A_CHUNK:
            a = start + state[1]
            state[1] += 1
            if _has_near(left_prints, a + 1, stop, left_prints[a], max_hamming):
                found, size = _report(
                    found, size, left_prints[a], left_members[a], left_prints, left_members, a + 1, stop,
                    block, blocks, joined, is_same,
                )  # fmt: skip
        while start < stop and state[2] < flips.size and size < PAIRS_OF_A_CHUNK:
            filled, flip, place = _fill_tile(
                tile, tile_members, right_prints, right_members, right_starts, key, flips, numbers, is_same,
                state[2], state[3],
            )  # fmt: skip
            padded = (filled + _VECTORS - 1) // _VECTORS * _VECTORS
            tile[filled:padded] = tile[max(filled - 1, 0)]
            while state[4] < stop - start and size < PAIRS_OF_A_CHUNK:
                a = start + state[4]
                state[4] += 1
                if _has_near(tile, 0, padded, left_prints[a], max_hamming):
                    found, size = _report(
                        found, size, left_prints[a], left_members[a], tile, tile_members, 0, filled,
                        block, blocks, joined, is_same,
                    )  # fmt: skip
            if state[4] == stop - start:
                state[2], state[3], state[4] = flip, place, 0
        if size >= PAIRS_OF_A_CHUNK:
            break
        state[0], state[1], state[2], state[3], state[4] = key + 1, 0, 0, 0, 0
    return found[:size]

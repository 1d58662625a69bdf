"""All pairs of fingerprints within a Hamming distance, exactly, without comparing all with all.

Blocks of the 64 bits get radii with sum(radius + 1) = max_hamming + 1: a pair that differs in at most max_hamming
bits differs in some block by no more than its radius (pigeonhole; Norouzi et al., "Fast exact search in Hamming space
with multi-index hashing", 2014, with unequal radii). Each block is a counting sort and a walk over bucket pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.compile_cache import kernel

_BITS = 64
_WIDEST_BLOCK = 22
"""Bits; a block's bucket table has two to the power of this many entries."""
_COST_OF_A_BUCKET = 2.0
"""Of looking into a bucket, in comparisons of two fingerprints."""


@dataclass(frozen=True)
class Pairs:
    """Pairs ``i < j`` sorted by ``(i, j)``, each once, and the bits in which they differ."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    hamming: NDArray[np.uint8]


@dataclass(frozen=True)
class _Block:
    shift: int
    width: int
    radius: int

    @property
    def flips(self) -> int:
        """Buckets that hold the neighbours of one bucket, itself included."""
        return sum(math.comb(self.width, bits) for bits in range(self.radius + 1))

    def masks(self) -> NDArray[np.int64]:
        """What to flip in a bucket's key to get those buckets' keys."""
        chosen = (bits for size in range(self.radius + 1) for bits in combinations(range(self.width), size))
        return np.fromiter((sum(1 << bit for bit in bits) for bits in chosen), np.int64, self.flips)


def pairs_within(fingerprints: NDArray[np.uint64], max_hamming: int) -> Pairs:
    """Every pair of ``fingerprints`` that differs in at most ``max_hamming`` bits.

    :raises ValueError: if ``max_hamming`` is not between 0 and 64.
    """
    if not 0 <= max_hamming <= _BITS:
        raise ValueError(f"max_hamming = {max_hamming} must be between 0 and {_BITS}")
    fingerprints = np.ascontiguousarray(fingerprints, np.uint64)
    blocks = _best_blocks(fingerprints.size, max_hamming)
    masks = [block.masks() for block in blocks]
    found = _search(
        fingerprints,
        np.array([block.shift for block in blocks], np.int64),
        np.array([block.width for block in blocks], np.int64),
        np.array([block.radius for block in blocks], np.int64),
        np.concatenate(masks),
        np.cumsum([0, *(mask.size for mask in masks)], dtype=np.int64),
        max_hamming,
    )
    found.sort()
    i, j = (found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return Pairs(i, j, hamming_distances(fingerprints, i, j))


def _best_blocks(size: int, max_hamming: int) -> list[_Block]:
    """The cheapest way to cut, for ``size`` fingerprints with random bits."""
    ways = (_blocks(count, max_hamming) for count in range(1, min(max_hamming + 1, _BITS) + 1))
    return min(ways, key=lambda blocks: sum(_cost(block, size) for block in blocks))


def _blocks(count: int, max_hamming: int) -> list[_Block]:
    width = min(_BITS // count, _WIDEST_BLOCK)
    radius, larger = divmod(max_hamming + 1 - count, count)
    return [_Block(number * (_BITS // count), width, min(radius + (number < larger), width)) for number in range(count)]


def _cost(block: _Block, size: int) -> float:
    buckets = float(1 << block.width)
    walked = min(buckets, size) * block.flips * _COST_OF_A_BUCKET
    return buckets + walked + size * block.flips * size / buckets / 2


@kernel
def _bits_set(x: np.uint64) -> np.uint64:
    """Population count, in the form that compilers turn into one instruction."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@kernel
def hamming_distances(
    fingerprints: NDArray[np.uint64], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Bits in which the fingerprints ``i[n]`` and ``j[n]`` differ."""
    distances = np.empty(i.size, np.uint8)
    for n in range(i.size):
        distances[n] = _bits_set(fingerprints[i[n]] ^ fingerprints[j[n]])
    return distances


@kernel
def _fill_buckets(
    fingerprints: NDArray[np.uint64], shift: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counting sort by a block: ``members[starts[key]:starts[key + 1]]`` have that key."""
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    starts = np.zeros((1 << width) + 1, np.int64)
    for fingerprint in fingerprints:
        starts[np.int64((fingerprint >> np.uint64(shift)) & mask) + 1] += 1
    for key in range(1 << width):
        starts[key + 1] += starts[key]
    members = np.empty(fingerprints.size, np.int64)
    ends = starts.copy()
    for n in range(fingerprints.size):
        bucket = np.int64((fingerprints[n] >> np.uint64(shift)) & mask)
        members[ends[bucket]] = n
        ends[bucket] += 1
    return starts, members


@kernel
def _is_found_before(
    difference: np.uint64, block: int, shifts: NDArray[np.int64], widths: NDArray[np.int64], radii: NDArray[np.int64]
) -> bool:
    """Whether a block before ``block`` reports this pair."""
    for earlier in range(block):
        mask = (np.uint64(1) << np.uint64(widths[earlier])) - np.uint64(1)
        if _bits_set((difference >> np.uint64(shifts[earlier])) & mask) <= np.uint64(radii[earlier]):
            return True
    return False


@kernel
def _search(
    fingerprints: NDArray[np.uint64],
    shifts: NDArray[np.int64],
    widths: NDArray[np.int64],
    radii: NDArray[np.int64],
    masks: NDArray[np.int64],
    mask_bounds: NDArray[np.int64],
    max_hamming: int,
) -> NDArray[np.uint64]:
    """The pairs as ``i << 32 | j``, in no order, each reported by the first block that finds it."""
    found = np.empty(1024, np.uint64)
    size = 0
    for block in range(shifts.size):
        starts, members = _fill_buckets(fingerprints, shifts[block], widths[block])
        sorted_prints = fingerprints[members]
        for key in range(starts.size - 1):
            if starts[key] == starts[key + 1]:
                continue
            for mask in masks[mask_bounds[block] : mask_bounds[block + 1]]:
                other = key ^ mask
                if other < key:
                    continue
                for a in range(starts[key], starts[key + 1]):
                    for b in range(a + 1 if mask == 0 else starts[other], starts[other + 1]):
                        difference = sorted_prints[a] ^ sorted_prints[b]
                        if _bits_set(difference) > np.uint64(max_hamming) or _is_found_before(
                            difference, block, shifts, widths, radii
                        ):
                            continue
                        if size == found.size:
                            found = np.concatenate((found, np.empty_like(found)))
                        first, second = min(members[a], members[b]), max(members[a], members[b])
                        found[size] = np.uint64(first) << np.uint64(32) | np.uint64(second)
                        size += 1
    return found[:size]

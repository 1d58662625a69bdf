"""How 64 bits are cut into blocks, so that near fingerprints meet in a bucket of one of them.

Blocks get radii with sum(radius + 1) = max_hamming + 1: a pair that differs in at most max_hamming bits differs in
some block by no more than its radius (pigeonhole; Norouzi et al., "Fast exact search in Hamming space with multi-index
hashing", 2014, with unequal radii).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BITS = 64
_WIDEST_BLOCK = 22
"""Bits; a block's bucket table has two to the power of this many entries."""

# Nanoseconds, only to choose by: looking into a bucket, copying a fingerprint, comparing two, sorting one.
_COST_OF_A_BUCKET = 3.0
_COST_OF_A_COPY = 1.0
_COST_OF_A_COMPARISON = 0.25
_COST_OF_SORTING = 12.0


class Blocks(NamedTuple):
    """The blocks as the kernels take them: bits ``shifts[b]`` and ``widths[b]`` bits up; ``max_hamming`` of all."""

    shifts: NDArray[np.int64]
    widths: NDArray[np.int64]
    radii: NDArray[np.int64]
    max_hamming: int


@dataclass(frozen=True)
class _Block:
    shift: int
    width: int
    radius: int

    @property
    def flips(self) -> int:
        """Buckets that hold the neighbours of one bucket, itself included."""
        return sum(math.comb(self.width, bits) for bits in range(self.radius + 1))

    def cost(self, left: int, right: int) -> float:
        """Of comparing ``left`` fingerprints with ``right`` ones whose bits are random."""
        buckets = float(1 << self.width)
        visits = min(buckets, left) * self.flips
        each = right / buckets
        comparing = left * self.flips * each * _COST_OF_A_COMPARISON
        return visits * (_COST_OF_A_BUCKET + each * _COST_OF_A_COPY) + comparing + _COST_OF_SORTING * (left + right)


def best_blocks(left: int, right: int, max_hamming: int) -> Blocks:
    """The cheapest way to cut for so many fingerprints on either side.

    :raises ValueError: if ``max_hamming`` is not between 0 and 64.
    """
    if not 0 <= max_hamming <= BITS:
        raise ValueError(f"max_hamming = {max_hamming} must be between 0 and {BITS}")
    # Nothing is searched for free, however it is cut: the cut must not depend on that.
    left, right = max(left, 1), max(right, 1)
    # More buckets than fingerprints part nothing, and each costs.
    widest = min(_WIDEST_BLOCK, (left + right).bit_length() + 1)
    ways = (_cut(count, max_hamming, widest) for count in range(1, min(max_hamming + 1, BITS) + 1))
    blocks = min(ways, key=lambda blocks: sum(block.cost(left, right) for block in blocks))
    columns = ([block.shift for block in blocks], [block.width for block in blocks], [block.radius for block in blocks])
    shifts, widths, radii = (np.array(column, np.int64) for column in columns)
    return Blocks(shifts, widths, radii, max_hamming)


def flips_of(blocks: Blocks, block: int) -> NDArray[np.int64]:
    """What to flip in a bucket's key to get the keys of its neighbours; the first one is zero."""
    width, radius = int(blocks.widths[block]), int(blocks.radii[block])
    chosen = [bits for size in range(radius + 1) for bits in combinations(range(width), size)]
    return np.array([sum(1 << bit for bit in bits) for bits in chosen], np.int64)


def _cut(count: int, max_hamming: int, widest: int) -> list[_Block]:
    width, wider = divmod(BITS, count)
    radius, larger = divmod(max_hamming + 1 - count, count)
    blocks, shift = [], 0
    for number in range(count):
        bits = width + (number < wider)
        narrowed = min(bits, widest)
        blocks.append(_Block(shift, narrowed, min(radius + (number < larger), narrowed)))
        shift += bits
    return blocks

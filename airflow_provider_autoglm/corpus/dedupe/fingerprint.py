"""SimHash fingerprints, bit for bit those of the package ``simhash`` 2.1.2, compiled.

Charikar, "Similarity estimation techniques from rounding algorithms" (2002), with the features and the MD5 of that
package: each window of four characters is at most 16 bytes of UTF-8, one MD5 block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.md5 import (
    HALVES_OF_A_DIGEST,
    LANES,
    WORDS_OF_A_BLOCK,
    fill_lane,
    md5_low_halves,
)
from airflow_provider_autoglm.corpus.dedupe.threads import in_threads
from airflow_provider_autoglm.corpus.dedupe.tokens import CHARACTERS_OF_A_WINDOW, Tokens, batches_of, tokenise

if TYPE_CHECKING:
    from simhash import Simhash

_PLANES = 48
"""Binary digits of the counters: windows of a text stay below 2 ** 48."""


def simhash64(texts: Sequence[str]) -> NDArray[np.uint64]:
    """The fingerprint of each text: ``simhash.Simhash(text).value``, also where that package fails on NumPy 2."""
    fingerprints = in_threads(lambda batch: simhash_of(tokenise(batch)), batches_of(texts))
    return np.concatenate([np.empty(0, np.uint64), *fingerprints])


def simhash_of(tokens: Tokens) -> NDArray[np.uint64]:
    """As :func:`simhash64`, of texts that are tokens already."""
    digests, bounds = _digests(tokens.codes, tokens.bounds)
    return _majorities(digests, bounds)


def to_simhash(fingerprint: int | np.uint64) -> Simhash:
    """The fingerprint as an object of the package ``simhash``, for its ``distance`` and ``SimhashIndex``."""
    from simhash import Simhash

    return Simhash(int(fingerprint))


@kernel
def _utf8(code: np.uint32) -> tuple[np.uint64, int]:
    """The UTF-8 bytes of a character, the first one lowest, and how many they are."""
    c = np.uint64(code)
    if c < 0x80:
        return c, 1
    last = np.uint64(0x80 | (c & 0x3F))
    if c < 0x800:
        return np.uint64(0xC0 | (c >> 6) | (last << 8)), 2
    third = np.uint64(0x80 | ((c >> 6) & 0x3F))
    if c < 0x10000:
        return np.uint64(0xE0 | (c >> 12) | (third << 8) | (last << 16)), 3
    second = np.uint64(0x80 | ((c >> 12) & 0x3F))
    return np.uint64(0xF0 | (c >> 18) | (second << 8) | (third << 16) | (last << 24)), 4


@kernel
def _joined(first: np.uint64, size: int, second: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Up to eight bytes, ``size`` of them, and up to eight that follow, as 16 bytes."""
    if size == 0:
        return second, np.uint64(0)
    shift = np.uint64(8 * size)
    # In two steps: a shift by 64 at once is undefined.
    return first | (second << (shift - np.uint64(8))) << np.uint64(8), second >> (np.uint64(64) - shift)


@kernel
def _digests(codes: NDArray[np.uint32], bounds: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The last eight bytes of the MD5 of every window, those of text ``i`` at ``window_bounds[i]`` and after.

    They are two little-endian words, the first one high. A text shorter than a window is one window.
    """
    window_bounds = np.zeros(bounds.size, np.int64)
    for text in range(bounds.size - 1):
        windows = max(bounds[text + 1] - bounds[text] - CHARACTERS_OF_A_WINDOW + 1, 1)
        window_bounds[text + 1] = window_bounds[text] + windows
    digests = np.empty(window_bounds[-1] + LANES, np.uint64)
    block = np.zeros(WORDS_OF_A_BLOCK, np.uint32)
    halves = np.empty(HALVES_OF_A_DIGEST, np.uint32)
    done = lane = 0
    for text in range(bounds.size - 1):
        start, end = bounds[text], bounds[text + 1]
        # A window is two pairs of characters; the pairs at one and two characters before its end are kept.
        before, size_before, last, size_last = np.uint64(0), 0, np.uint64(0), 0
        previous, size_previous = np.uint64(0), 0
        for position in range(start, max(end, start + 1)):
            character, size = _utf8(codes[position]) if start < end else (np.uint64(0), 0)
            pair = _joined(previous, size_previous, character)[0]
            if position - start >= CHARACTERS_OF_A_WINDOW - 1 or position >= end - 1:
                low, high = _joined(before, size_before, pair)
                fill_lane(block, lane, low, high, size_before + size_previous + size)
                lane += 1
                if lane == LANES:
                    _take(block, halves, digests, done)
                    done += LANES
                    lane = 0
            before, size_before, last, size_last = last, size_last, pair, size_previous + size
            previous, size_previous = character, size
    _take(block, halves, digests, done)
    return digests, window_bounds


@kernel
def _take(block: NDArray[np.uint32], halves: NDArray[np.uint32], digests: NDArray[np.uint64], done: int) -> None:
    """Hash a block and put its digests behind the first ``done`` ones."""
    md5_low_halves(block, halves)
    for lane in range(LANES):
        digests[done + lane] = (np.uint64(halves[lane]) << np.uint64(32)) | np.uint64(halves[LANES + lane])


@kernel
def _full_adder(a: np.uint64, b: np.uint64, c: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Sum and carry of three binary digits, in 64 places at once."""
    either = a ^ b
    return either ^ c, (a & b) | (either & c)


@kernel
def _carry_up(planes: NDArray[np.uint64], plane: int, carry: np.uint64) -> None:
    while carry != 0:
        planes[plane], carry = planes[plane] ^ carry, planes[plane] & carry
        plane += 1


@kernel
def _count_bits(planes: NDArray[np.uint64], digests: NDArray[np.uint64], start: int, end: int) -> None:
    """Add one to the counter of every bit that is set; plane ``p`` holds binary digit ``p`` of all 64 counters.

    Eight digests are summed by carry-save adders before anything is carried further (Harley and Seal; Muła et al.,
    "Faster population counts using AVX2 instructions", 2018).
    """
    ones, twos, fours = planes[0], planes[1], planes[2]
    position = start
    while position + 8 <= end:
        ones, two_a = _full_adder(ones, digests[position], digests[position + 1])
        ones, two_b = _full_adder(ones, digests[position + 2], digests[position + 3])
        twos, four_a = _full_adder(twos, two_a, two_b)
        ones, two_a = _full_adder(ones, digests[position + 4], digests[position + 5])
        ones, two_b = _full_adder(ones, digests[position + 6], digests[position + 7])
        twos, four_b = _full_adder(twos, two_a, two_b)
        fours, eights = _full_adder(fours, four_a, four_b)
        _carry_up(planes, 3, eights)
        position += 8
    planes[0], planes[1], planes[2] = ones, twos, fours
    for rest in range(position, end):
        _carry_up(planes, 0, digests[rest])


@kernel
def _more_than(planes: NDArray[np.uint64], bound: int) -> np.uint64:
    """The bits whose counters are above ``bound``, compared digit by digit from the highest."""
    above, is_equal = np.uint64(0), ~np.uint64(0)
    for plane in range(_PLANES - 1, -1, -1):
        if (bound >> plane) & 1:
            is_equal &= planes[plane]
        else:
            above |= is_equal & planes[plane]
            is_equal &= ~planes[plane]
    return above


@kernel
def _bytes_in_order(value: np.uint64) -> np.uint64:
    """The bytes of both 32-bit words reversed: MD5 writes its words with the lowest byte first."""
    swapped = ((value & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8)) | (
        (value >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    )
    return ((swapped & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16)) | (
        (swapped >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    )


@kernel
def _majorities(digests: NDArray[np.uint64], bounds: NDArray[np.int64]) -> NDArray[np.uint64]:
    """For each text the bits that more than half of its windows have."""
    fingerprints = np.empty(bounds.size - 1, np.uint64)
    planes = np.empty(_PLANES, np.uint64)
    for text in range(bounds.size - 1):
        planes[:] = 0
        _count_bits(planes, digests, bounds[text], bounds[text + 1])
        windows = bounds[text + 1] - bounds[text]
        fingerprints[text] = _bytes_in_order(_more_than(planes, windows // 2))
    return fingerprints

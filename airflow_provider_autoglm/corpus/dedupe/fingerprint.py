"""SimHash fingerprints, bit for bit those of the package ``simhash`` 2.1.2, compiled.

Charikar, "Similarity estimation techniques from rounding algorithms" (2002), with the features and the MD5 of that
package: each window of four characters is at most 16 bytes of UTF-8, one MD5 block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.md5 import (
    HALVES_OF_A_DIGEST,
    LANES,
    WORDS_OF_A_BLOCK,
    md5_low_halves,
    put_message,
)
from airflow_provider_autoglm.corpus.dedupe.threads import in_threads
from airflow_provider_autoglm.corpus.dedupe.tokens import CHARACTERS_OF_A_WINDOW, Tokens, batches_of, tokenise

if TYPE_CHECKING:
    from simhash import Simhash

_NO_CHARACTER = 0xFFFFFFFF
_ENCODED = LANES + 16
"""Characters that are encoded for a block: those its last windows reach to, in whole vectors."""
_PLANES = 48
"""Binary digits of the counters: windows of a text stay below 2 ** 48."""


def simhash64(texts: Sequence[str]) -> NDArray[np.uint64]:
    """The fingerprint of each text: ``simhash.Simhash(text).value``, also where that package fails on NumPy 2.

    :raises TypeError: if ``texts`` is one text.
    """
    if isinstance(texts, str):
        raise TypeError("simhash64 takes a list of texts; [text] is one")
    fingerprints = in_threads(lambda batch: simhash_of(tokenise(batch)), batches_of(texts))
    return np.concatenate([np.empty(0, np.uint64), *fingerprints])


def simhash_of(tokens: Tokens) -> NDArray[np.uint64]:
    """As :func:`simhash64`, of texts that are tokens already."""
    codes, starts, ends = _stream(tokens.codes, tokens.bounds)
    return _majorities(_digests(codes), starts, ends)


def to_simhash(fingerprint: int | np.uint64) -> Simhash:
    """The fingerprint as an object of the package ``simhash``, for its ``distance`` and ``SimhashIndex``."""
    from simhash import Simhash

    return Simhash(int(fingerprint))


@kernel
def _stream(
    codes: NDArray[np.uint32], bounds: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """All characters, with nothing (``_NO_CHARACTER``) after texts shorter than a window and at the end.

    The windows of text ``i`` begin at ``starts[i]`` to ``ends[i]``: one at least, that of an empty text is empty.
    """
    texts = bounds.size - 1
    starts, ends = np.empty(texts, np.int64), np.empty(texts, np.int64)
    stream = np.full(codes.size + texts * CHARACTERS_OF_A_WINDOW + LANES + _ENCODED, _NO_CHARACTER, np.uint32)
    size = 0
    for text in range(texts):
        length = bounds[text + 1] - bounds[text]
        for n in range(length):
            stream[size + n] = codes[bounds[text] + n]
        starts[text] = size
        ends[text] = size + max(length - CHARACTERS_OF_A_WINDOW + 1, 1)
        size += max(length, CHARACTERS_OF_A_WINDOW)
    blocks = (size + LANES - 1) // LANES
    return stream[: (blocks - 1) * LANES + _ENCODED], starts, ends


@kernel
def _encode(codes: NDArray[np.uint32], start: int, utf8: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> None:
    """The UTF-8 bytes of characters, the first one lowest, and how many they are; no branches, to be vectorised."""
    for n in range(_ENCODED):
        c = np.uint64(codes[start + n])
        last = np.uint64(0x80) | (c & np.uint64(0x3F))
        third = np.uint64(0x80) | ((c >> np.uint64(6)) & np.uint64(0x3F))
        second = np.uint64(0x80) | ((c >> np.uint64(12)) & np.uint64(0x3F))
        two = np.uint64(0xC0) | (c >> np.uint64(6)) | (last << np.uint64(8))
        three = np.uint64(0xE0) | (c >> np.uint64(12)) | (third << np.uint64(8)) | (last << np.uint64(16))
        four = np.uint64(0xF0) | (c >> np.uint64(18)) | (second << np.uint64(8))
        four |= (third << np.uint64(16)) | (last << np.uint64(24))
        up_to_two = c if c < np.uint64(0x80) else two
        size_up_to_two = np.uint64(1) if c < np.uint64(0x80) else np.uint64(2)
        up_to_three = up_to_two if c < np.uint64(0x800) else three
        size_up_to_three = size_up_to_two if c < np.uint64(0x800) else np.uint64(3)
        some = up_to_three if c < np.uint64(0x10000) else four
        size = size_up_to_three if c < np.uint64(0x10000) else np.uint64(4)
        is_some = c != np.uint64(_NO_CHARACTER)
        utf8[n] = some if is_some else np.uint64(0)
        sizes[n] = size if is_some else np.uint64(0)


@kernel
def _fill(block: NDArray[np.uint32], utf8: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> None:
    """Lay out the windows that begin at the first characters as messages, one a lane; no branches, to be vectorised."""
    eight = np.uint64(8)
    for lane in range(LANES):
        first = utf8[lane] | (utf8[lane + 1] << (eight * sizes[lane]))
        second = utf8[lane + 2] | (utf8[lane + 3] << (eight * sizes[lane + 2]))
        half = sizes[lane] + sizes[lane + 1]
        size = half + sizes[lane + 2] + sizes[lane + 3]
        shift = eight * half
        # A shift by 64 is undefined, hence the masks and what is chosen instead.
        shifted = second << (shift & np.uint64(63))
        rest = second >> ((np.uint64(64) - shift) & np.uint64(63))
        low = first | (shifted if half < eight else np.uint64(0))
        high = rest if half > np.uint64(0) else np.uint64(0)
        put_message(block, lane, low, high, size)


@kernel
def _digests(stream: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """The last eight bytes of the MD5 of the window at each character, as two little-endian words, the first one high.

    Windows across two texts are among them, which nobody counts.
    """
    blocks = (stream.size - _ENCODED) // LANES + 1
    digests = np.empty(blocks * LANES, np.uint64)
    block = np.zeros(WORDS_OF_A_BLOCK, np.uint32)
    halves = np.empty(HALVES_OF_A_DIGEST, np.uint32)
    utf8 = np.empty(_ENCODED, np.uint64)
    sizes = np.empty(_ENCODED, np.uint64)
    for start in range(0, blocks * LANES, LANES):
        _encode(stream, start, utf8, sizes)
        _fill(block, utf8, sizes)
        md5_low_halves(block, halves)
        for lane in range(LANES):
            digests[start + lane] = (np.uint64(halves[lane]) << np.uint64(32)) | np.uint64(halves[LANES + lane])
    return digests


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
def _majorities(digests: NDArray[np.uint64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """For each text the bits that more than half of its windows have."""
    fingerprints = np.empty(starts.size, np.uint64)
    planes = np.empty(_PLANES, np.uint64)
    for text in range(starts.size):
        planes[:] = 0
        _count_bits(planes, digests, starts[text], ends[text])
        fingerprints[text] = _bytes_in_order(_more_than(planes, (ends[text] - starts[text]) // 2))
    return fingerprints

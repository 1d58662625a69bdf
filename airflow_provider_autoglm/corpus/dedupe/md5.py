"""MD5 (RFC 1321) of many messages of at most 16 bytes, one block each, side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel

LANES = 64
"""Messages of a block."""
_HALF = LANES // 2
WORDS_OF_A_BLOCK = 6 * LANES
HALVES_OF_A_DIGEST = 2 * LANES

_Two = tuple[np.uint32, np.uint32]
"""A word of two messages. One message alone would wait for its own last step; two fill the time between."""


@kernel
def put_message(block: NDArray[np.uint32], lane: int, low: np.uint64, high: np.uint64, size: np.uint64) -> None:
    """Lay out a message of ``size`` bytes, the first one lowest: its words 0-4 and 14, the others are zero."""
    end = np.uint64(0x80) << (np.uint64(8) * size & np.uint64(63))
    low |= end if size < np.uint64(8) else np.uint64(0)
    high |= end if np.uint64(8) <= size < np.uint64(16) else np.uint64(0)
    block[lane] = np.uint32(low & np.uint64(0xFFFFFFFF))
    block[LANES + lane] = np.uint32(low >> np.uint64(32))
    block[2 * LANES + lane] = np.uint32(high & np.uint64(0xFFFFFFFF))
    block[3 * LANES + lane] = np.uint32(high >> np.uint64(32))
    block[4 * LANES + lane] = np.uint32(0x80) if size == np.uint64(16) else np.uint32(0)
    block[5 * LANES + lane] = np.uint32(np.uint64(8) * size)


@kernel
def _rotate(x: np.uint32, bits: int) -> np.uint32:
    return np.uint32((x << bits) | (x >> (32 - bits)))


@kernel
def _step(mixed: np.uint32, a: np.uint32, b: np.uint32, word: np.uint32, constant: int, bits: int) -> np.uint32:
    return np.uint32(b + _rotate(np.uint32(a + mixed + np.uint32(word + np.uint32(constant))), bits))


@kernel
def _f(a: _Two, b: _Two, c: _Two, d: _Two, word: _Two, constant: int, bits: int) -> _Two:
    return (
        _step(d[0] ^ (b[0] & (c[0] ^ d[0])), a[0], b[0], word[0], constant, bits),
        _step(d[1] ^ (b[1] & (c[1] ^ d[1])), a[1], b[1], word[1], constant, bits),
    )


@kernel
def _g(a: _Two, b: _Two, c: _Two, d: _Two, word: _Two, constant: int, bits: int) -> _Two:
    return (
        _step(c[0] ^ (d[0] & (b[0] ^ c[0])), a[0], b[0], word[0], constant, bits),
        _step(c[1] ^ (d[1] & (b[1] ^ c[1])), a[1], b[1], word[1], constant, bits),
    )


@kernel
def _h(a: _Two, b: _Two, c: _Two, d: _Two, word: _Two, constant: int, bits: int) -> _Two:
    return (
        _step(b[0] ^ c[0] ^ d[0], a[0], b[0], word[0], constant, bits),
        _step(b[1] ^ c[1] ^ d[1], a[1], b[1], word[1], constant, bits),
    )


@kernel
def _i(a: _Two, b: _Two, c: _Two, d: _Two, word: _Two, constant: int, bits: int) -> _Two:
    return (
        _step(c[0] ^ (b[0] | ~d[0]), a[0], b[0], word[0], constant, bits),
        _step(c[1] ^ (b[1] | ~d[1]), a[1], b[1], word[1], constant, bits),
    )


@kernel
def _both(word: int) -> _Two:
    return np.uint32(word), np.uint32(word)


@kernel
def _word(block: NDArray[np.uint32], number: int, lane: int) -> _Two:
    return block[number * LANES + lane], block[number * LANES + _HALF + lane]


@kernel
def md5_low_halves(block: NDArray[np.uint32], halves: NDArray[np.uint32]) -> None:  # noqa: PLR0915 - RFC 1321, unrolled
    """The last two words of the digest of each lane: the third one in ``halves[lane]``, then all the fourth ones.

    The lanes are the inner dimension, so that the compiler computes several in one instruction.
    """
    zero = _both(0)
    for lane in range(_HALF):
        m0, m1, m2, m3 = _word(block, 0, lane), _word(block, 1, lane), _word(block, 2, lane), _word(block, 3, lane)
        m4, m14 = _word(block, 4, lane), _word(block, 5, lane)
        a, b, c, d = _both(0x67452301), _both(0xEFCDAB89), _both(0x98BADCFE), _both(0x10325476)
        a = _f(a, b, c, d, m0, 0xD76AA478, 7)
        d = _f(d, a, b, c, m1, 0xE8C7B756, 12)
        c = _f(c, d, a, b, m2, 0x242070DB, 17)
        b = _f(b, c, d, a, m3, 0xC1BDCEEE, 22)
        a = _f(a, b, c, d, m4, 0xF57C0FAF, 7)
        d = _f(d, a, b, c, zero, 0x4787C62A, 12)
        c = _f(c, d, a, b, zero, 0xA8304613, 17)
        b = _f(b, c, d, a, zero, 0xFD469501, 22)
        a = _f(a, b, c, d, zero, 0x698098D8, 7)
        d = _f(d, a, b, c, zero, 0x8B44F7AF, 12)
        c = _f(c, d, a, b, zero, 0xFFFF5BB1, 17)
        b = _f(b, c, d, a, zero, 0x895CD7BE, 22)
        a = _f(a, b, c, d, zero, 0x6B901122, 7)
        d = _f(d, a, b, c, zero, 0xFD987193, 12)
        c = _f(c, d, a, b, m14, 0xA679438E, 17)
        b = _f(b, c, d, a, zero, 0x49B40821, 22)
        a = _g(a, b, c, d, m1, 0xF61E2562, 5)
        d = _g(d, a, b, c, zero, 0xC040B340, 9)
        c = _g(c, d, a, b, zero, 0x265E5A51, 14)
        b = _g(b, c, d, a, m0, 0xE9B6C7AA, 20)
        a = _g(a, b, c, d, zero, 0xD62F105D, 5)
        d = _g(d, a, b, c, zero, 0x02441453, 9)
        c = _g(c, d, a, b, zero, 0xD8A1E681, 14)
        b = _g(b, c, d, a, m4, 0xE7D3FBC8, 20)
        a = _g(a, b, c, d, zero, 0x21E1CDE6, 5)
        d = _g(d, a, b, c, m14, 0xC33707D6, 9)
        c = _g(c, d, a, b, m3, 0xF4D50D87, 14)
        b = _g(b, c, d, a, zero, 0x455A14ED, 20)
        a = _g(a, b, c, d, zero, 0xA9E3E905, 5)
        d = _g(d, a, b, c, m2, 0xFCEFA3F8, 9)
        c = _g(c, d, a, b, zero, 0x676F02D9, 14)
        b = _g(b, c, d, a, zero, 0x8D2A4C8A, 20)
        a = _h(a, b, c, d, zero, 0xFFFA3942, 4)
        d = _h(d, a, b, c, zero, 0x8771F681, 11)
        c = _h(c, d, a, b, zero, 0x6D9D6122, 16)
        b = _h(b, c, d, a, m14, 0xFDE5380C, 23)
        a = _h(a, b, c, d, m1, 0xA4BEEA44, 4)
        d = _h(d, a, b, c, m4, 0x4BDECFA9, 11)
        c = _h(c, d, a, b, zero, 0xF6BB4B60, 16)
        b = _h(b, c, d, a, zero, 0xBEBFBC70, 23)
        a = _h(a, b, c, d, zero, 0x289B7EC6, 4)
        d = _h(d, a, b, c, m0, 0xEAA127FA, 11)
        c = _h(c, d, a, b, m3, 0xD4EF3085, 16)
        b = _h(b, c, d, a, zero, 0x04881D05, 23)
        a = _h(a, b, c, d, zero, 0xD9D4D039, 4)
        d = _h(d, a, b, c, zero, 0xE6DB99E5, 11)
        c = _h(c, d, a, b, zero, 0x1FA27CF8, 16)
        b = _h(b, c, d, a, m2, 0xC4AC5665, 23)
        a = _i(a, b, c, d, m0, 0xF4292244, 6)
        d = _i(d, a, b, c, zero, 0x432AFF97, 10)
        c = _i(c, d, a, b, m14, 0xAB9423A7, 15)
        b = _i(b, c, d, a, zero, 0xFC93A039, 21)
        a = _i(a, b, c, d, zero, 0x655B59C3, 6)
        d = _i(d, a, b, c, m3, 0x8F0CCC92, 10)
        c = _i(c, d, a, b, zero, 0xFFEFF47D, 15)
        b = _i(b, c, d, a, m1, 0x85845DD1, 21)
        a = _i(a, b, c, d, zero, 0x6FA87E4F, 6)
        d = _i(d, a, b, c, zero, 0xFE2CE6E0, 10)
        c = _i(c, d, a, b, zero, 0xA3014314, 15)
        b = _i(b, c, d, a, zero, 0x4E0811A1, 21)
        a = _i(a, b, c, d, m4, 0xF7537E82, 6)
        d = _i(d, a, b, c, zero, 0xBD3AF235, 10)
        c = _i(c, d, a, b, m2, 0x2AD7D2BB, 15)
        b = _i(b, c, d, a, zero, 0xEB86D391, 21)
        halves[lane] = c[0] + np.uint32(0x98BADCFE)
        halves[_HALF + lane] = c[1] + np.uint32(0x98BADCFE)
        halves[LANES + lane] = d[0] + np.uint32(0x10325476)
        halves[LANES + _HALF + lane] = d[1] + np.uint32(0x10325476)

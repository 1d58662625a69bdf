"""SimHash fingerprints, bit for bit those of the package ``simhash`` 2.1.2, compiled.

Charikar, "Similarity estimation techniques from rounding algorithms" (2002), with the features and the MD5 (RFC 1321)
of that package. Each 4-gram is at most 16 bytes of UTF-8, one MD5 block, and a batch of them is hashed side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.tokens import CHARACTERS_OF_A_WINDOW, tokenise

_TEXTS_OF_A_BATCH = 128
_LANES = 32
_BITS = 64
_PLANES = 48
"""Binary digits of the counters: windows of a text stay below 2 ** 48."""


def simhash64(texts: Sequence[str]) -> NDArray[np.uint64]:
    """The fingerprint of each text: ``simhash.Simhash(text).value``, also where that package fails on NumPy 2."""
    fingerprints = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), _TEXTS_OF_A_BATCH):
        batch = texts[start : start + _TEXTS_OF_A_BATCH]
        tokens = tokenise(batch)
        fingerprints[start : start + len(batch)] = _simhash(tokens.codes, tokens.bounds)
    return fingerprints


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
def _put(low: np.uint64, high: np.uint64, offset: int, value: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Write up to four bytes into 16 bytes at ``offset``."""
    if offset >= 8:
        return low, np.uint64(high | (value << np.uint64(8 * (offset - 8))))
    if offset > 4:
        high = np.uint64(high | (value >> np.uint64(64 - 8 * offset)))
    return np.uint64(low | (value << np.uint64(8 * offset))), high


@kernel
def _fill_lane(block: NDArray[np.uint32], lane: int, low: np.uint64, high: np.uint64, size: int) -> None:
    """Lay out a message of ``size`` bytes as the words 0-4 and 14 of an MD5 block; the other words are zero."""
    if size < 16:
        low, high = _put(low, high, size, np.uint64(0x80))
    block[lane] = np.uint32(low & 0xFFFFFFFF)
    block[_LANES + lane] = np.uint32(low >> np.uint64(32))
    block[2 * _LANES + lane] = np.uint32(high & 0xFFFFFFFF)
    block[3 * _LANES + lane] = np.uint32(high >> np.uint64(32))
    block[4 * _LANES + lane] = np.uint32(0x80 if size == 16 else 0)
    block[5 * _LANES + lane] = np.uint32(8 * size)


@kernel
def _rotate(x: np.uint32, bits: int) -> np.uint32:
    return np.uint32((x << bits) | (x >> (32 - bits)))


@kernel
def _f(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32, word: int, bits: int) -> np.uint32:
    return np.uint32(b + _rotate(np.uint32(a + (d ^ (b & (c ^ d))) + word), bits))


@kernel
def _g(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32, word: int, bits: int) -> np.uint32:
    return np.uint32(b + _rotate(np.uint32(a + (c ^ (d & (b ^ c))) + word), bits))


@kernel
def _h(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32, word: int, bits: int) -> np.uint32:
    return np.uint32(b + _rotate(np.uint32(a + (b ^ c ^ d) + word), bits))


@kernel
def _i(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32, word: int, bits: int) -> np.uint32:
    return np.uint32(b + _rotate(np.uint32(a + (c ^ (b | (d ^ 0xFFFFFFFF))) + word), bits))


@kernel
def _md5_low_half(block: NDArray[np.uint32], digests: NDArray[np.uint64]) -> None:  # noqa: PLR0915 - RFC 1321, unrolled
    """The last eight bytes of the MD5 of each lane, as two little-endian words, the first one high.

    The lanes are the inner dimension, so that the compiler computes several in one instruction.
    """
    for lane in range(_LANES):
        m0, m1, m2, m3, m4, m14 = (
            block[lane],
            block[_LANES + lane],
            block[2 * _LANES + lane],
            block[3 * _LANES + lane],
            block[4 * _LANES + lane],
            block[5 * _LANES + lane],
        )
        a, b, c, d = np.uint32(0x67452301), np.uint32(0xEFCDAB89), np.uint32(0x98BADCFE), np.uint32(0x10325476)
        a = _f(a, b, c, d, m0 + 0xD76AA478, 7)
        d = _f(d, a, b, c, m1 + 0xE8C7B756, 12)
        c = _f(c, d, a, b, m2 + 0x242070DB, 17)
        b = _f(b, c, d, a, m3 + 0xC1BDCEEE, 22)
        a = _f(a, b, c, d, m4 + 0xF57C0FAF, 7)
        d = _f(d, a, b, c, 0x4787C62A, 12)
        c = _f(c, d, a, b, 0xA8304613, 17)
        b = _f(b, c, d, a, 0xFD469501, 22)
        a = _f(a, b, c, d, 0x698098D8, 7)
        d = _f(d, a, b, c, 0x8B44F7AF, 12)
        c = _f(c, d, a, b, 0xFFFF5BB1, 17)
        b = _f(b, c, d, a, 0x895CD7BE, 22)
        a = _f(a, b, c, d, 0x6B901122, 7)
        d = _f(d, a, b, c, 0xFD987193, 12)
        c = _f(c, d, a, b, m14 + 0xA679438E, 17)
        b = _f(b, c, d, a, 0x49B40821, 22)
        a = _g(a, b, c, d, m1 + 0xF61E2562, 5)
        d = _g(d, a, b, c, 0xC040B340, 9)
        c = _g(c, d, a, b, 0x265E5A51, 14)
        b = _g(b, c, d, a, m0 + 0xE9B6C7AA, 20)
        a = _g(a, b, c, d, 0xD62F105D, 5)
        d = _g(d, a, b, c, 0x02441453, 9)
        c = _g(c, d, a, b, 0xD8A1E681, 14)
        b = _g(b, c, d, a, m4 + 0xE7D3FBC8, 20)
        a = _g(a, b, c, d, 0x21E1CDE6, 5)
        d = _g(d, a, b, c, m14 + 0xC33707D6, 9)
        c = _g(c, d, a, b, m3 + 0xF4D50D87, 14)
        b = _g(b, c, d, a, 0x455A14ED, 20)
        a = _g(a, b, c, d, 0xA9E3E905, 5)
        d = _g(d, a, b, c, m2 + 0xFCEFA3F8, 9)
        c = _g(c, d, a, b, 0x676F02D9, 14)
        b = _g(b, c, d, a, 0x8D2A4C8A, 20)
        a = _h(a, b, c, d, 0xFFFA3942, 4)
        d = _h(d, a, b, c, 0x8771F681, 11)
        c = _h(c, d, a, b, 0x6D9D6122, 16)
        b = _h(b, c, d, a, m14 + 0xFDE5380C, 23)
        a = _h(a, b, c, d, m1 + 0xA4BEEA44, 4)
        d = _h(d, a, b, c, m4 + 0x4BDECFA9, 11)
        c = _h(c, d, a, b, 0xF6BB4B60, 16)
        b = _h(b, c, d, a, 0xBEBFBC70, 23)
        a = _h(a, b, c, d, 0x289B7EC6, 4)
        d = _h(d, a, b, c, m0 + 0xEAA127FA, 11)
        c = _h(c, d, a, b, m3 + 0xD4EF3085, 16)
        b = _h(b, c, d, a, 0x04881D05, 23)
        a = _h(a, b, c, d, 0xD9D4D039, 4)
        d = _h(d, a, b, c, 0xE6DB99E5, 11)
        c = _h(c, d, a, b, 0x1FA27CF8, 16)
        b = _h(b, c, d, a, m2 + 0xC4AC5665, 23)
        a = _i(a, b, c, d, m0 + 0xF4292244, 6)
        d = _i(d, a, b, c, 0x432AFF97, 10)
        c = _i(c, d, a, b, m14 + 0xAB9423A7, 15)
        b = _i(b, c, d, a, 0xFC93A039, 21)
        a = _i(a, b, c, d, 0x655B59C3, 6)
        d = _i(d, a, b, c, m3 + 0x8F0CCC92, 10)
        c = _i(c, d, a, b, 0xFFEFF47D, 15)
        b = _i(b, c, d, a, m1 + 0x85845DD1, 21)
        a = _i(a, b, c, d, 0x6FA87E4F, 6)
        d = _i(d, a, b, c, 0xFE2CE6E0, 10)
        c = _i(c, d, a, b, 0xA3014314, 15)
        b = _i(b, c, d, a, 0x4E0811A1, 21)
        a = _i(a, b, c, d, m4 + 0xF7537E82, 6)
        d = _i(d, a, b, c, 0xBD3AF235, 10)
        c = _i(c, d, a, b, m2 + 0x2AD7D2BB, 15)
        b = _i(b, c, d, a, 0xEB86D391, 21)
        high = np.uint32(c + np.uint32(0x98BADCFE))
        low = np.uint32(d + np.uint32(0x10325476))
        digests[lane] = (np.uint64(high) << np.uint64(32)) | np.uint64(low)


@kernel
def _count_bits(planes: NDArray[np.uint64], digests: NDArray[np.uint64], lanes: int) -> None:
    """Add one to the counter of every bit that is set; plane ``p`` holds binary digit ``p`` of all 64 counters."""
    for lane in range(lanes):
        carry = digests[lane]
        plane = 0
        while carry != 0:
            planes[plane], carry = planes[plane] ^ carry, planes[plane] & carry
            plane += 1


@kernel
def _majority(planes: NDArray[np.uint64], windows: int) -> np.uint64:
    """The bits that more than half of the windows have, with the bytes of both words put in order."""
    value = np.uint64(0)
    for bit in range(_BITS):
        count = 0
        for plane in range(_PLANES):
            count += int((planes[plane] >> np.uint64(bit)) & np.uint64(1)) << plane
        if 2 * count > windows:
            byte = bit // 8
            value |= np.uint64(1) << np.uint64(8 * (byte // 4 * 4 + 3 - byte % 4) + bit % 8)
    return value


@kernel
def _simhash(codes: NDArray[np.uint32], bounds: NDArray[np.int64]) -> NDArray[np.uint64]:
    fingerprints = np.empty(bounds.size - 1, np.uint64)
    block = np.zeros(6 * _LANES, np.uint32)
    digests = np.empty(_LANES, np.uint64)
    planes = np.empty(_PLANES, np.uint64)
    for text in range(bounds.size - 1):
        start, end = int(bounds[text]), int(bounds[text + 1])
        windows = max(end - start - CHARACTERS_OF_A_WINDOW + 1, 1)
        last_of_first = min(start + CHARACTERS_OF_A_WINDOW, end) - 1
        planes[:] = 0
        low = high = np.uint64(0)
        size = lane = 0
        for position in range(start, end):
            if position > last_of_first:
                dropped = _utf8(codes[position - CHARACTERS_OF_A_WINDOW])[1]
                shift = np.uint64(8 * dropped)
                low = (low >> shift) | (high << (np.uint64(64) - shift))
                high >>= shift
                size -= dropped
            character, length = _utf8(codes[position])
            low, high = _put(low, high, size, character)
            size += length
            if position >= last_of_first:
                _fill_lane(block, lane, low, high, size)
                lane += 1
            if lane == _LANES:
                _md5_low_half(block, digests)
                _count_bits(planes, digests, lane)
                lane = 0
        if start == end:
            _fill_lane(block, 0, low, high, 0)
            lane = 1
        _md5_low_half(block, digests)
        _count_bits(planes, digests, lane)
        fingerprints[text] = _majority(planes, windows)
    return fingerprints

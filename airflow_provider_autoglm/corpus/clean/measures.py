"""What a text looks like in numbers: script, symbols, letters, and how much of it is said twice.

After the quality and repetition filters of MassiveText (Rae et al. 2021, "Scaling Language Models: Methods, Analysis &
Insights from Training Gopher", appendix A1). Two measures differ from the paper's: repeated phrases are counted as
n-grams, not as the characters that they cover, and what is written without spaces is measured by characters.
"""

from __future__ import annotations

import unicodedata
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.columns import pieces

WORDS_OF_A_PHRASE = 5
CHARACTERS_OF_A_PHRASE = 12
"""Of a text without spaces between words."""

LEAST_WORDS = 20
LEAST_CHARACTERS = 40
"""Of a text without spaces: in a shorter text a share says nothing."""

MOST_CHARACTERS = 500_000
"""What is measured of a text: its beginning, up to here."""

_CHARACTERS_AT_ONCE = 1_000_000
_UNSPACED_SHARE = 0.3
_LETTER, _SPACE, _UNSPACED = 1, 2, 4
_LINE_FEED, _BLANK, _HASH, _ELLIPSIS = 10, 32, 35, 0x2026
_MULTIPLIER = 0x9E3779B97F4A7C15
_HASH_BITS = 44
_LAST_ASSIGNED = 0x323AF
_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x323AF),
)
"""Scripts of languages that put no spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese."""

_Codes = npt.NDArray[np.uint32]
_Places = npt.NDArray[np.int64]
_Hashes = npt.NDArray[np.uint64]
_Flags = npt.NDArray[np.bool_]
_Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measures:
    """One value a text; shares are in 0..1, and worth something where ``is_long_enough``.

    ``symbols``: ``#`` and ``...`` a word, or a character where there are no spaces between words. ``nonletters``: share
    of the characters, blanks left out, that are no letters. ``repeated_lines``: share of the characters in lines that
    stand further up already. ``repeated_phrases``: share of the phrases of so many words, or characters, that do; a
    line end in them counts as a blank.
    """

    is_unspaced: _Flags
    is_long_enough: _Flags
    symbols: _Shares
    nonletters: _Shares
    repeated_lines: _Shares
    repeated_phrases: _Shares


def measure(text: pa.StringArray) -> Measures:
    """Measure texts without nulls, in normal white space; of a text its first half million characters."""
    text = pc.utf8_slice_codeunits(text, 0, MOST_CHARACTERS)
    lengths = pc.utf8_length(text).to_numpy().astype(np.int64)
    found = [_measure_piece(text[piece]) for piece in pieces(lengths, _CHARACTERS_AT_ONCE)]
    return Measures(*(np.concatenate(columns) for columns in zip(*map(astuple, found), strict=True)))


def _measure_piece(text: pa.StringArray) -> Measures:
    column = _Column(text)
    return Measures(
        is_unspaced=column.is_unspaced,
        is_long_enough=np.where(
            column.is_unspaced, column.characters >= LEAST_CHARACTERS, column.word_counts >= LEAST_WORDS
        ),
        symbols=column.symbols(text),
        nonletters=_share(column.characters - column.letters, column.characters),
        repeated_lines=column.repeated_lines(),
        repeated_phrases=column.repeated_phrases(),
    )


class _Column:
    """The code points of all texts in one array; ``bounds[i]`` to ``bounds[i + 1]`` is text ``i``."""

    def __init__(self, text: pa.StringArray) -> None:
        self.rows = len(text)
        self.codes: _Codes = np.frombuffer("".join(text.to_pylist()).encode("utf-32-le"), np.uint32)
        lengths = pc.utf8_length(text).to_numpy().astype(np.int64)
        self.bounds: _Places = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        kinds = _kinds()[np.minimum(self.codes, _LAST_ASSIGNED + 1)]
        self.is_space: _Flags = (kinds & _SPACE) != 0
        self.letters = self._count((kinds & _LETTER) != 0)
        self.characters = lengths - self._count(self.is_space)
        self.is_unspaced: _Flags = _share(self._count((kinds & _UNSPACED) != 0), self.letters) >= _UNSPACED_SHARE
        self.words = self._words()
        self.word_counts = np.bincount(self._row_of(self.words[0]), minlength=self.rows)

    def symbols(self, text: pa.StringArray) -> _Shares:
        """``#`` and dots a word, or a character."""
        marks = self._count((self.codes == _HASH) | (self.codes == _ELLIPSIS))
        marks = marks + pc.count_substring(text, "...").to_numpy()
        return _share(marks, np.where(self.is_unspaced, self.characters, self.word_counts))

    def repeated_lines(self) -> _Shares:
        """Share of the characters that stand in a line which stood above."""
        breaks = np.flatnonzero(self.codes == _LINE_FEED)
        starts = np.sort(np.concatenate((self.bounds[:-1], breaks + 1)))
        ends = np.sort(np.concatenate((self.bounds[1:], breaks)))
        starts, ends = starts[ends > starts], ends[ends > starts]
        keys = self._keys(starts, ends)
        order = np.argsort(keys, kind="stable")
        repeats = order[1:][keys[order][1:] == keys[order][:-1]]
        rows = self._row_of(starts)
        lengths = ends - starts
        repeated = np.bincount(rows[repeats], lengths[repeats], minlength=self.rows)
        return _share(repeated, np.bincount(rows, lengths, minlength=self.rows))

    def repeated_phrases(self) -> _Shares:
        """Share of the phrases that occurred before in the text."""
        keys = np.sort(np.concatenate((self._phrases_of_words(), self._phrases_of_characters())))
        rows = (keys >> np.uint64(_HASH_BITS)).astype(np.int64)
        repeats = np.bincount(rows[1:][keys[1:] == keys[:-1]], minlength=self.rows)
        return _share(repeats, np.bincount(rows, minlength=self.rows))

    def _phrases_of_words(self) -> _Hashes:
        starts, ends = self.words
        first = np.arange(max(0, len(starts) - WORDS_OF_A_PHRASE + 1))
        last = first + WORDS_OF_A_PHRASE - 1
        rows = self._row_of(starts)
        chosen = (rows[first] == rows[last]) & ~self.is_unspaced[rows[first]]
        return self._keys(starts[first[chosen]], ends[last[chosen]])

    def _phrases_of_characters(self) -> _Hashes:
        if not self.is_unspaced.any():
            return np.empty(0, np.uint64)
        starts = np.arange(len(self.codes), dtype=np.int64)
        rows = self._row_of(starts)
        chosen = self.is_unspaced[rows] & (starts + CHARACTERS_OF_A_PHRASE <= self.bounds[rows + 1])
        return self._keys(starts[chosen], starts[chosen] + CHARACTERS_OF_A_PHRASE)

    def _words(self) -> tuple[_Places, _Places]:
        """Where the words begin and end."""
        after_space = np.concatenate((np.ones(1, bool), self.is_space))
        before_space = np.concatenate((self.is_space, np.ones(1, bool)))[1:]
        after_space[self.bounds] = True
        before_space[self.bounds[1:][self.bounds[1:] > 0] - 1] = True
        starts = np.flatnonzero(~self.is_space & after_space[:-1])
        return starts, np.flatnonzero(~self.is_space & before_space) + 1

    def _keys(self, starts: _Places, ends: _Places) -> _Hashes:
        """Row, then 44 bits of a polynomial hash of the characters, with line ends as blanks."""
        powers, inverses = _powers()
        values = np.where(self.codes == _LINE_FEED, _BLANK, self.codes).astype(np.uint64)
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(values * powers[: len(values)], dtype=np.uint64)))
        hashes = (sums[ends] - sums[starts]) * inverses[starts] * np.uint64(_MULTIPLIER)
        rows = self._row_of(starts).astype(np.uint64)
        return (rows << np.uint64(_HASH_BITS)) | (hashes >> np.uint64(64 - _HASH_BITS))

    def _row_of(self, places: _Places) -> _Places:
        rows: _Places = np.searchsorted(self.bounds, places, side="right") - 1
        return rows

    def _count(self, flags: _Flags) -> _Places:
        """How many flags of each text are set."""
        sums: _Places = np.concatenate((np.zeros(1, np.int64), np.cumsum(flags, dtype=np.int64)))
        return sums[self.bounds[1:]] - sums[self.bounds[:-1]]


def _share(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> _Shares:
    share: _Shares = part / np.maximum(whole, 1)
    return share


@cache
def _powers() -> tuple[_Hashes, _Hashes]:
    """Powers of an odd number modulo 2^64, and their inverses."""
    base = 0x5851F42D4C957F2D
    size = _CHARACTERS_AT_ONCE + MOST_CHARACTERS + 1
    return tuple(  # type: ignore[return-value]
        np.cumprod(np.concatenate((np.ones(1, np.uint64), np.full(size, factor, np.uint64))), dtype=np.uint64)
        for factor in (base, pow(base, -1, 2**64))
    )


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """For each code point whether it is a letter (marks count as such), white space, or of a script without spaces."""
    kinds = np.zeros(_LAST_ASSIGNED + 2, np.uint8)
    for code in range(_LAST_ASSIGNED + 1):
        character = chr(code)
        if unicodedata.category(character)[0] in "LM":
            kinds[code] = _LETTER
        elif character.isspace():
            kinds[code] = _SPACE
    for first, last in _UNSPACED_RANGES:
        is_letter = kinds[first : last + 1] & _LETTER
        kinds[first : last + 1] |= is_letter * np.uint8(_UNSPACED)
    return kinds

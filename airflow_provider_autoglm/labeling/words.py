"""Where the words of a text begin and end, in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "IDEOGRAPHIC", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Beginnings of the Unicode names of letters that are written without spaces between words."""
_APOSTROPHES = "'\u2019"

_Kind = Literal["word", "letter", "sign"]


class Span(NamedTuple):
    """The characters ``start`` to before ``end`` of a text."""

    start: int
    end: int


class _Unit(NamedTuple):
    kind: _Kind
    span: Span


def units_of(text: str) -> list[Span]:
    """The words, the runs of punctuation and, in scripts without spaces, the single letters of ``text``, in order.

    Every character but white space is in one of them; a combining mark is in that of the character before it.
    """
    return [unit.span for unit in _units(text)]


def words_of(text: str) -> list[Span]:
    """The same without punctuation; if there is nothing else, the punctuation."""
    units = list(_units(text))
    return [unit.span for unit in units if unit.kind != "sign"] or [unit.span for unit in units]


def chunks_of(spans: Sequence[Span], most: int) -> list[Span]:
    """At most ``most`` spans that cover ``spans``, each of like many of them one after the other."""
    size = max(1, -(-len(spans) // most))
    groups = [spans[first : first + size] for first in range(0, len(spans), size)]
    return [Span(group[0].start, group[-1].end) for group in groups]


def _units(text: str) -> Iterator[_Unit]:
    kind: _Kind | None = None
    start = 0
    for position, character in enumerate(text):
        found = _kind_of(text, position, kind)
        is_mark = kind is not None and unicodedata.category(character).startswith("M")
        if is_mark or (found == kind != "letter"):
            continue
        if kind is not None:
            yield _Unit(kind, Span(start, position))
        kind, start = found, position
    if kind is not None:
        yield _Unit(kind, Span(start, len(text)))


def _kind_of(text: str, position: int, before: _Kind | None) -> _Kind | None:
    """What the character at ``position`` belongs to; None for white space."""
    character = text[position]
    if character.isspace():
        return None
    if unicodedata.name(character, "").startswith(_UNSPACED) and character.isalpha():
        return "letter"
    is_inside = before == "word" and character in _APOSTROPHES and text[position + 1 : position + 2].isalnum()
    return "word" if character.isalnum() or character == "_" or is_inside else "sign"

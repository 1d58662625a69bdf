"""A text as a form shows it: cut, and without characters that hide or reorder what is there."""

from __future__ import annotations

import re
import unicodedata

SHORTENED = " … [{shown:,} of {all:,} characters]"
EMPTY = "[empty text]"
_JOINERS = "\u200c\u200d"
"""Of invisible characters these change what is read, in Persian or in an emoji."""
_BLANK_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_CONTROL_PICTURES = 0x2400
_DELETE = 0x7F
_READ_AT_MOST = 4
"""Times the characters that are shown: what is dropped from such a piece leaves enough."""


def shown_text(text: str, max_characters: int) -> str:
    """``text`` cut to ``max_characters``, which it then says, as plain text in any markup; never empty."""
    whole = text.strip()
    piece = whole[: _READ_AT_MOST * max_characters]
    readable = visible(piece).strip()
    cut = readable[:max_characters].rstrip() or EMPTY
    if len(readable) <= max_characters and len(piece) == len(whole):
        return cut
    return cut + SHORTENED.format(shown=min(len(readable), max_characters), all=len(whole))


def visible(text: str) -> str:
    """``text`` with control characters as their pictures, without invisible and direction-changing ones.

    Line ends become ``\\n``, two at most in a row; lone surrogates become U+FFFD.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return _BLANK_LINES.sub("\n\n", "".join(map(_visible_character, lines)))


def one_line(text: str | None, max_characters: int) -> str | None:
    """A title or address on one line, cut; None stays."""
    return None if text is None else " ".join(visible(text[:max_characters]).split())


def _visible_character(character: str) -> str:
    if character in "\n\t" or character.isprintable():
        return character
    category = unicodedata.category(character)
    if category == "Cc":
        code = ord(character)
        return chr(_CONTROL_PICTURES + code) if code < ord(" ") else "\u2421" if code == _DELETE else ""
    if category == "Cf":
        return character if character in _JOINERS else ""
    if category == "Cs":
        return "\ufffd"
    return " " if category.startswith("Z") else character

"""Bytes of a page as text, also when the page says the wrong thing about its charset."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ESCAPE = b"\x1b"
_DAMAGE_ALLOWED = 0.05
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Decoded:
    """Text, and the charset it was read with (a Python codec)."""

    text: str
    charset: str


def decode_page(body: bytes, declared: list[str]) -> Decoded:
    """Read ``body`` by its byte order mark, as UTF-8 if it is, as one of ``declared`` charsets, or as detected.

    Bytes that do not fit become U+FFFD: at most 5 % of the non-ASCII characters of a declared charset, any number when
    nothing fits.
    """
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return Decoded(body[len(mark) :].decode(charset, "replace"), charset)
    candidates = [name for label in declared if (name := map_encoding_to_html5(label, fallback_utf8=False))]
    if not body.isascii() or (not candidates and _ESCAPE not in body):
        # Text in another charset is as good as never valid UTF-8, whatever a header claims; escapes mean ISO 2022.
        candidates.insert(0, "utf-8")
    for charset in candidates:
        if (text := _strict(body, charset)) is not None:
            return Decoded(text, charset)
    for charset in candidates:
        text = body.decode(charset, "replace")
        if _damage(text) <= _DAMAGE_ALLOWED:
            return Decoded(text, charset)
    detected = detect_encoding(body) or "utf-8"
    return Decoded(body.decode(detected, "replace"), detected)


def _strict(body: bytes, charset: str) -> str | None:
    try:
        return body.decode(charset)
    except UnicodeDecodeError:
        return None


def _damage(text: str) -> float:
    foreign = sum(not character.isascii() for character in text)
    return text.count(_REPLACEMENT) / foreign if foreign else 0.0

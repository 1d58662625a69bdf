"""Bytes of a page as text, also when the page says the wrong thing about its charset, or nothing."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_UTF_16 = frozenset({"utf-16-le", "utf-16-be"})
_BYTES_FOR_WIDTH = 1_024
_NULLS_OF_WIDE_TEXT = 0.15
_FEWEST_NULLS = 3
_JAPANESE_ESCAPE = re.compile(rb"\x1b\$[@B]")
_DAMAGE_ALLOWED = 0.05
_REPLACEMENT = "\ufffd"

_SUPERSETS = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso2022_jp": "iso2022_jp_ext",
    "iso8859-1": "cp1252",
    "iso8859-11": "cp874",
    "iso8859-9": "cp1254",
    "shift_jis": "cp932",
}
"""What browsers read under these names holds more characters than Python's codecs of the same name."""

_WESTERN = frozenset({"cp1252", "iso8859-15", "mac-roman"})
_ASCII = bytes(range(128))
_FOREIGN_RUN = re.compile(rb"[\x80-\xff]{3,}")
_RUNS_OF_WESTERN_TEXT = 0.5


@dataclass(frozen=True)
class Decoded:
    """Text, and the charset it was read with (a Python codec)."""

    text: str
    charset: str


def decode_page(body: bytes, declared: list[str], *, is_truncated: bool = False) -> Decoded:
    """Read ``body`` by its byte order mark, as UTF-8 if it is, as one of ``declared`` charsets, or as detected.

    ``declared`` are labels in order of trust, the header's before the page's own. A Western charset is not believed
    of bytes above 127 that stand in long runs, which is what a server's default does to Cyrillic, Greek or Chinese;
    of two that contradict each other the detector chooses, and if it knows of a third, the page's own is taken. Bytes
    that do not fit become U+FFFD: at most 5 % of the non-ASCII characters of a declared charset, any number when
    nothing fits. With ``is_truncated`` a character cut off at the end is left out.
    """
    reader = _Reader(body, is_truncated)
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return reader.forced(charset, skipped=len(mark))
    if (wide := utf16_without_mark(body)) is not None:
        return reader.forced(wide)
    candidates = _candidates(body, declared)
    return _chosen(reader, candidates) or _least_damaged(reader, candidates) or reader.forced(_detected(body))


def utf16_without_mark(body: bytes) -> str | None:
    """``utf-16-le`` or ``utf-16-be`` when the zeros of ``body`` stand where those of ASCII characters would."""
    beginning = body[: _BYTES_FOR_WIDTH & ~1]
    if b"\0" not in beginning:
        return None
    first, second = beginning[::2].count(0), beginning[1::2].count(0)
    enough = max(_FEWEST_NULLS, _NULLS_OF_WIDE_TEXT * len(beginning) / 2)
    if second >= enough and not first:
        return "utf-16-le"
    if first >= enough and not second:
        return "utf-16-be"
    return None


@dataclass(frozen=True)
class _Reader:
    body: bytes
    is_truncated: bool

    def strict(self, charset: str) -> Decoded | None:
        try:
            return Decoded(self._decode(charset, "strict"), charset)
        except UnicodeDecodeError:
            return None

    def forced(self, charset: str, *, skipped: int = 0) -> Decoded:
        return Decoded(self._decode(charset, "replace", skipped), charset)

    def _decode(self, charset: str, errors: str, skipped: int = 0) -> str:
        body = self.body[skipped:] if skipped else self.body
        if not self.is_truncated:
            return body.decode(charset, errors)
        return codecs.getincrementaldecoder(charset)(errors).decode(body)


def _candidates(body: bytes, declared: list[str]) -> list[str]:
    names = [name for label in declared if (name := map_encoding_to_html5(label, fallback_utf8=False))]
    # Without a zero among its bytes no markup is UTF-16, whatever it claims; each pair of ASCII bytes would be an
    # ideograph.
    found = [_SUPERSETS.get(name, name) for name in names if name not in _UTF_16 or b"\0" in body]
    if body.isascii():
        own = "iso2022_jp_ext" if _JAPANESE_ESCAPE.search(body) else None if found else "utf-8"
    else:
        # Text in another charset is as good as never valid UTF-8, whatever a header claims.
        own = "utf-8"
    return list(dict.fromkeys([own, *found] if own else found))


def _chosen(reader: _Reader, candidates: list[str]) -> Decoded | None:
    fitting: list[Decoded] = []
    for charset in candidates:
        if charset in _WESTERN and not _may_be_western(reader.body):
            continue
        if (decoded := reader.strict(charset)) is not None:
            if charset == "utf-8" and not fitting:
                return decoded
            fitting.append(decoded)
    if len(fitting) > 1 and not reader.body.isascii():
        detected = _detected(reader.body)
        return next((decoded for decoded in fitting if decoded.charset == detected), fitting[-1])
    return fitting[0] if fitting else None


def _least_damaged(reader: _Reader, candidates: list[str]) -> Decoded | None:
    for charset in candidates:
        if charset in _WESTERN and not _may_be_western(reader.body):
            continue
        decoded = reader.forced(charset)
        if _damage(decoded.text) <= _DAMAGE_ALLOWED:
            return decoded
    return None


def _may_be_western(body: bytes) -> bool:
    """In Western languages letters with accents stand alone or in pairs between ASCII letters."""
    foreign = len(body.translate(None, _ASCII))
    in_runs = sum(map(len, _FOREIGN_RUN.findall(body)))
    return in_runs <= _RUNS_OF_WESTERN_TEXT * foreign


def _detected(body: bytes) -> str:
    # The names for HTML 5 would turn Korean into UTF-8.
    name = detect_encoding(body, html5_compatible=False) or "cp1252"
    try:
        known = codecs.lookup(name).name
    except LookupError:
        return "cp1252"
    return _SUPERSETS.get(known, known)


def _damage(text: str) -> float:
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    return text.count(_REPLACEMENT) / foreign if foreign else 0.0

"""What a pattern of Python's ``re`` is in RE2, and for which texts the two agree."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache, lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.settings.clean import python_pattern

_SHORTHAND = frozenset("wWdDsS")
_IGNORES_CASE = re.compile(r"\(\?[a-z]*i")
_SAMPLES = ("", "a", "a b", "1\n\nb", " ")
_TURKISH_I = re.compile(r"[\u0130\u0131]|\\u013[01]")
_OPEN_RANGE = re.compile(r"\{,(\d+)\}")


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A pattern in RE2 and in Python; ``re2`` None means that only Python can take it, ``python`` None only RE2.

    The others say where the two may differ: ``has_boundary`` and ``folds_beyond_ascii`` on texts beyond ASCII,
    ``folds_case`` on Turkish dotted and dotless i, ``has_dollar`` on a text that ends with a line feed, and
    ``takes_nothing`` where matches of no length are replaced. ``wider`` is an RE2 pattern that finds every text that
    Python's finds, and others.
    """

    re2: str | None
    python: re.Pattern[str] | None
    has_boundary: bool = False
    has_dollar: bool = False
    folds_case: bool = False
    folds_beyond_ascii: bool = False
    takes_nothing: bool = False
    wider: str | None = None


@lru_cache(maxsize=1024)
def translate(pattern: str) -> Translation:
    """Read ``pattern`` as Python's ``re`` does; what only RE2 understands (``\\p{Greek}``) means what RE2 makes of it.

    :raises ValueError: if neither can take it.
    """
    python = python_pattern(pattern)
    if python is None:
        problem = re2_problem(pattern)
        if problem is not None:
            raise ValueError(problem)
        return Translation(re2=pattern, python=None)
    folds = bool(python.flags & re.IGNORECASE or _IGNORES_CASE.search(pattern))
    rewriting = _Rewriting(pattern)
    is_odd = folds and _TURKISH_I.search(pattern)
    if is_odd or rewriting.re2 is None or re2_problem(rewriting.re2) is not None:
        return Translation(re2=None, python=python)
    wider = rewriting.without_boundaries
    return Translation(
        re2=rewriting.re2,
        python=python,
        has_boundary=rewriting.has_boundary,
        has_dollar=rewriting.has_dollar,
        folds_case=folds,
        folds_beyond_ascii=folds and not pattern.isascii(),
        takes_nothing=any(not found[0] for text in _SAMPLES for found in python.finditer(text)),
        wider=wider if wider is not None and re2_problem(wider) is None else None,
    )


def re2_problem(pattern: str) -> str | None:
    """Why RE2 cannot take ``pattern``."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        return str(error)
    return None


class _Rewriting:
    """One pass over a pattern of Python's: shorthand classes written out, what RE2 writes otherwise rewritten."""

    def __init__(self, pattern: str) -> None:
        self.has_boundary = False
        self.has_dollar = False
        self._pattern = pattern
        self._place = 0
        self._written: list[str] = []
        self._without: list[str] = []
        self._is_possible = True
        while self._place < len(pattern) and self._is_possible:
            self._take()

    @property
    def re2(self) -> str | None:
        """The pattern for RE2, if there is one."""
        return "".join(self._written) if self._is_possible else None

    @property
    def without_boundaries(self) -> str | None:
        """The same without ``\\b``, which finds no less."""
        return "".join(self._without) if self._is_possible else None

    def _write(self, text: str, *, instead: str | None = None) -> None:
        self._written.append(text)
        self._without.append(text if instead is None else instead)

    def _take(self) -> None:
        rest = self._pattern[self._place :]
        if rest[0] == "\\":
            self._take_escape(rest[1:2])
        elif rest[0] == "[":
            self._take_class()
        elif found := _OPEN_RANGE.match(rest):
            self._advance(f"{{0,{found[1]}}}", len(found[0]))
        else:
            self.has_dollar = self.has_dollar or rest[0] == "$"
            self._advance(rest[0], 1)

    def _advance(self, text: str, length: int) -> None:
        self._write(text)
        self._place += length

    def _take_escape(self, letter: str) -> None:
        if letter in _SHORTHAND:
            self._advance(f"[{_ranges(letter)}]", 2)
        elif letter == "b":
            self.has_boundary = True
            self._write(r"\b", instead="(?:)")
            self._place += 2
        elif letter == "B":
            self._is_possible = False
        else:
            self._take_plain_escape(letter)

    def _take_plain_escape(self, letter: str) -> None:
        digits = {"u": 4, "U": 8}.get(letter)
        if digits is not None:
            self._advance(f"\\x{{{self._pattern[self._place + 2 : self._place + 2 + digits]}}}", 2 + digits)
        else:
            self._advance({"Z": r"\z"}.get(letter, "\\" + letter), 2)

    def _take_class(self) -> None:
        self._advance("[", 1)
        for opening in ("^", "]"):
            if self._pattern[self._place] == opening:
                self._advance(opening if opening == "^" else r"\]", 1)
        while self._pattern[self._place] != "]":
            character = self._pattern[self._place]
            letter = self._pattern[self._place + 1]
            if character == "[":
                self._advance(r"\[", 1)
            elif character != "\\":
                self._advance(character, 1)
            elif letter in _SHORTHAND:
                self._advance(_ranges(letter), 2)
            elif letter == "b":
                self._advance(r"\x08", 2)
            else:
                self._take_plain_escape(letter)
        self._advance("]", 1)


@cache
def _ranges(letter: str) -> str:
    """The characters of a shorthand class as RE2 writes ranges.

    Written out from Python's own tables, so that the two agree whatever edition of Unicode each was built for.
    """
    kind = letter.lower()
    is_member = {"w": lambda c: c.isalnum() or c == "_", "d": str.isdecimal, "s": str.isspace}[kind]
    written = []
    first: int | None = None
    for code in range(sys.maxunicode + 1):
        is_in = is_member(chr(code)) is (letter == kind)
        if is_in and first is None:
            first = code
        elif not is_in and first is not None:
            written.append(f"\\x{{{first:x}}}-\\x{{{code - 1:x}}}")
            first = None
    if first is not None:
        written.append(f"\\x{{{first:x}}}-\\x{{{sys.maxunicode:x}}}")
    return "".join(written)

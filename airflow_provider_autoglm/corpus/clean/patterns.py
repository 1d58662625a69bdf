"""Searching and replacing in a column of texts: RE2 where it does what Python's ``re`` does, ``re`` where it does not.

The result is that of Python's ``re`` on every text. Two things are RE2's own: patterns that only RE2 understands, and
``(?i)`` with the few letters beyond ASCII whose upper and lower case are not one to one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.python_rules import for_each_text, replacer
from airflow_provider_autoglm.corpus.clean.translation import Translation, translate

_TURKISH_I = "\u0130|\u0131"


def runs_in_python(pattern: str) -> bool:
    """Whether RE2 cannot take the pattern at all, so that every text costs a search in Python."""
    return translate(pattern).re2 is None


def replace_pattern(text: pa.StringArray, pattern: str, replacement: str, *, rule: str) -> pa.StringArray:
    """``re.sub(pattern, replacement, …)`` of every text; ``rule`` is named if a text takes too long.

    :raises RuleTooSlowError: if Python's ``re`` has to be asked and takes too long.
    """
    known = translate(pattern)

    def in_re2(texts: pa.StringArray) -> pa.StringArray:
        return pc.replace_substring_regex(texts, pattern=known.re2, replacement=replacement)

    def in_python(texts: pa.StringArray) -> pa.StringArray:
        assert known.python is not None
        act = replacer(known.python, replacement)
        return pa.array(for_each_text(act, texts.to_pylist(), rule=rule), pa.string())

    needed = _asks_python(text, known, is_replacing=True)
    return _split(text, needed, in_re2, in_python)


def matches(text: pa.StringArray, pattern: str, *, rule: str) -> pa.BooleanArray:
    """``bool(re.search(pattern, …))`` of every text; False for null.

    :raises RuleTooSlowError: if Python's ``re`` has to be asked and takes too long.
    """
    known = translate(pattern)

    def in_re2(texts: pa.StringArray) -> pa.BooleanArray:
        return pc.match_substring_regex(texts, pattern=known.re2)

    def in_python(texts: pa.StringArray) -> pa.BooleanArray:
        python = known.python
        assert python is not None
        return pa.array(
            for_each_text(lambda value: bool(python.search(value)), texts.to_pylist(), rule=rule), pa.bool_()
        )

    needed = _asks_python(text, known, is_replacing=False)
    return pc.fill_null(_split(text, needed, in_re2, in_python), False)


def _split(
    text: pa.StringArray,
    needed: pa.BooleanArray | bool,
    in_re2: Callable[[pa.StringArray], pa.Array],
    in_python: Callable[[pa.StringArray], pa.Array],
) -> pa.Array:
    if isinstance(needed, bool):
        return (in_python if needed else in_re2)(text)
    if not needed.true_count:
        return in_re2(text)
    return pc.replace_with_mask(in_re2(text), needed, in_python(text.filter(needed)))


def _asks_python(text: pa.StringArray, known: Translation, *, is_replacing: bool) -> pa.BooleanArray | bool:
    """The texts for which RE2 may do something else than Python; True for all of them, False for none."""
    if known.python is None:
        return False
    if known.re2 is None or (is_replacing and known.takes_nothing):
        return True
    doubts = []
    if known.has_boundary or known.folds_beyond_ascii:
        doubts.append(_beyond_ascii(text, known))
    if known.folds_case:
        doubts.append(pc.match_substring_regex(text, _TURKISH_I))
    if known.has_dollar:
        doubts.append(pc.ends_with(text, "\n"))
    asked = pa.array(np.zeros(len(text), bool))
    for doubt in doubts:
        asked = pc.or_(asked, pc.fill_null(doubt, False))
    return asked


def _beyond_ascii(text: pa.StringArray, known: Translation) -> pa.BooleanArray:
    """Texts with other characters than ASCII, without those in which nothing can match."""
    beyond = pc.invert(pc.string_is_ascii(text))
    if known.folds_beyond_ascii or known.wider is None:
        return beyond
    return pc.and_(beyond, pc.match_substring_regex(text, known.wider))

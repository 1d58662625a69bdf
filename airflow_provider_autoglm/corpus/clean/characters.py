"""Normal characters and normal white space: the form in which all rules and filters see a text."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.columns import change_where, differs

Form = Literal["NFC", "NFKC"]
_INVISIBLE = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{ad}\x{200b}\x{2060}\x{feff}]"
_OTHER_LINE_ENDS = r"\r\n?|\x{85}|\x{2028}|\x{2029}"
_OTHER_BLANKS = r"\t\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}"
_CHARACTERS = ((rf"{_INVISIBLE}+", ""), (_OTHER_LINE_ENDS, "\n"))
_LAYOUT = (
    (rf"[{_OTHER_BLANKS}][{_OTHER_BLANKS} ]*| [{_OTHER_BLANKS} ]+", " "),
    (r" +\n *|\n +", "\n"),
    (r"\n{3,}", "\n\n"),
)
"""RE2 patterns that match only what has to change: one that matched every blank would take ten times as long."""

_UNUSUAL_CHARACTERS = f"{_INVISIBLE}|{_OTHER_LINE_ENDS}"
_UNUSUAL_LAYOUT = rf"[{_OTHER_BLANKS}]|  | \n|\n |\n\n\n|\A[ \n]|[ \n]\z"


def normal_characters(text: pa.StringArray, form: Form) -> pa.StringArray:
    """Unicode ``form``, no control or invisible characters, ``\\n`` at line ends; nulls stay null."""
    text = _composed(text, form)
    changed = change_where(text, pc.match_substring_regex(text, _UNUSUAL_CHARACTERS), _replace_characters)
    return _composed_where_changed(text, changed, form)


def normal_layout(text: pa.StringArray, form: Form) -> pa.StringArray:
    """No runs of blanks, no blanks around line ends or at either end, at most one empty line."""
    changed = change_where(text, pc.match_substring_regex(text, _UNUSUAL_LAYOUT), _replace_layout)
    return _composed_where_changed(text, changed, form)


def normal(text: pa.StringArray, form: Form) -> pa.StringArray:
    """Both; a text that is normal stays as it is."""
    return normal_layout(normal_characters(text, form), form)


def normal_where_changed(before: pa.StringArray, after: pa.StringArray, form: Form) -> pa.StringArray:
    """``after``, normal again where it is not what it was ``before``."""
    return change_where(after, differs(before, after), lambda texts: normal(texts, form))


def _replace_characters(text: pa.StringArray) -> pa.StringArray:
    for pattern, replacement in _CHARACTERS:
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    return text


def _replace_layout(text: pa.StringArray) -> pa.StringArray:
    for pattern, replacement in _LAYOUT:
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    return pc.utf8_trim_whitespace(text)


def _composed(text: pa.StringArray, form: Form) -> pa.StringArray:
    """A Unicode normal form; pyarrow's ``utf8_normalize`` only takes characters apart (apache/arrow#51225)."""

    def compose(texts: pa.StringArray) -> pa.StringArray:
        return pa.array([unicodedata.normalize(form, value) for value in texts.to_pylist()], pa.string())

    return change_where(text, pc.invert(pc.string_is_ascii(text)), compose)


def _composed_where_changed(before: pa.StringArray, after: pa.StringArray, form: Form) -> pa.StringArray:
    # What stood between a letter and its accent may be gone.
    return change_where(after, differs(before, after), lambda texts: _composed(texts, form))

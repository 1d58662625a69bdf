"""Repair of text that was decoded with the wrong charset (``cafÃ©``), where it is suspected."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.columns import change_where

_CP1252 = bytes(set(range(0x80, 0xA0)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252")
_CP1251 = bytes(set(range(0x80, 0xA0)) - {0x98}).decode("cp1251")
_SUSPICIOUS = "|".join(
    (
        # UTF-8 read as Latin-1 or Windows-1252: a first byte of two to four, then one that only continues.
        rf"[\x{{c2}}-\x{{f4}}][\x{{80}}-\x{{bf}}{_CP1252}]",
        # The same for Windows-1251, in which Cyrillic begins with the letters Er and Es.
        rf"[\x{{420}}\x{{421}}][\x{{80}}-\x{{bf}}{_CP1251}]",
        # Quotes and dashes read as Mac Roman.
        r"\x{201a}\x{c4}",
        # Control characters that stand where Windows-1252 has quotes.
        r"[\x{80}-\x{84}\x{86}-\x{9f}]",
    )
)
"""RE2: telltale pairs, some of which are right in some languages; ftfy decides, at some hundred texts a second."""


def repair_mojibake(text: pa.StringArray) -> pa.StringArray:
    """``ftfy.fix_encoding`` of the suspicious texts; the others are not looked at. Nulls stay null."""
    beyond_ascii = pc.fill_null(pc.invert(pc.string_is_ascii(text)), False)
    if not beyond_ascii.true_count:
        return text
    return change_where(text, pc.match_substring_regex(text, _SUSPICIOUS), _fix)


def _fix(text: pa.StringArray) -> pa.StringArray:
    from ftfy import fix_encoding

    return pa.array([fix_encoding(value) for value in text.to_pylist()], pa.string())

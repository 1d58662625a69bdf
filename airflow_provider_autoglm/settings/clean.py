"""Settings of cleaning: rule sets, rules of the user's own, personal data, length, quality and language."""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airflow_provider_autoglm.settings.base import Settings, unknown_key
from airflow_provider_autoglm.settings.clean_rules import RuleSet, rule_names

_POSIX_CLASS = re.compile(r"\[\[?:\^?[a-z]+:\]")
_FLAGS = re.compile(r"\(\?[a-zA-Z]+\)")
_IN_REPLACEMENT = re.compile(r"\\(.?)", re.DOTALL)


def python_pattern(pattern: str) -> re.Pattern[str] | None:
    """``pattern`` for Python's ``re``; None if it is RE2's alone."""
    if _POSIX_CLASS.search(pattern):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(pattern)
    except (re.error, OverflowError):
        return None


def whole_line(pattern: str) -> str:
    """``pattern`` as one that has to match a line from its beginning to its end."""
    flags = _FLAGS.match(pattern)
    prefix = flags[0] if flags else ""
    return f"{prefix}^(?:{pattern[len(prefix) :]})$"


def _check_pattern(name: str, pattern: str, replacement: str = "") -> None:
    # Arrow brings RE2; it is loaded only where a pattern is written down, never when a DAG file is parsed.
    import pyarrow as pa
    import pyarrow.compute as pc

    python = python_pattern(pattern)
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        if python is None:
            raise ValueError(f"rule {name!r}: {pattern!r} is no pattern of RE2 or of Python's re: {error}") from None
        _check_groups(name, pattern, replacement, python.groups)
        return
    try:
        pc.replace_substring_regex(pa.array([""]), pattern, replacement)
    except pa.ArrowInvalid as error:
        raise ValueError(f"rule {name!r}: the replacement {replacement!r} does not fit {pattern!r}: {error}") from None


def _check_groups(name: str, pattern: str, replacement: str, groups: int) -> None:
    for reference in _IN_REPLACEMENT.findall(replacement):
        if reference != "\\" and not (reference.isdecimal() and int(reference) <= groups):
            problem = (
                f"the pattern has {groups} groups" if reference.isdecimal() else "only \\0 to \\9 and \\\\ are known"
            )
            raise ValueError(f"rule {name!r}: the replacement {replacement!r} does not fit {pattern!r}: {problem}")


class ReplaceRule(Settings):
    """Replace what a pattern matches."""

    name: str = Field(min_length=1, max_length=100, description="Name of the rule.")
    pattern: str = Field(
        min_length=1,
        description="Pattern of Python's `re`. RE2 runs it where that does the same. Lookaround, backreferences and "
        "patterns that match the empty text run in Python: slower, and a text that takes 10 s fails the stage.",
    )
    replacement: str = Field(default="", description="Replacement; `\\1` refers to a group, `\\0` to the whole match.")

    @model_validator(mode="after")
    def _is_pattern(self) -> Self:
        _check_pattern(self.name, self.pattern, self.replacement)
        return self


class _SearchRule(Settings):
    name: str = Field(min_length=1, max_length=100, description="Name of the rule.")
    pattern: str = Field(min_length=1, description="Pattern, as of ReplaceRule.")

    @model_validator(mode="after")
    def _is_pattern(self) -> Self:
        _check_pattern(self.name, self.pattern)
        return self


class DropLinesRule(_SearchRule):
    """Drop the lines that a pattern matches from their beginning to their end."""

    @model_validator(mode="after")
    def _is_pattern_of_a_line(self) -> Self:
        _check_pattern(self.name, whole_line(self.pattern))
        return self


class RejectRule(_SearchRule):
    """Quarantine a document that a pattern matches; the rule's name becomes the reason in `rejected/`."""


class CleanSettings(Settings):
    """What happens to a text between crawl and de-duplication. White space is always normalised."""

    rules: tuple[RuleSet, ...] = Field(
        default=("web",), description="Built-in sets of rules, listed in docs/concepts/pipeline.md; empty for none."
    )
    disable: tuple[str, ...] = Field(default=(), description="Names of built-in rules that do not run.")
    replace: tuple[ReplaceRule, ...] = Field(
        default=(), description="Replacements, applied in order before white space is normalised."
    )
    drop_lines: tuple[DropLinesRule, ...] = Field(
        default=(), description="Rules that drop lines, applied after white space is normalised."
    )
    reject: tuple[RejectRule, ...] = Field(
        default=(), description="Rules that quarantine a document, checked in order on the cleaned text."
    )
    unicode_form: Literal["NFC", "NFKC"] = Field(
        default="NFKC",
        description="`NFKC` also makes ligatures, full-width and raised characters plain ones; `NFC` leaves them.",
    )
    repair_mojibake: bool = Field(
        default=True,
        description="Repair text that was read with the wrong charset (`cafÃ©`), by ftfy, where suspected.",
    )
    mask: tuple[Literal["email", "phone", "ip", "card", "national_id"], ...] = Field(
        default=(), description="Personal data that becomes a word such as `[EMAIL]`; best effort, no promise."
    )
    min_chars: int = Field(default=50, ge=1, le=1_000_000, description="Characters a cleaned text needs.")
    min_chars_unspaced: int = Field(
        default=20,
        ge=1,
        le=1_000_000,
        description="The same for scripts without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese); "
        "what is more than `min_chars` counts as that.",
    )
    max_chars: int = Field(default=200_000, ge=1, le=100_000_000, description="Characters a cleaned text may have.")
    max_symbols: float = Field(
        default=0.2, ge=0, le=1_000, description="`#` and `...` for each word, of a text of 20 words and more."
    )
    max_symbols_unspaced: float = Field(
        default=0.1, ge=0, le=1_000, description="The same for each character of a script without spaces."
    )
    max_nonletters: float = Field(
        default=0.5, ge=0, le=1, description="Share of characters, blanks left out, that are no letters."
    )
    max_nonletters_unspaced: float = Field(
        default=0.5, ge=0, le=1, description="The same for scripts without spaces between words."
    )
    max_repeated_lines: float = Field(
        default=0.5, ge=0, le=1, description="Share of the characters in lines that repeat an earlier line."
    )
    max_repeated_phrases: float = Field(
        default=0.5, ge=0, le=1, description="Share of the runs of 5 words that repeat an earlier one."
    )
    max_repeated_phrases_unspaced: float = Field(
        default=0.6, ge=0, le=1, description="Share of the runs of 12 characters that do, for scripts without spaces."
    )
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = Field(
        default=(), description="ISO 639-1 codes that are kept, e.g. `en`; empty keeps every language."
    )
    min_lang_score: float = Field(
        default=0.5, ge=0, le=1, description="Certainty of the language that is needed when `languages` is set."
    )
    max_rejected_fraction: float = Field(
        default=0.5, ge=0, le=1, description="Share of rows that may be rejected before the stage fails."
    )

    @model_validator(mode="after")
    def _lengths_in_order(self) -> Self:
        if self.max_chars < self.min_chars:
            raise ValueError(f"max_chars ({self.max_chars}) must be at least min_chars ({self.min_chars})")
        return self

    @model_validator(mode="after")
    def _disabled_are_known(self) -> Self:
        known = rule_names() if self.disable else []
        unknown = [name for name in self.disable if name not in known]
        if unknown:
            raise ValueError("; ".join(f"disable: {unknown_key(name, known)}" for name in unknown))
        return self

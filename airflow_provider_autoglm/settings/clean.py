"""Settings of cleaning: replacements, rules that quarantine, length and language."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from airflow_provider_autoglm.settings.base import Settings


def _check_pattern(name: str, pattern: str, replacement: str = "") -> None:
    # RE2 is what runs; it is loaded only where a pattern is written down, never when a DAG file is parsed.
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(f"rule {name!r}: {pattern!r} is no RE2 pattern (no lookaround, no \\uXXXX): {error}") from None
    try:
        pc.replace_substring_regex(pa.array([""]), pattern, replacement)
    except pa.ArrowInvalid as error:
        raise ValueError(f"rule {name!r}: the replacement {replacement!r} does not fit {pattern!r}: {error}") from None


class ReplaceRule(Settings):
    """Replace what an RE2 pattern matches."""

    name: str = Field(min_length=1, max_length=100, description="Name of the rule.")
    pattern: str = Field(min_length=1, description="RE2 pattern.")
    replacement: str = Field(default="", description="Replacement; `\\1` refers to a group.")

    @model_validator(mode="after")
    def _is_re2(self) -> Self:
        _check_pattern(self.name, self.pattern, self.replacement)
        return self


class RejectRule(Settings):
    """Quarantine a document that an RE2 pattern matches; the rule's name becomes the reason."""

    name: str = Field(min_length=1, max_length=100, description="Name of the rule, and the reason in `rejected/`.")
    pattern: str = Field(min_length=1, description="RE2 pattern.")

    @model_validator(mode="after")
    def _is_re2(self) -> Self:
        _check_pattern(self.name, self.pattern)
        return self


class CleanSettings(Settings):
    """What happens to a text between crawl and de-duplication. White space is always normalised, Unicode is NFC."""

    replace: tuple[ReplaceRule, ...] = Field(
        default=(), description="Replacements, applied in order before white space is normalised."
    )
    reject: tuple[RejectRule, ...] = Field(
        default=(), description="Rules that quarantine a document, checked in order on the cleaned text."
    )
    min_chars: int = Field(default=50, ge=1, le=1_000_000, description="Characters a cleaned text needs.")
    max_chars: int = Field(default=200_000, ge=1, le=100_000_000, description="Characters a cleaned text may have.")
    languages: tuple[str, ...] = Field(
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

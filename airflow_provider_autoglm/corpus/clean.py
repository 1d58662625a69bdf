"""Cleaning: replacements and normal white space, then the rules that a text must pass."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.documents import Admitted, replace_invalid_utf8, separate
from airflow_provider_autoglm.corpus.language import detect_languages
from airflow_provider_autoglm.corpus.map_stage import Transform, run_map_stage
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.schema import set_column
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.settings import CleanSettings

_WHITE_SPACE = (
    (r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{ad}\x{200b}\x{2060}\x{feff}]+", ""),
    (r"\r\n?|\x{85}|\x{2028}|\x{2029}", "\n"),
    (r"[\t\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000} ]+", " "),
    (r" *\n *", "\n"),
    (r"\n{3,}", "\n\n"),
)
"""RE2 patterns and replacements: no control or invisible characters, no runs of blanks, at most one empty line."""


def clean(
    source: str | Sequence[str],
    destination: str,
    settings: CleanSettings,
    *,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Clean the texts of ``source``, fill ``lang`` and ``lang_score``, and quarantine what fails a rule.

    Rejected rows keep their text as it came. Reasons: ``invalid_utf8``, ``missing_text``, ``empty_text``,
    ``too_short``, ``too_long``, ``language``, or the name of a rule of ``settings.reject``.

    :raises MissingColumnsError: if a corpus lacks ``doc_id`` or ``text``.
    :raises TooManyRejectedError: if more rows are rejected than ``settings.max_rejected_fraction`` allows.
    """

    def transform(table: pa.Table) -> Admitted:
        return clean_table(table, settings)

    def prepare() -> Transform:
        return transform

    return run_map_stage(
        "clean",
        source,
        destination,
        settings,
        prepare,
        max_rejected_fraction=settings.max_rejected_fraction,
        storage=storage,
        progress=progress,
        provenance=provenance,
    )


def clean_table(table: pa.Table, settings: CleanSettings) -> Admitted:
    """The rows of ``table`` that pass, cleaned, and the others with the column ``reason``."""
    table, invalid = replace_invalid_utf8(table)
    text = clean_text(table["text"].combine_chunks().cast(pa.string()), settings)
    reason = _first_reason(text, invalid, settings)
    language, score = _languages(table, text, pc.is_null(reason))
    if settings.languages:
        is_wanted = pc.and_(
            pc.is_in(language, pa.array(settings.languages, pa.string())),
            pc.greater_equal(score, pa.scalar(settings.min_lang_score, pa.float32())),
        )
        is_unwanted = pc.and_(pc.is_null(reason), pc.invert(pc.fill_null(is_wanted, False)))
        reason = pc.if_else(is_unwanted, "language", reason)
    outcome = separate(set_column(set_column(table, "lang", language), "lang_score", score), reason)
    kept = set_column(outcome.kept, "text", text.filter(pc.is_null(reason)))
    return Admitted(kept, outcome.rejected)


def clean_text(text: pa.StringArray, settings: CleanSettings) -> pa.StringArray:
    """NFC, the replacements in order, then normal white space; nulls stay null."""
    text = _composed(text)
    for rule in settings.replace:
        text = pc.replace_substring_regex(text, pattern=rule.pattern, replacement=rule.replacement)
    for pattern, replacement in _WHITE_SPACE:
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    # What stood between a letter and its accent may be gone now.
    return _composed(pc.utf8_trim_whitespace(text))


def _composed(text: pa.StringArray) -> pa.StringArray:
    """Unicode NFC; pyarrow's ``utf8_normalize`` takes characters apart whatever it is asked (apache/arrow#51225)."""
    values = text.to_pylist()
    if all(value is None or unicodedata.is_normalized("NFC", value) for value in values):
        return text
    return pa.array([value and unicodedata.normalize("NFC", value) for value in values], pa.string())


def _first_reason(text: pa.StringArray, invalid: pa.BooleanArray, settings: CleanSettings) -> pa.StringArray:
    length = pc.fill_null(pc.utf8_length(text), 0)
    checks = [
        (invalid, "invalid_utf8"),
        (pc.is_null(text), "missing_text"),
        (pc.equal(length, 0), "empty_text"),
        (pc.less(length, settings.min_chars), "too_short"),
        (pc.greater(length, settings.max_chars), "too_long"),
    ]
    checks += [
        (pc.fill_null(pc.match_substring_regex(text, pattern=rule.pattern), False), rule.name)
        for rule in settings.reject
    ]
    reason = pa.nulls(len(text), pa.string())
    for failed, name in reversed(checks):
        reason = pc.if_else(failed, name, reason)
    return reason


def _languages(table: pa.Table, text: pa.StringArray, wanted: pa.BooleanArray) -> tuple[pa.Array, pa.Array]:
    """Language and certainty of the wanted rows; what a source said of a row already is kept."""
    rows = len(text)
    given = table["lang"].combine_chunks() if "lang" in table.column_names else pa.nulls(rows, pa.string())
    scores = table["lang_score"].combine_chunks() if "lang_score" in table.column_names else pa.nulls(rows)
    ask = pc.and_(wanted, pc.is_null(given))
    found, certainty = detect_languages(text.filter(ask).to_pylist())
    language = pc.replace_with_mask(given.cast(pa.string()), ask, pa.array(found, pa.string()))
    score = pc.replace_with_mask(scores.cast(pa.float32()), ask, pa.array(certainty, pa.float32()))
    said_without_score = pc.and_(pc.is_valid(language), pc.is_null(score))
    return language, pc.if_else(said_without_score, pa.scalar(1.0, pa.float32()), score)

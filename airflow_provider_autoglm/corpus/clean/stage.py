"""The stage: every row is cleaned and kept, or put aside with the reason."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.checks import reasons_against
from airflow_provider_autoglm.corpus.clean.columns import pieces
from airflow_provider_autoglm.corpus.clean.patterns import runs_in_python
from airflow_provider_autoglm.corpus.clean.text import cleaned_texts
from airflow_provider_autoglm.corpus.documents import Admitted, replace_invalid_utf8, separate
from airflow_provider_autoglm.corpus.language import detect_languages
from airflow_provider_autoglm.corpus.map_stage import Transform, run_map_stage
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.schema import set_column
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.settings import CleanSettings

log = logging.getLogger(__name__)
_BYTES_AT_ONCE = 8 * 1024 * 1024
"""Of text: what is worked on takes a multiple of it."""


def clean(
    source: str | Sequence[str],
    destination: str,
    settings: CleanSettings,
    *,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Clean the texts of ``source``, fill ``lang`` and ``lang_score``, and quarantine what fails a check.

    Rejected rows keep their text as it came. Reasons: ``invalid_utf8``, ``missing_text``, ``empty_text``,
    ``too_short``, ``too_long``, ``too_many_symbols``, ``too_few_letters``, ``repeated_lines``, ``repeated_phrases``,
    ``language``, or the name of a rule. Metrics besides: ``changed/<rule>``, texts that a rule changed, and
    ``masked/<kind>``, values that were masked.

    :raises MissingColumnsError: if a corpus lacks ``doc_id`` or ``text``.
    :raises RuleTooSlowError: if a rule that runs in Python takes too long for a text.
    :raises TooManyRejectedError: if more rows are rejected than ``settings.max_rejected_fraction`` allows.
    """

    def transform(table: pa.Table) -> Admitted:
        return clean_table(table, settings)

    def prepare() -> Transform:
        patterns = [(rule.name, rule.pattern) for rule in settings.replace]
        patterns += [(rule.name, rule.pattern) for rule in (*settings.drop_lines, *settings.reject)]
        for name, pattern in patterns:
            if runs_in_python(pattern):
                log.warning("clean: rule %r runs in Python, since RE2 cannot take its pattern: slower", name)
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
    counts: Counter[str] = Counter()
    kept, rejected = [], []
    bytes_of_text = pc.fill_null(pc.binary_length(table["text"].cast(pa.large_string())), 0).to_numpy().astype(np.int64)
    for piece in pieces(bytes_of_text, _BYTES_AT_ONCE):
        outcome = _clean_piece(table[piece], invalid[piece], settings)
        kept.append(outcome.kept)
        rejected.append(outcome.rejected)
        counts.update(outcome.counts)
    return Admitted(pa.concat_tables(kept), pa.concat_tables(rejected), counts)


def _clean_piece(table: pa.Table, invalid: pa.BooleanArray, settings: CleanSettings) -> Admitted:
    cleaned = cleaned_texts(table["text"].combine_chunks().cast(pa.string()), settings)
    text = cleaned.text
    reasons = reasons_against(text, invalid, settings)
    language, score = _languages(table, text, pc.is_null(reasons.column))
    if settings.languages:
        is_wanted = pc.and_(
            pc.is_in(language, pa.array(settings.languages, pa.string())),
            pc.greater_equal(score, pa.scalar(settings.min_lang_score, pa.float32())),
        )
        reasons.add(pc.invert(pc.fill_null(is_wanted, False)), "language")
    reason = reasons.column
    outcome = separate(set_column(set_column(table, "lang", language), "lang_score", score), reason)
    kept = set_column(outcome.kept, "text", text.filter(pc.is_null(reason)))
    return Admitted(kept, outcome.rejected, cleaned.counts)


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

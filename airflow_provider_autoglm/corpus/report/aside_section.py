"""Rows that were set aside as a section of a page: each reason with what it means and examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from airflow_provider_autoglm.corpus.report.aside import Example, SetAside
from airflow_provider_autoglm.corpus.report.markup import content, cut, document_name, document_text, table
from airflow_provider_autoglm.corpus.schema import normalise_text

_MAX_TEXT_CHARS = 160
_MAX_NOTE_CHARS = 70
_MAX_REASON_CHARS = 60
_MAX_MEANING_CHARS = 160
_MOST_LISTED = 30


def aside_section(
    title: str,
    reasons: Sequence[SetAside],
    *,
    meaning: Callable[[str], str],
    none: str,
    most: int,
    notes: Mapping[str, str] | None = None,
) -> str:
    """The reasons in order, ``most`` of them with their examples, the others as a table.

    :param meaning: a reason in words, plain text.
    :param none: what is said if there are no rows.
    :param notes: how the examples' notes are called.
    """
    if not reasons:
        return f"<h2>{content(title)}</h2><p>{content(none)}</p>"
    shown = "".join(_reason(entry, meaning(entry.reason), notes or {}) for entry in reasons[:most])
    return f'<h2>{content(title)}</h2><div class="reasons">{shown}</div>{_others(reasons[most:])}'


def _reason(entry: SetAside, meaning: str, notes: Mapping[str, str]) -> str:
    examples = "".join(f"<li>{_example(example, notes)}</li>" for example in entry.examples)
    return (
        f'<article><h3>{cut(entry.reason, _MAX_REASON_CHARS)} <span class="rows">{entry.rows:,}</span></h3>'
        f'<p class="note">{cut(meaning, _MAX_MEANING_CHARS)}</p><ul class="examples">{examples}</ul></article>'
    )


def _example(example: Example, notes: Mapping[str, str]) -> str:
    told = "".join(
        f"<div><dt>{content(notes[name])}</dt><dd><bdi>{cut(value, _MAX_NOTE_CHARS)}</bdi></dd></div>"
        for name, value in example.notes.items()
    )
    text = cut(normalise_text(example.document.text), _MAX_TEXT_CHARS)
    return "".join(
        [
            document_name(example.document, is_id_shown=False),
            f'<dl class="settings">{told}</dl>' if told else "",
            document_text(example.document, text) if text else "",
        ]
    )


def _others(reasons: Sequence[SetAside]) -> str:
    if not reasons:
        return ""
    rows = sum(entry.rows for entry in reasons)
    listed = table(
        ["reason", "rows"], [(entry.reason[:_MAX_REASON_CHARS], entry.rows) for entry in reasons[:_MOST_LISTED]]
    )
    return f"<details><summary>{len(reasons):,} further reasons, {rows:,} rows</summary>{listed}</details>"

"""Rows that a stage rejected or removed: how many for each reason, and a few of them to look at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_autoglm.corpus.report.documents import Document, document_of
from airflow_provider_autoglm.corpus.report.places import Place, keep_first, row_groups, rows_at
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.base import redact_userinfo

EXAMPLES_SHOWN = 3
MOST_CHARS_READ = 2_000
"""Of each value of an example: more than a page shows of any, so that what is cut off here is not seen there."""

_SHOWN = ("doc_id", "text", "url", "title", "lang", "source")


@dataclass(frozen=True)
class Example:
    """A row that was set aside; ``notes`` are other columns that say why, those that have a value."""

    document: Document
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SetAside:
    """The rows with one reason."""

    reason: str
    rows: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, order=True)
class _Choice:
    doc_id: str
    place: Place = field(compare=False)


def set_aside(
    corpus: Corpus, kind: Literal["rejected", "removed"], *, notes: Sequence[str] = (), examples: int = EXAMPLES_SHOWN
) -> tuple[SetAside, ...]:
    """The reasons of ``kind``, the most frequent first, with ``examples`` rows each.

    Examples are those with the smallest ids, which are digests: a sample, and the same each time.
    """
    counts: Counter[str] = Counter()
    chosen: defaultdict[str, list[_Choice]] = defaultdict(list)
    for first, table in row_groups(corpus, kind, ["reason", "doc_id"]):
        pairs = zip(table["reason"].to_pylist(), table["doc_id"].to_pylist(), strict=True)
        for row, (reason, doc_id) in enumerate(pairs):
            counts[reason] += 1
            keep_first(chosen[reason], _Choice(doc_id or "", Place(first.shard, first.row + row)), examples)
    places = [choice.place for choices in chosen.values() for choice in choices]
    rows = rows_at(corpus, places, [*_SHOWN, *notes])
    return tuple(
        SetAside(reason, counts[reason], tuple(_example(rows[choice.place], notes) for choice in chosen[reason]))
        for reason in sorted(counts, key=lambda reason: (-counts[reason], reason))
    )


def shortened(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the beginnings of its texts."""
    return {name: value[:MOST_CHARS_READ] if isinstance(value, str) else value for name, value in row.items()}


def _example(row: Mapping[str, Any], notes: Sequence[str]) -> Example:
    row = shortened(row)
    return Example(document_of(row), dict(_told(row, notes)))


def _told(row: Mapping[str, Any], notes: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in notes:
        value = row.get(name)
        if value is not None and value != row.get("url"):
            yield name, redact_userinfo(str(value)[:MOST_CHARS_READ])

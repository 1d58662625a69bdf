"""Records of formats without types, gathered into tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.crawl.records.batch import (
    INVALID_ENCODING,
    INVALID_RECORD,
    INVALID_VALUE,
    Batch,
)
from airflow_provider_autoglm.corpus.crawl.records.values import as_text
from airflow_provider_autoglm.corpus.shards import ROWS_OF_A_GROUP
from airflow_provider_autoglm.exceptions import UnusableRecordsError

MAX_RECORD_CHARACTERS = 32 * 1024 * 1024
"""Characters of one record at most."""
MAX_COLUMNS = 500
"""Different keys of the records of a source at most, where they are not chosen."""
_CHARACTERS_OF_A_BATCH = 16 * 1024 * 1024
_CHARACTERS_SHOWN = 64 * 1024


@dataclass(frozen=True)
class _Row:
    values: Mapping[str, Any]
    reason: str | None = None
    problem: str | None = None


class RecordRows:
    """Takes records one by one and hands them out as batches whose columns are all text.

    Text never clashes: not with the record that has a word where others have a number, not from one run to the next.
    Columns only ever become more over the files of a source, so that a shard ends only where a new key appears.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._columns: dict[str, None] = {}
        self._rows: list[_Row] = []
        self._characters = 0

    @property
    def is_full(self) -> bool:
        """Whether a batch should be taken before more is added."""
        return len(self._rows) >= ROWS_OF_A_GROUP or self._characters >= _CHARACTERS_OF_A_BATCH

    def add(self, values: Mapping[str, Any], *, problem: str | None = None) -> None:
        """A record; ``problem`` says what is wrong with its encoding, if that is known already.

        :raises UnusableRecordsError: if the records have too many different keys.
        """
        if not values.keys() <= self._columns.keys():
            self.know(values)
        reason = None if problem is None else INVALID_ENCODING
        if problem is None and isinstance(values.get("text"), (dict, list)):
            kind = "an object" if isinstance(values["text"], dict) else "a list"
            reason, problem = INVALID_VALUE, f"text: {kind} and no text; name what is in it with fields"
        self._append(_Row(values, reason, problem))

    def know(self, columns: Mapping[str, Any] | Sequence[str]) -> None:
        """Columns that the table has even if no record fills them.

        :raises UnusableRecordsError: if there are too many different ones.
        """
        self._columns |= dict.fromkeys(columns)
        if len(self._columns) > MAX_COLUMNS:
            raise UnusableRecordsError(
                self._source,
                f"its records have more than {MAX_COLUMNS} different keys; name the ones to take in fields",
            )

    def add_broken(self, raw: str, problem: str) -> None:
        """What should have been a record; its beginning is kept as the text."""
        self._append(_Row({"text": raw[:_CHARACTERS_SHOWN]}, INVALID_RECORD, problem))

    def take(self) -> Batch:
        """The records added since the last call.

        There is no column ``text`` if no record that was ever added has that key: then a path is wrong, not a record.
        """
        rows, self._rows, self._characters = self._rows, [], 0
        columns = list(self._columns)
        if all(row.reason == INVALID_RECORD for row in rows):
            columns = list(dict.fromkeys([*columns, "text"]))
        reasons = [row.reason for row in rows]
        problems = [row.problem for row in rows]
        arrays = [_column(name, rows, reasons, problems) for name in columns]
        table = pa.Table.from_arrays(arrays, names=columns)
        return Batch(table, pa.array(reasons, pa.string()), pa.array(problems, pa.string()))

    def _append(self, row: _Row) -> None:
        self._rows.append(row)
        self._characters += sum(len(value) for value in row.values.values() if isinstance(value, str))


def _column(name: str, rows: list[_Row], reasons: list[str | None], problems: list[str | None]) -> pa.Array:
    texts: list[str | None] = []
    for number, row in enumerate(rows):
        try:
            texts.append(as_text(row.values.get(name)))
        except UnicodeDecodeError:
            texts.append(None)
            reasons[number] = reasons[number] or INVALID_ENCODING
            problems[number] = problems[number] or f"{name}: its bytes are no UTF-8"
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array(_repaired(name, texts, reasons, problems), pa.string())


def _repaired(
    name: str, texts: list[str | None], reasons: list[str | None], problems: list[str | None]
) -> list[str | None]:
    """Half characters become U+FFFD: what cannot be decoded is read as such, and JSON can spell them."""
    repaired: list[str | None] = []
    for number, text in enumerate(texts):
        whole = None if text is None else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if whole != text:
            reasons[number] = reasons[number] or INVALID_ENCODING
            problems[number] = problems[number] or f"{name}: bytes that are no text in this encoding; set encoding"
        repaired.append(whole)
    return repaired

"""Some records of a source, and what becomes of them when they are let in as documents."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.crawl.records.values import parse_number, parse_time
from airflow_provider_autoglm.corpus.documents import Admitted, admit_documents, separate
from airflow_provider_autoglm.corpus.schema import DOCUMENT_SCHEMA, LABEL_COLUMNS, require_columns, set_column

INVALID_RECORD = "invalid_record"
INVALID_VALUE = "invalid_value"
INVALID_ENCODING = "invalid_encoding"
NOINDEX = "noindex"
"""Reason of a page that asks to be left out; such rows are removed, not rejected."""

_TIME = DOCUMENT_SCHEMA.field("fetched_at").type
_PARSED = {column.name: column.type for column in (*DOCUMENT_SCHEMA, *LABEL_COLUMNS) if column.type != pa.string()} | {
    "published_at": _TIME
}
"""Columns whose values a format of text writes as text."""
_REASON = "__reason"
_PROBLEM = "__problem"


@dataclass(frozen=True)
class Batch:
    """Records as rows. One whose ``reason`` is not null is no document; ``problem`` tells a person why."""

    table: pa.Table
    reason: pa.Array
    problem: pa.Array

    @classmethod
    def of(cls, table: pa.Table) -> Batch:
        """Rows of which nothing is wrong so far."""
        nothing = pa.nulls(table.num_rows, pa.string())
        return cls(table, nothing, nothing)


def admit_batch(batch: Batch, *, uri: str, source: str) -> Admitted:
    """Let the rows in as documents of ``source``; rejected ones have the columns ``reason`` and ``problem``.

    :raises MissingColumnsError: if there is no column ``text``.
    :raises UnusableColumnError: if a document or label column holds values of another kind.
    """
    require_columns(uri, batch.table, ["text"])
    batch = _parse_columns(batch)
    table = batch.table.append_column(_REASON, batch.reason).append_column(_PROBLEM, batch.problem)
    admitted = admit_documents(table, uri=uri, source=source)
    refused = separate(admitted.kept, admitted.kept[_REASON])
    late = set_column(admitted.rejected, "reason", pc.coalesce(admitted.rejected[_REASON], admitted.rejected["reason"]))
    rejected = pa.concat_tables([late.select(refused.rejected.column_names), refused.rejected])
    rejected = set_column(rejected, "problem", rejected[_PROBLEM])
    temporary = [_REASON, _PROBLEM]
    return Admitted(refused.kept.drop_columns(temporary), rejected.drop_columns(temporary))


def _parse_columns(batch: Batch) -> Batch:
    """Times and scores that are text become what they say; the rows in which they say nothing are refused."""
    table, reasons, problems = batch.table, batch.reason.to_pylist(), batch.problem.to_pylist()
    for name, kind in _PARSED.items():
        if name not in table.column_names or not _is_text(table.schema.field(name).type):
            continue
        parse = parse_time if kind == _TIME else parse_number
        parsed: list[object] = []
        for row, value in enumerate(table[name].cast(pa.large_binary()).to_pylist()):
            try:
                parsed.append(parse(value.decode("utf-8", "replace")) if value and not value.isspace() else None)
            except (ValueError, OverflowError) as error:
                parsed.append(None)
                reasons[row] = reasons[row] or INVALID_VALUE
                problems[row] = problems[row] or f"{name}: {error}"
        table = set_column(table, name, pa.array(parsed, kind))
    return Batch(table, pa.array(reasons, pa.string()), pa.array(problems, pa.string()))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

"""Letting documents in: columns filled, types set, and what cannot be a document put aside with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.schema import (
    DOCUMENT_SCHEMA,
    LABEL_COLUMNS,
    document_id,
    require_columns,
    set_column,
)
from airflow_provider_autoglm.exceptions import UnusableColumnError


@dataclass(frozen=True)
class Admitted:
    """Rows that are documents, and the others with the column ``reason``; ``counts`` says what else was done."""

    kept: pa.Table
    rejected: pa.Table
    counts: Mapping[str, int] = field(default_factory=dict)


def admit_documents(table: pa.Table, *, uri: str, source: str) -> Admitted:
    """Give ``table`` the document columns; rows without readable text are rejected.

    ``source`` fills the column of that name where it is absent; ``uri`` names the table in errors.

    :raises MissingColumnsError: if there is no column ``text``.
    :raises UnusableColumnError: if a document or label column holds values of another kind.
    """
    require_columns(uri, table, ["text"])
    table, invalid = replace_invalid_utf8(table)
    text = _cast(uri, DOCUMENT_SCHEMA.field("text"), table["text"]).combine_chunks()
    table = set_column(table, "text", text)
    reason = pc.if_else(
        invalid,
        "invalid_utf8",
        pc.if_else(
            pc.is_null(text),
            "missing_text",
            pc.if_else(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0), "empty_text", pa.scalar(None)),
        ),
    ).cast(pa.string())
    return separate(_with_document_columns(table, uri, source), reason)


def separate(table: pa.Table, reason: pa.Array) -> Admitted:
    """Split rows by ``reason``: null means kept."""
    is_kept = pc.is_null(reason)
    rejected = set_column(table, "reason", reason).filter(pc.invert(is_kept))
    return Admitted(table.filter(is_kept), rejected)


def replace_invalid_utf8(table: pa.Table) -> tuple[pa.Table, pa.Array]:
    """``table`` with bytes that are no UTF-8 replaced by U+FFFD, and which rows had such bytes.

    Parquet readers do not check strings, and lone surrogates written by other tools arrive as such bytes.
    """
    invalid = [False] * table.num_rows
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            values = column.cast(pa.large_binary()).to_pylist()
            repaired = [None if value is None else value.decode("utf-8", "replace") for value in values]
            for row, (value, text) in enumerate(zip(values, repaired, strict=True)):
                invalid[row] = invalid[row] or (text is not None and text.encode() != value)
            table = set_column(table, name, pa.array(repaired, column.type))
    return table, pa.array(invalid, pa.bool_())


def _cast(uri: str, column: pa.Field, values: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return values.cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # Arrow's message quotes the value, and values are documents.
        raise UnusableColumnError(uri, column.name, str(values.type), str(column.type)) from None


def _with_document_columns(table: pa.Table, uri: str, source: str) -> pa.Table:
    rows = table.num_rows
    given = set(table.column_names)
    if "source" not in given:
        table = table.append_column("source", pa.array([source] * rows, pa.string()))
    for column in DOCUMENT_SCHEMA:
        if column.name not in table.column_names:
            table = table.append_column(column, pa.nulls(rows, column.type))
    for column in (*DOCUMENT_SCHEMA, *LABEL_COLUMNS):
        if column.name in table.column_names and table.schema.field(column.name).type != column.type:
            table = set_column(table, column.name, _cast(uri, column, table[column.name]))
    table = set_column(table, "doc_id", _document_ids(table))
    others = [name for name in table.column_names if name not in DOCUMENT_SCHEMA.names]
    return table.select([*DOCUMENT_SCHEMA.names, *others])


def _document_ids(table: pa.Table) -> pa.Array:
    rows = zip(
        table["doc_id"].to_pylist(),
        table["url"].to_pylist(),
        table["source"].to_pylist(),
        table["text"].to_pylist(),
        strict=True,
    )
    return pa.array(
        [doc_id or document_id(url or source or "", text or "") for doc_id, url, source, text in rows], pa.string()
    )

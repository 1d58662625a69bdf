"""Rows of a database cursor as tables of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from airflow_provider_autoglm.corpus.crawl.records.batch import Batch
from airflow_provider_autoglm.corpus.crawl.records.rows import RecordRows
from airflow_provider_autoglm.exceptions import MissingColumnsError, QueryFailedError
from airflow_provider_autoglm.settings.base import redact_userinfo

_CURSOR = "autoglm"
_ROWS_FETCHED = 200


def read_query(
    connection: Any,
    sql: str,
    parameters: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    name: str,
    fields: Mapping[str, str] | None = None,
) -> Iterator[Batch]:
    """Batches of the rows that ``sql`` selects over a DB-API ``connection``, which stays open.

    ``parameters`` are bound by the driver, in its own style. Where the driver has cursors on the server, the rows come
    batch by batch; others may hold the whole result. ``fields`` chooses columns of the result and gives them names.

    :raises QueryFailedError: if the database refuses the query or fails.
    :raises MissingColumnsError: if the result lacks a column of ``fields``.
    """
    rows = RecordRows(name)
    chosen: dict[str, int] | None = None
    with closing(_cursor_of(connection)) as cursor:
        for found in _fetched(cursor, sql, parameters, name):
            if chosen is None:
                chosen = _chosen(name, [column[0] for column in cursor.description], fields)
                rows.know(chosen)
            for row in found:
                rows.add({column: row[position] for column, position in chosen.items()})
            if rows.is_full:
                yield rows.take()
        yield rows.take()


def _cursor_of(connection: Any) -> Any:
    try:
        # PostgreSQL's drivers keep the result of a cursor with a name on the server.
        return connection.cursor(name=_CURSOR)
    except TypeError:
        return connection.cursor()


def _fetched(cursor: Any, sql: str, parameters: Any, name: str) -> Iterator[Sequence[Sequence[Any]]]:
    try:
        cursor.execute(*([sql] if parameters is None else [sql, parameters]))
        while rows := cursor.fetchmany(_ROWS_FETCHED):
            yield rows
    except Exception as error:
        # Each driver has errors of its own; the first line says what is wrong, further ones may quote rows.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise QueryFailedError(name, redact_userinfo(reason)) from error


def _chosen(name: str, columns: Sequence[str], fields: Mapping[str, str] | None) -> dict[str, int]:
    """Which value of a row each column takes."""
    wanted = fields or {column: column for column in columns}
    if missing := [column for column in wanted.values() if column not in columns]:
        raise MissingColumnsError(f"query {name}", missing, list(columns))
    return {column: columns.index(origin) for column, origin in wanted.items()}

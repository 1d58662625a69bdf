"""Inserting rows that may be there already: the one statement that SQLite and PostgreSQL do not share in SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert those of ``rows``, all of the same columns, that break no unique key; returns how many were new."""
    if not rows:
        return 0
    statement = _insert(connection, table).on_conflict_do_nothing().returning(*table.primary_key)
    return len(connection.execute(statement, [dict(row) for row in rows]).all())


def insert_or_replace(
    connection: sa.Connection, table: sa.Table, row: Mapping[str, Any], *, key: Sequence[str], newest_by: str = ""
) -> None:
    """Insert ``row``, or give the row of the same ``key`` its values; unless that one is newer by ``newest_by``."""
    statement = _insert(connection, table).values(dict(row))
    values = {name: value for name, value in row.items() if name not in key}
    is_newer = table.c[newest_by] <= statement.excluded[newest_by] if newest_by else None
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values, where=is_newer))


def _insert(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)

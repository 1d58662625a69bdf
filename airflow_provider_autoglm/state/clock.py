"""``database_now()``: the database's own time in a statement, as seconds since the epoch."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


class database_now(sa.sql.expression.FunctionElement[float]):  # noqa: N801 - reads as a SQL function
    """The time at which the statement runs, not at which its transaction began; exact to a millisecond."""

    type = sa.Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _on_sqlite(element: database_now, compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _on_postgresql(element: database_now, compiler: Any, **_: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"

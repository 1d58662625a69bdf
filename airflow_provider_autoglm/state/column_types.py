"""Column types whose values come back the same from SQLite and PostgreSQL, whatever a user sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa


class StorableText(sa.types.TypeDecorator[str]):
    """Text, cut to ``length`` characters; NUL and halves of surrogate pairs are replaced.

    PostgreSQL takes neither them nor longer names: one odd request must not keep a batch of predictions out.
    """

    impl: Any = sa.Text
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__()
        self.length = length
        self.impl = sa.String(length) if length else sa.Text()

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """The value as both databases hold it."""
        return _storable(value)[: self.length] if isinstance(value, str) else value


class StorableJson(sa.types.TypeDecorator[Any]):
    """JSON of plain values; mappings become objects, and numbers that JSON does not have (NaN, infinity) null."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """The value as JSON has it."""
        return _plain(value)


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


Id: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Name = StorableText(250)
RunName = StorableText(510)
"""A DAG run, as ``<DAG>/<run>``: Airflow lets each of both have 250 characters."""
LongText = StorableText()
Time: sa.Double[float] = sa.Double()
"""Seconds since the epoch."""

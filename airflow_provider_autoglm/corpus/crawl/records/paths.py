"""Where a value is in a nested record: ``body.content``, ``links.0.href`` or, as a JSON pointer, ``/links/0/href``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def steps_of(path: str) -> list[str]:
    """The keys and positions along a dotted path or a JSON pointer (RFC 6901)."""
    if path.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    return path.split(".")


def take_fields(record: Mapping[str, Any], fields: Mapping[str, str]) -> Mapping[str, Any]:
    """The values of ``fields`` by column, null where there is none; the whole record if no fields are named."""
    if not fields:
        return record
    return {column: record[path] if path in record else _value_at(record, path) for column, path in fields.items()}


def _value_at(record: Mapping[str, Any], path: str) -> Any:
    value: Any = record
    for step in steps_of(path):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, Sequence) and not isinstance(value, str) and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value

"""Values of records as text, and text as times and numbers."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

_LATEST_SECOND = 1e11
"""A Unix time beyond this, the year 5138, is in milliseconds."""
_LONGEST_SHOWN = 60


def as_text(value: object) -> str | None:
    """``value`` as text: numbers and truth values as JSON writes them, times in ISO 8601, what is nested as JSON.

    :raises UnicodeDecodeError: if it is bytes that are no UTF-8.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def parse_time(text: str) -> datetime:
    """A time with its zone from ISO 8601 (UTC if it names no zone), RFC 2822, or a Unix time in (milli)seconds.

    :raises ValueError: if it is none of these.
    """
    text = text.strip()
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
        except (ValueError, TypeError):
            continue
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is no time (ISO 8601, RFC 2822 or a Unix time)") from None
    return datetime.fromtimestamp(number / 1_000 if abs(number) > _LATEST_SECOND else number, UTC)


def parse_number(text: str) -> float:
    """A finite number.

    :raises ValueError: if it is none.
    """
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is no number") from None
    if not isfinite(number):
        raise ValueError(f"{_shown(text)} is no finite number")
    return number


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")

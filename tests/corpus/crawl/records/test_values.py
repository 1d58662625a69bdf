from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.crawl.records.values import as_text, parse_number, parse_time


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, None),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        ({"a": ["ü", None]}, '{"a": ["ü", null]}'),
        ([1, Decimal("1.10")], '[1, "1.10"]'),
        (b"caf\xc3\xa9", "café"),
        (memoryview(b"bytes"), "bytes"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
        (Decimal("1.10"), "1.10"),
    ],
)
def test_values_become_text(value: Any, text: str | None) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T04:04:05+01:00",
        "2026-01-02 03:04:05",
        "20260102T030405",
        "Fri, 02 Jan 2026 03:04:05 GMT",
        " Fri, 02 Jan 2026 04:04:05 +0100 ",
        "1767323045",
        "1767323045000",
    ],
)
def test_times_are_read_with_their_zone_or_in_utc(text: str) -> None:
    assert parse_time(text) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "nan", "1e300"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse_time(text)


@pytest.mark.parametrize("text", ["a lot", "nan", "-inf", "x" * 1_000])
def test_what_is_no_number_is_refused_and_not_quoted_at_length(text: str) -> None:
    with pytest.raises(ValueError, match=r"no (finite )?number") as raised:
        parse_number(text)
    assert len(str(raised.value)) < 100


def test_numbers_are_read() -> None:
    assert parse_number(" 0.5 ") == 0.5

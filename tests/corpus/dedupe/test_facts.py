"""What is seen of documents that are compared, and which of two it makes the one to keep."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.dedupe.facts import FACTS, TEXT_HASH, look_at
from airflow_provider_autoglm.corpus.dedupe.shingles import sets_of
from airflow_provider_autoglm.corpus.schema import normalise_text
from airflow_provider_autoglm.exceptions import MissingColumnsError, SettingsError
from airflow_provider_autoglm.settings import DedupeSettings
from tests.corpus.dedupe.runs import han_text_of, ids, removed_rows, text_of, write_shards

_LONGEST = DedupeSettings()
_EARLIEST = DedupeSettings(keep="earliest", max_removed_fraction=1)
_COLUMN = DedupeSettings(keep="column", keep_column="score", max_removed_fraction=1)
_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_SPACES = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())


def _table(*texts: str, **columns: Any) -> pa.Table:
    return pa.table({"doc_id": [f"d{n}" for n in range(len(texts))], "text": list(texts), **columns})


def _kept(tmp_path: Path, settings: DedupeSettings, **columns: Any) -> list[str]:
    """Which of copies of one text stay."""
    (values,) = columns.values()
    source = write_shards(tmp_path / "in", [_table(*[text_of(1)] * len(values), **columns)])
    return ids(deduplicate(source, str(tmp_path / "out"), settings))


def _hashes(*texts: str) -> list[tuple[int, int]]:
    facts = look_at(_table(*texts), _LONGEST).facts
    return list(zip(*(facts[half].to_pylist() for half in TEXT_HASH), strict=True))


def test_a_row_is_the_hash_and_length_of_a_text_and_its_set_lies_beside() -> None:
    texts = ["", "a", text_of(1), han_text_of(1), "\N{GRINNING FACE}", "x" * 400_000, " two\n\tlines "]
    look = look_at(_table(*texts), _LONGEST)
    assert look.facts.schema == FACTS
    assert look.facts["length"].to_pylist() == [len(normalise_text(text)) for text in texts]
    assert look.facts["rank"].to_pylist() == look.facts["length"].to_pylist()
    assert len(set(_hashes(*texts))) == len(texts)
    expected = sets_of(texts)
    assert look.sets.bounds.tolist() == expected.bounds.tolist()
    assert look.sets.values.tolist() == expected.values.tolist()


def test_no_documents_are_no_rows() -> None:
    look = look_at(pa.table({"doc_id": pa.array([], pa.string()), "text": pa.array([], pa.string())}), _LONGEST)
    assert look.facts.equals(FACTS.empty_table())
    assert look.sets.bounds.tolist() == [0]


def test_texts_that_read_the_same_have_one_hash_in_every_unicode_form() -> None:
    text = "Ångström résumé Tiếng Việt 한국어"
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    hashes = _hashes(*forms, f"\u3000{forms[1]}\n", text.lower())
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(alphabet=f"ab1é中😀e\u0301{_SPACES}", max_size=12), min_size=1, max_size=6),
    st.lists(st.text(max_size=12), max_size=4),
)
def test_a_hash_is_equal_where_the_normalised_text_is_and_nowhere_else(few: list[str], other: list[str]) -> None:
    texts = few + other
    hashes, normalised = _hashes(*texts), [normalise_text(text) for text in texts]
    assert look_at(_table(*texts), _LONGEST).facts["length"].to_pylist() == [len(text) for text in normalised]
    for n, one in enumerate(normalised):
        assert [known == hashes[n] for known in hashes] == [text == one for text in normalised]


@pytest.mark.parametrize(
    "label_source",
    [
        pa.array(["human", "auto", None, "feedback"]),
        pa.array(["human", "auto", None, "feedback"], pa.large_string()),
        pa.array(["human", "auto", None, "feedback"]).dictionary_encode(),
    ],
)
def test_who_labelled_a_row_is_read_from_strings_of_any_kind(label_source: pa.Array) -> None:
    facts = look_at(_table(*"abcd", label_source=label_source), _LONGEST).facts
    assert facts["is_labelled"].to_pylist() == [True, False, False, True]


def test_rows_are_unlabelled_where_the_column_is_missing_or_has_no_values() -> None:
    assert look_at(_table("a", "b"), _LONGEST).facts["is_labelled"].to_pylist() == [False, False]
    nothing = look_at(_table("a", "b", label_source=pa.nulls(2)), _LONGEST).facts
    assert nothing["is_labelled"].to_pylist() == [False, False]


# What is kept


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1, 3, 2], "d1"),
        ([None, -5, None], "d1"),
        ([None, None, None], "d0"),
        ([2, 2, 2], "d0"),
        ([0.5, float("nan"), 0.75], "d2"),
        ([float("-inf"), None, None], "d0"),
        (pa.array([1, 2**64 - 1, None], pa.uint64()), "d1"),
        (pa.array([1, None, 2]).dictionary_encode(), "d2"),
        (pa.nulls(3), "d0"),
        ([_DAY, _DAY + timedelta(microseconds=1), None], "d1"),
        (pa.array([10_001, 11_001, None], pa.timestamp("ns", "UTC")), "d1"),
        ([date(1969, 12, 31), date(1970, 1, 1), None], "d1"),
    ],
)
def test_the_row_with_the_larger_value_is_kept_and_one_without_a_value_last(
    tmp_path: Path, values: Any, kept: str
) -> None:
    assert _kept(tmp_path, _COLUMN, score=values) == [kept]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([_DAY, _DAY - timedelta(microseconds=1), None], "d1"),
        ([None, _DAY, _DAY], "d1"),
        ([None, None], "d0"),
        (pa.array([11_001, 10_001], pa.timestamp("ns")), "d1"),
    ],
)
def test_the_row_that_was_fetched_first_is_kept_and_one_without_a_time_last(
    tmp_path: Path, values: Any, kept: str
) -> None:
    fetched_at = values if isinstance(values, pa.Array) else pa.array(values, pa.timestamp("us", "UTC"))
    assert _kept(tmp_path, _EARLIEST, fetched_at=fetched_at) == [kept]


def test_of_near_duplicates_of_one_rank_the_smallest_doc_id_is_kept(tmp_path: Path) -> None:
    table = _table(text_of(1), text_of(1, changed=[0]), text_of(1, changed=[23]), score=[7, 7, 7])
    result = deduplicate(write_shards(tmp_path / "in", [table[::-1]]), str(tmp_path / "out"), _COLUMN)
    assert ids(result) == ["d0"]
    assert {row["kept_id"] for row in removed_rows(result).values()} == {"d0"}


def test_the_rank_may_have_another_type_in_every_shard(tmp_path: Path) -> None:
    tables = [
        pa.table({"doc_id": [name], "text": [text_of(1)], "score": values})
        for name, values in {"a": pa.nulls(1), "b": pa.array([1.5]), "c": pa.array([2])}.items()
    ]
    assert ids(deduplicate(write_shards(tmp_path / "in", tables), str(tmp_path / "out"), _COLUMN)) == ["c"]


@pytest.mark.parametrize(
    "value",
    ["7", True, b"7", Decimal("1.5"), [1], timedelta(seconds=1), time(12)],
    ids=lambda value: type(value).__name__,
)
def test_a_column_that_has_no_order_of_numbers_is_named(tmp_path: Path, value: object) -> None:
    source = write_shards(tmp_path / "in", [_table("a", score=[value])])
    with pytest.raises(SettingsError, match=r"dedupe\.keep = column: column score has type .*, but numbers, dates"):
        deduplicate(source, str(tmp_path / "out"), _COLUMN)


def test_times_that_are_strings_are_named(tmp_path: Path) -> None:
    source = write_shards(tmp_path / "in", [_table("a", fetched_at=["2026-01-01"])])
    with pytest.raises(SettingsError, match=r"dedupe\.keep = earliest: column fetched_at has type string"):
        deduplicate(source, str(tmp_path / "out"), _EARLIEST)


@pytest.mark.parametrize(("settings", "missing"), [(_EARLIEST, "fetched_at"), (_COLUMN, "score")])
def test_a_rank_that_is_missing_is_named(tmp_path: Path, settings: DedupeSettings, missing: str) -> None:
    source = write_shards(tmp_path / "in", [_table("a")])
    with pytest.raises(MissingColumnsError, match=f"missing columns {missing}; found"):
        deduplicate(source, str(tmp_path / "out"), settings)

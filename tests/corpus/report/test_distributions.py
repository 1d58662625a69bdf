"""Lengths of texts, and counts of values that may be anything."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.report.lengths import BIN_STARTS, Lengths
from airflow_provider_autoglm.corpus.report.tally import count_values, most_frequent


def table(*texts: str | None) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.string())})


def test_a_text_is_counted_where_its_characters_begin_a_bin() -> None:
    lengths = Lengths.of([table("", None, "é"), table("x" * 29, "x" * 30, "漢" * 99), table("x" * 2_000_000)])
    assert lengths.counts == (2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert (lengths.texts, lengths.chars) == (7, 1 + 29 + 30 + 99 + 2_000_000)
    assert [bar.label for bar in lengths.bars()][:3] == ["0", "1", "30"]
    assert lengths.to_dict()["from_characters"] == dict(zip(map(str, BIN_STARTS), lengths.counts, strict=True))


@given(st.lists(st.integers(0, 2_000_000), max_size=20))
def test_every_length_is_in_one_bin(sizes: list[int]) -> None:
    text = "x" * 2_000_000
    ends = (*BIN_STARTS[1:], float("inf"))
    expected = [sum(start <= size < end for size in sizes) for start, end in zip(BIN_STARTS, ends, strict=True)]
    assert list(Lengths.of([table(text[:size]) for size in sizes]).counts) == expected


def test_no_text_has_no_mean() -> None:
    assert Lengths.of([]).mean == 0
    assert Lengths.of([table("four", "si")]).mean == 3


def test_values_are_counted_by_their_beginning_and_nulls_are_not() -> None:
    counts = Counter({"en": 1})
    count_values(counts, pa.chunked_array([["en", None], ["x" * 300, "x" * 400]]))
    count_values(counts, pa.chunked_array([pa.array(["en"]).dictionary_encode()]))
    count_values(counts, pa.chunked_array([pa.nulls(2)]))
    assert counts == {"en": 3, "x" * 255: 2}


def test_what_is_not_among_the_most_frequent_is_summed_up() -> None:
    counts = {"a": 1, "b": 5, "c": 3, "d": 1}
    assert list(most_frequent(counts, 2).items()) == [("b", 5), ("c", 3), ("others", 2)]
    assert list(most_frequent(counts, 4)) == ["b", "c", "a", "d"]

"""Names that lie on disk: their order is that of strings in memory, and memory does not hold them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe.names import NO_NAME, NamesOnDisk

_few_letters = st.text(alphabet="a\0é中", max_size=20)
_of_one_site = st.builds("https://example.org/page-{}".format, st.integers(0, 3_000))
_names = st.lists(st.text(max_size=9) | _few_letters | _of_one_site, max_size=30)


def _on_disk(*runs: list[str]) -> NamesOnDisk:
    names = NamesOnDisk()
    for run in runs:
        names.add(pa.array(run, pa.large_string()))
    return names


@settings(max_examples=300, deadline=None)
@given(_names, _names)
def test_the_rank_of_a_name_is_how_many_come_before_it(some: list[str], others: list[str]) -> None:
    every = [name.encode() for name in some + others]
    assert _on_disk(some, others).ranks().tolist() == [sum(other < name for other in every) for name in every]


@settings(deadline=None)
@given(st.lists(_of_one_site, min_size=1, max_size=30))
def test_names_that_all_begin_alike_are_ordered_by_the_rest(names: list[str]) -> None:
    assert _on_disk(names).ranks().tolist() == [sum(other < name for other in names) for name in names]


@pytest.mark.parametrize("length", [0, 6, 7, 8, 13, 14, 15, 70_000])
def test_a_name_comes_before_a_longer_one_that_begins_with_it(length: int) -> None:
    names = ["z", "x" * length + "\0", "x" * length, "x" * length]
    assert _on_disk(names).ranks().tolist() == [3, 2, 0, 0]


def test_names_come_back_from_any_place_and_none_where_none_is_asked_for() -> None:
    names = _on_disk(["a", "", "中文"], [], ["d" * 5_000])
    assert names.size == 4
    places = np.array([2, NO_NAME, 3, 1, 2, 0], np.int32)
    assert names.take(places).to_pylist() == ["中文", None, "d" * 5_000, "", "中文", "a"]
    assert names.take(places[:0]).to_pylist() == []
    assert names.take(places[1:2]).to_pylist() == [None]


def test_a_slice_of_an_array_is_added_as_what_it_shows() -> None:
    names = NamesOnDisk()
    names.add(pa.array(["before", "one", "two", "behind"], pa.large_string()).slice(1, 2))
    assert names.take(np.arange(2)).to_pylist() == ["one", "two"]
    assert names.ranks().tolist() == [0, 1]


def test_no_names_have_no_order() -> None:
    assert NamesOnDisk().ranks().tolist() == []


def test_memory_holds_numbers_and_not_the_names() -> None:
    _on_disk(["a", "b"]).ranks()
    tracemalloc.start()
    names = NamesOnDisk()
    for row in range(0, 20_000, 1_000):
        names.add(pa.array([f"{row + n:05d}".ljust(500, "-") for n in range(1_000)], pa.large_string()))
    ranks = names.ranks()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ranks.tolist() == list(range(20_000))
    assert peak < 3_000_000, "of ten million bytes"

from __future__ import annotations

import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.publish.splits import (
    SPLITS,
    Clusters,
    hashed_split,
    refuse_leakage,
)
from airflow_provider_autoglm.exceptions import SplitLeakageError
from airflow_provider_autoglm.settings import PublishSettings
from tests.corpus.publish.conftest import Datasets, Row, row, rows

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
EVEN = {"test_fraction": 0.34, "validation_fraction": 0.33}


def cluster_in(split: str, *, avoid: frozenset[int] = frozenset()) -> int:
    """The number of a document that lands in ``split`` on its own."""
    even = PublishSettings.parse(EVEN)
    return next(
        number for number in range(1000) if number not in avoid and hashed_split(f"doc-{number:04d}", even) == split
    )


def test_the_split_of_a_cluster_is_the_same_on_every_machine() -> None:
    assert [hashed_split(f"doc-{number}", PublishSettings.parse(EVEN)) for number in range(6)] == [
        "train",
        "train",
        "validation",
        "train",
        "train",
        "validation",
    ]


@pytest.mark.parametrize(("test", "validation"), [(0.1, 0.1), (0.3, 0.2), (0, 0.5), (0, 0)])
def test_splits_have_about_the_shares_that_are_asked_for(test: float, validation: float) -> None:
    asked = PublishSettings(test_fraction=test, validation_fraction=validation)
    found = [hashed_split(f"cluster-{number}", asked) for number in range(5_000)]

    assert found.count("test") / 5_000 == pytest.approx(test, abs=0.02)
    assert found.count("validation") / 5_000 == pytest.approx(validation, abs=0.02)


def test_published_splits_have_about_the_shares_that_are_asked_for(datasets: Datasets) -> None:
    published = datasets.publish(rows(0, 1_000), test_fraction=0.3, validation_fraction=0.2)

    assert published.splits["test"] == pytest.approx(300, abs=50)
    assert published.splits["validation"] == pytest.approx(200, abs=50)
    assert published.splits["train"] == pytest.approx(500, abs=50)


def test_clusters_are_joined_and_named_by_their_smallest_member() -> None:
    clusters = Clusters(9)
    for one, other in ((3, 2), (5, 4), (2, 5), (7, 8), (4, 3)):
        clusters.join(one, other)

    assert [clusters.name_of(member) for member in range(9)] == [0, 1, 2, 2, 2, 2, 6, 7, 7]


def test_a_cluster_in_two_splits_is_refused() -> None:
    refuse_leakage([("one", "train"), ("two", "test"), ("one", "train")])
    with pytest.raises(SplitLeakageError, match="cluster one lies in the splits test, train") as raised:
        refuse_leakage([("one", "train"), ("one", "test")])
    assert raised.value.splits == ["test", "train"]


def test_other_fractions_move_only_new_clusters(datasets: Datasets) -> None:
    datasets.publish(rows(0, 100))
    datasets.publish(rows(100, 200), test_fraction=0.9, validation_fraction=0)

    before, after = datasets.rows(1), datasets.rows(2)
    assert {doc_id: after[doc_id]["split"] for doc_id in before} == {
        doc_id: values["split"] for doc_id, values in before.items()
    }
    assert sum(values["split"] == "test" for values in after.values()) > 80


@pytest.mark.parametrize("earlier", [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_clusters_that_a_new_document_merges_go_to_test(datasets: Datasets, earlier: tuple[str, str]) -> None:
    one = cluster_in(earlier[0])
    other = cluster_in(earlier[1], avoid=frozenset({one}))
    datasets.publish([row(one), row(other)], **EVEN)
    assert [datasets.rows(1)[f"doc-{number:04d}"]["split"] for number in (one, other)] == list(earlier)

    bridge = row(5000, text=row(one)["text"], cluster_id=f"doc-{other:04d}")
    datasets.publish([bridge], **EVEN)

    assert {values["split"] for values in datasets.rows(2).values()} == {"test"}


def test_a_text_that_comes_back_under_another_address_stays_in_its_split(datasets: Datasets) -> None:
    numbers = [cluster_in(split) for split in SPLITS]
    datasets.publish([row(number) for number in numbers], **EVEN)
    copies = [row(1000 + number, text=f" {row(number)['text']}\n") for number in numbers]
    datasets.publish(copies, **EVEN)

    found = datasets.rows(2)
    for number, split in zip(numbers, SPLITS, strict=True):
        assert found[f"doc-{1000 + number:04d}"]["split"] == found[f"doc-{number:04d}"]["split"] == split


# By time


def dated(number: int, day: float | None, **columns: Any) -> Row:
    """A document that was fetched so many days after Monday."""
    return row(number, fetched_at=None if day is None else MONDAY + timedelta(days=day), **columns)


BY_TIME = {"split_by": "time", "test_fraction": 0.2, "validation_fraction": 0.3}


def numbers_by_split(datasets: Datasets, version: int = 1) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {split: [] for split in SPLITS}
    for doc_id, values in sorted(datasets.rows(version).items()):
        found[values["split"]].append(int(doc_id.removeprefix("doc-")))
    return found


def test_by_time_the_newest_documents_are_test_and_those_before_them_validation(datasets: Datasets) -> None:
    days = [3, 9, 0, 7, 1, 8, 2, 6, 4, 5]
    published = datasets.publish([dated(day, day) for day in days], **BY_TIME)

    assert numbers_by_split(datasets) == {"test": [8, 9], "validation": [5, 6, 7], "train": [0, 1, 2, 3, 4]}
    assert published.splits == {"train": 5, "validation": 3, "test": 2}


def test_by_time_what_was_published_counts_before_what_was_fetched_and_undated_documents_are_oldest(
    datasets: Datasets,
) -> None:
    found = [dated(number, -number if number < 8 else None, published_at=None) for number in range(10)]
    found[3]["published_at"] = MONDAY + timedelta(days=5)
    found[7]["published_at"] = MONDAY + timedelta(days=6)
    datasets.publish(found, **BY_TIME)

    assert numbers_by_split(datasets) == {"test": [3, 7], "validation": [0, 1, 2], "train": [4, 5, 6, 8, 9]}


def test_by_time_a_time_without_a_zone_is_utc_and_text_is_none(datasets: Datasets) -> None:
    days = [(MONDAY + timedelta(days=number)).replace(tzinfo=None) for number in range(10)]
    datasets.publish(
        [row(number, fetched_at=day, published_at="yesterday") for number, day in enumerate(days)], **BY_TIME
    )

    assert numbers_by_split(datasets)["test"] == [8, 9]


def test_by_time_a_cluster_stays_whole_and_is_as_new_as_its_newest_document(datasets: Datasets) -> None:
    members = {"cluster_id": "doc-0000"}
    datasets.publish(
        [dated(0, 0, **members), dated(9, 9, **members), *(dated(number, number) for number in range(1, 9))], **BY_TIME
    )

    assert numbers_by_split(datasets) == {"test": [0, 9], "validation": [6, 7, 8], "train": [1, 2, 3, 4, 5]}


def test_by_time_a_cluster_too_large_for_a_split_goes_where_its_middle_lies(datasets: Datasets) -> None:
    crowd = [dated(number, 9, cluster_id="doc-0001") for number in range(1, 9)]
    datasets.publish([dated(0, 0), *crowd, dated(9, 10)], **BY_TIME)

    assert numbers_by_split(datasets) == {"test": [9], "validation": [], "train": list(range(9))}


def test_by_time_ties_are_broken_by_name_whatever_the_order_of_the_rows(datasets: Datasets) -> None:
    datasets.publish([dated(number, 0) for number in (4, 2, 0, 1, 3, 9, 8, 7, 6, 5)], **BY_TIME)

    assert numbers_by_split(datasets) == {"test": [0, 1], "validation": [2, 3, 4], "train": [5, 6, 7, 8, 9]}


def test_by_time_what_has_a_split_keeps_it_and_shares_are_those_of_the_new_documents(datasets: Datasets) -> None:
    datasets.publish([dated(number, 100) for number in range(20)])
    before = numbers_by_split(datasets)
    datasets.publish([dated(number, number) for number in range(20, 30)], **BY_TIME)

    after = numbers_by_split(datasets, 2)
    assert {split: [number for number in after[split] if number < 20] for split in SPLITS} == before
    assert [number for number in after["test"] if number >= 20] == [28, 29]
    assert [number for number in after["validation"] if number >= 20] == [25, 26, 27]


def test_by_time_a_publication_without_new_documents_has_nothing_to_split(datasets: Datasets) -> None:
    datasets.publish([dated(number, number) for number in range(10)], **BY_TIME)
    datasets.publish([], erase_doc_ids=["doc-0009"], **BY_TIME)

    assert numbers_by_split(datasets, 2)["test"] == [8]


DOCUMENT = st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(0, 7))
"""Number of a document, of its cluster and of its text."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(DOCUMENT, min_size=1, max_size=6), min_size=2, max_size=4))
def test_nothing_ever_leaves_test_and_no_cluster_or_text_is_in_two_splits(
    tmp_path: Path, runs: list[list[tuple[int, int, int]]]
) -> None:
    shutil.rmtree(tmp_path)
    datasets = Datasets(tmp_path)
    before: dict[str, str] = {}
    for run in runs:
        published = datasets.publish(
            [row(number, cluster_id=f"doc-{cluster:04d}", text=f"text {text}") for number, cluster, text in run], **EVEN
        )
        found = datasets.rows(published.version)
        after = {doc_id: values["split"] for doc_id, values in found.items()}
        for doc_id, split in before.items():
            assert after[doc_id] in (split, "test")
        for column in ("cluster_id", "text"):
            splits = defaultdict(set)
            for values in found.values():
                splits[values[column]].add(values["split"])
            assert all(len(where) == 1 for where in splits.values())
        before = after

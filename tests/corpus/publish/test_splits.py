from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.publish.splits import (
    SPLITS,
    Clusters,
    hashed_split,
    inherited_split,
    refuse_leakage,
)
from airflow_provider_autoglm.exceptions import SplitLeakageError
from airflow_provider_autoglm.settings import PublishSettings
from tests.corpus.publish.conftest import Datasets, row, rows

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
    clusters = Clusters()
    for one, other in (("d", "c"), ("f", "e"), ("c", "f"), ("x", "y"), ("e", "d")):
        clusters.join(one, other)

    assert {member: clusters.name_of(member) for member in "cdefxyz"} == {
        "c": "c",
        "d": "c",
        "e": "c",
        "f": "c",
        "x": "x",
        "y": "x",
        "z": "z",
    }


def test_a_cluster_of_one_earlier_split_stays_and_one_of_several_is_test() -> None:
    assert [inherited_split({split}) for split in SPLITS] == list(SPLITS)
    assert inherited_split({"train", "validation"}) == inherited_split({"train", "test"}) == "test"


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

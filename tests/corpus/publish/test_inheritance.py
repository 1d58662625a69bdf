"""Splits, addresses and clusters that a row labelled by people takes over from the rows it replaces."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.corpus.publish.conftest import Datasets, Row, row

EVEN = {"test_fraction": 0.34, "validation_fraction": 0.33}
PAGES = range(40)


def page(number: int, edition: int = 1, **columns: Any) -> Row:
    """One edition of a crawled page."""
    name = f"page-{number:02d}-{edition}"
    text = f"This is edition {edition} of the page {number}."
    url = f"https://example.com/{number}"
    return row(number, **{"doc_id": name, "cluster_id": name, "text": text, "url": url, **columns})


def answered(number: int, **columns: Any) -> Row:
    """The first edition of a page as it was sent to the gateway, with the label that people gave it."""
    name = f"traffic-{number:02d}"
    return row(
        number,
        **{**page(number, doc_id=name, cluster_id=name, url=None, label_source="feedback", label="b"), **columns},
    )


def splits_of(datasets: Datasets, version: int) -> dict[str, str]:
    return {doc_id: values["split"] for doc_id, values in datasets.rows(version).items()}


def test_a_text_labelled_by_people_stays_in_the_split_of_the_rows_it_replaces(datasets: Datasets) -> None:
    datasets.publish([page(number) for number in PAGES], **EVEN)
    datasets.publish([answered(number) for number in PAGES], **EVEN)

    before, after = splits_of(datasets, 1), splits_of(datasets, 2)
    assert after == {f"traffic-{number:02d}": before[f"page-{number:02d}-1"] for number in PAGES}
    assert set(after.values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("collected_again", [False, True])
def test_a_page_edited_after_people_labelled_its_text_stays_in_its_split(
    datasets: Datasets, collected_again: bool
) -> None:
    datasets.publish([page(number) for number in PAGES], **EVEN)
    datasets.publish([answered(number) for number in PAGES], **EVEN)
    again = [answered(number) for number in PAGES] if collected_again else []
    datasets.publish([*again, row(99, doc_id="other", cluster_id="other")], **EVEN)
    datasets.publish([page(number, edition=2) for number in PAGES], **EVEN)

    splits = splits_of(datasets, 4)
    assert {splits[f"page-{number:02d}-2"] == splits[f"traffic-{number:02d}"] for number in PAGES} == {True}
    assert datasets.rows(4)["traffic-07"]["url"] == "https://example.com/7"


def test_an_address_and_a_cluster_of_its_own_stay(datasets: Datasets) -> None:
    datasets.publish([page(1, cluster_id="page-01-0"), page(2, cluster_id="page-02-0")])
    datasets.publish([answered(1, cluster_id="traffic-00", url="https://example.com/elsewhere"), answered(2)])

    found = datasets.rows(2)
    assert [(found[name]["url"], found[name]["cluster_id"]) for name in ("traffic-01", "traffic-02")] == [
        ("https://example.com/elsewhere", "traffic-00"),
        ("https://example.com/2", "page-02-0"),
    ]


def test_of_several_replaced_rows_the_smallest_address_is_taken_over(datasets: Datasets) -> None:
    copies = [page(1, doc_id=f"copy-{letter}", url=f"https://example.com/{letter}") for letter in "cab"]
    datasets.publish([*copies, page(1, doc_id="copy-d", url=None)])
    datasets.publish([answered(1)])

    assert datasets.rows(2)["traffic-01"]["url"] == "https://example.com/a"


def test_a_machines_row_takes_nothing_over_from_its_earlier_one(datasets: Datasets) -> None:
    datasets.publish([page(1)])
    datasets.publish([page(1, url=None), page(2)])

    assert datasets.rows(2)["page-01-1"]["url"] is None


def test_rows_without_addresses_or_clusters_are_replaced_too(datasets: Datasets) -> None:
    bare = {"doc_id": ["x"], "text": ["one"], "label": ["a"], "label_source": ["auto"]}
    datasets.publish(datasets.corpus(pa.table(bare)))
    datasets.publish(datasets.corpus(pa.table({**bare, "doc_id": ["y"], "label": ["b"], "label_source": ["human"]})))

    assert {doc_id: values["label"] for doc_id, values in datasets.rows(2).items()} == {"y": "b"}

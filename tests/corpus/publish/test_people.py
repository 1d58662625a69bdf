"""A text that people have labelled is one document, whatever address it came from."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.publish.people import Word, word_of
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.settings import PublishSettings
from tests.corpus.publish.conftest import Datasets, Row, row, rows

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
TEXT = "One text that came from two addresses."
EVEN = {"test_fraction": 0.34, "validation_fraction": 0.33}


def feedback(number: int, label: str | None = "a", *, day: int = 0, text: str = TEXT, **columns: Any) -> Row:
    """A document that people labelled by feedback so many days after Monday."""
    fetched = MONDAY + timedelta(days=day)
    return row(number, label, text=text, label_source="feedback", label_score=1.0, fetched_at=fetched, **columns)


def machine(number: int, label: str | None = "a", *, day: int = 0, text: str = TEXT, **columns: Any) -> Row:
    """A document with the same text that a machine labelled."""
    return row(number, label, text=text, fetched_at=MONDAY + timedelta(days=day), **columns)


def labels_of(datasets: Datasets, version: int) -> dict[str, str]:
    return {doc_id: values["label"] for doc_id, values in datasets.rows(version).items()}


def news_of(datasets: Datasets, version: int) -> tuple[int, int, int]:
    """Documents that are new, changed their label, were dropped."""
    record = datasets.manifest(version).dataset
    assert record is not None
    return record["new_documents"], record["changed_labels"], record["dropped_documents"]


def test_a_machines_rows_give_way_to_a_label_from_people_under_another_address(datasets: Datasets) -> None:
    copy = machine(2, text=f"  {TEXT}\n")
    datasets.publish([machine(1), copy, row(3)])
    published = datasets.publish([feedback(4, "b")])

    assert (published.version, published.has_news) == (2, True)
    assert labels_of(datasets, 2) == {"doc-0003": "a", "doc-0004": "b"}
    assert news_of(datasets, 2) == (0, 1, 0)
    assert datasets.manifest(2).metrics["removed/superseded"] == 2
    assert datasets.aside(2, "removed") == {}
    assert labels_of(datasets, 1) == {"doc-0001": "a", "doc-0002": "a", "doc-0003": "a"}


def test_a_label_that_people_confirm_under_another_address_is_news_once(datasets: Datasets) -> None:
    datasets.publish([machine(1)])
    confirmed = datasets.publish([feedback(2)])
    again = datasets.publish([feedback(2), machine(1, day=1)])
    elsewhere = datasets.publish([feedback(3, day=2)])

    assert (confirmed.version, confirmed.has_news) == (2, True)
    assert (again.version, again.has_news) == (2, False)
    assert (elsewhere.version, elsewhere.has_news) == (2, False)


@pytest.mark.parametrize("label", ["b", "a", None])
def test_a_machines_label_for_a_text_that_people_have_labelled_is_left_out_and_no_news(
    datasets: Datasets, label: str | None
) -> None:
    datasets.publish([feedback(1), row(2)])
    crawled = machine(3, label, day=5)
    assert not datasets.publish([crawled]).has_news

    datasets.publish([crawled, row(4)])
    assert labels_of(datasets, 2) == {"doc-0001": "a", "doc-0002": "a", "doc-0004": "a"}
    assert news_of(datasets, 2) == (1, 0, 0)
    assert datasets.manifest(2).metrics["removed/labelled_by_people"] == 1
    assert datasets.aside(2, "removed") == {}
    counters = datasets.manifest(2).counters
    assert (counters.rows_in, counters.rows_out, counters.removed) == (4, 3, 1)


@pytest.mark.parametrize("first", ["machine", "people"])
def test_in_one_run_people_go_before_a_machine_in_either_order(datasets: Datasets, first: str) -> None:
    new = [machine(1, "b"), feedback(2, "a"), machine(3, "a", text="Another text.")]
    datasets.publish(new if first == "machine" else new[::-1])

    assert labels_of(datasets, 1) == {"doc-0002": "a", "doc-0003": "a"}
    assert news_of(datasets, 1) == (2, 0, 0)


@pytest.mark.parametrize("first", ["machine", "people"])
def test_of_one_document_twice_in_a_run_the_row_labelled_by_people_is_kept(datasets: Datasets, first: str) -> None:
    new = [machine(1, "b", day=3), feedback(1, "a")]
    datasets.publish(new if first == "machine" else new[::-1])

    assert labels_of(datasets, 1) == {"doc-0001": "a"}
    assert datasets.aside(1, "removed") == {"doc-0001": "duplicate_doc_id"}


@pytest.mark.parametrize("runs", ["together", "older first", "newer first"])
def test_of_two_labels_from_people_for_one_text_the_newer_counts(datasets: Datasets, runs: str) -> None:
    older, newer = feedback(1, "a", day=1), feedback(2, "b", day=2)
    for new in {"together": [[newer, older]], "older first": [[older], [newer]], "newer first": [[newer], [older]]}[
        runs
    ]:
        published = datasets.publish(new)

    assert labels_of(datasets, published.version) == {"doc-0002": "b"}
    assert published.version == (2 if runs == "older first" else 1)
    assert not datasets.publish([older, newer]).has_news


def test_of_labels_from_people_at_the_same_time_feedback_counts_then_the_smaller_doc_id(datasets: Datasets) -> None:
    human = {**feedback(1, "a"), "label_source": "human"}
    datasets.publish([human, feedback(3, "c"), feedback(2, "b")])

    assert labels_of(datasets, 1) == {"doc-0002": "b"}


def test_a_kept_label_is_as_old_as_the_row_it_was_given_to(datasets: Datasets) -> None:
    datasets.publish([feedback(1, "a", day=1)])
    datasets.publish([machine(1, "c", day=9), feedback(2, "b", day=5)])

    assert labels_of(datasets, 2) == {"doc-0002": "b"}
    assert news_of(datasets, 2) == (0, 1, 0)


def test_a_kept_label_does_not_get_older_with_an_older_row(datasets: Datasets) -> None:
    datasets.publish([feedback(1, "a", day=5)])
    collected = [machine(1, "c", day=2), feedback(2, "b", day=4), row(3)]
    datasets.publish(collected)
    again = datasets.publish(collected)

    assert (again.version, again.has_news) == (2, False)
    assert labels_of(datasets, 2) == {"doc-0001": "a", "doc-0003": "a"}
    assert datasets.rows(2)["doc-0001"]["fetched_at"] == MONDAY + timedelta(days=5)


def test_a_label_is_kept_where_no_row_has_a_date(datasets: Datasets) -> None:
    datasets.publish([{**feedback(1, "a"), "fetched_at": None}])
    datasets.publish([row(1, "b", fetched_at=None), row(2, fetched_at=None)])

    assert labels_of(datasets, 2) == {"doc-0001": "a", "doc-0002": "a"}


def test_people_may_label_a_document_anew_whatever_its_date(datasets: Datasets) -> None:
    datasets.publish([feedback(1, "a", day=5)])
    datasets.publish([feedback(1, "b", day=5), row(2)])
    datasets.publish([feedback(1, "c", day=1)])

    assert labels_of(datasets, 2) == {"doc-0001": "b", "doc-0002": "a"}
    assert labels_of(datasets, 3) == {"doc-0001": "c", "doc-0002": "a"}


def test_a_crawled_page_with_a_kept_label_still_stands_for_its_text(datasets: Datasets) -> None:
    datasets.publish([feedback(1, "a")])
    datasets.publish([machine(1, "c", day=9), machine(2, "c", day=9), row(3)])

    assert labels_of(datasets, 2) == {"doc-0001": "a", "doc-0003": "a"}
    assert datasets.rows(2)["doc-0001"]["label_source"] == "feedback"


def test_a_label_from_people_outside_the_label_set_is_rejected_and_outranks_nothing(datasets: Datasets) -> None:
    datasets.publish([machine(1)], labels=["a"])
    published = datasets.publish([feedback(2, "zebra"), row(3)], labels=["a"])

    assert labels_of(datasets, published.version) == {"doc-0001": "a", "doc-0003": "a"}
    assert datasets.aside(published.version, "rejected") == {"doc-0002": "unknown_label"}


def test_a_label_that_only_a_machine_gave_is_nobodys_word() -> None:
    assert word_of(machine(1)) is None
    assert word_of(feedback(1, None)) is None
    assert word_of(feedback(1, day=1)) == Word((MONDAY + timedelta(days=1)).timestamp(), True)
    assert word_of({"label": "a", "label_source": "human"}) == Word(float("-inf"), False)


@pytest.mark.parametrize("first", ["machine", "people"])
def test_an_undated_label_from_people_still_goes_before_a_machines(datasets: Datasets, first: str) -> None:
    undated = {**feedback(1, "z"), "fetched_at": None}
    new = [machine(1, "a", day=9), undated, {**feedback(2, "b", text="Another text."), "fetched_at": None}]
    datasets.publish(new if first == "machine" else new[::-1])

    assert labels_of(datasets, 1) == {"doc-0001": "z", "doc-0002": "b"}


def test_the_version_names_the_reasons_and_checks_of_its_run(datasets: Datasets) -> None:
    datasets.publish(rows(0, 4))
    answering = Provenance(reasons=("drift", "feedback"), checks=(3, 8))
    publish(datasets.corpus(rows(4, 8)), datasets.uri, PublishSettings(), provenance=answering)

    records = [datasets.manifest(version).dataset or {} for version in (1, 2)]
    assert [(record["reasons"], record["checks"]) for record in records] == [
        (["manual"], []),
        (["drift", "feedback"], [3, 8]),
    ]


DOCUMENT = st.tuples(
    st.integers(0, 9), st.sampled_from("abc"), st.sampled_from(["auto", "auto", "human", "feedback"]), st.integers(0, 2)
)
"""Number of a document, which gives its text, its label, who gave it, and on which day."""


def _document(number: int, label: str, source: str, day: int) -> Row:
    fetched = MONDAY + timedelta(days=number % 3 if source == "auto" else day)
    return row(number, label, text=f"text {number % 4}", label_source=source, fetched_at=fetched)


def _content(datasets: Datasets, version: int) -> dict[str, tuple[Any, ...]]:
    columns = ("text", "label", "label_source", "cluster_id", "split")
    return {doc_id: tuple(values[name] for name in columns) for doc_id, values in datasets.rows(version).items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(DOCUMENT, min_size=1, max_size=8), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_rows_in_any_order_give_the_same_versions_and_a_text_labelled_by_people_is_there_once(
    tmp_path: Path, runs: list[list[tuple[int, str, str, int]]], chance: random.Random
) -> None:
    shutil.rmtree(tmp_path)
    one, other = Datasets(tmp_path / "one"), Datasets(tmp_path / "other")
    before: dict[str, tuple[Any, ...]] = {}
    for run in runs:
        documents = [_document(*drawn) for drawn in run]
        published = one.publish(documents, **EVEN)
        shuffled = other.publish(chance.sample(documents, len(documents)), **EVEN)

        assert (published.version, published.has_news) == (shuffled.version, shuffled.has_news)
        after = _content(one, published.version)
        assert after == _content(other, published.version)
        assert one.manifest(published.version).counters == other.manifest(published.version).counters
        texts = Counter(text for text, *_ in after.values())
        assert texts.keys() == {values["text"] for values in documents} | {text for text, *_ in before.values()}
        by_people = {text for text, _, source, *_ in after.values() if source != "auto"}
        assert all(texts[text] == 1 for text in by_people)
        split_of_text = {text: split for text, *_, split in after.values()}
        assert all(split_of_text[text] in (split, "test") for text, *_, split in before.values())
        assert not one.publish(documents, **EVEN).has_news
        before = after

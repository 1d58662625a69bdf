"""The report of a publication: its numbers and its page."""

from __future__ import annotations

import json

from airflow_provider_autoglm.corpus.publish.report import Report, report_of
from airflow_provider_autoglm.corpus.publish.report_page import report_page
from airflow_provider_autoglm.corpus.store import Corpus
from tests.corpus.publish.conftest import Datasets, review, row, rows


def report(datasets: Datasets, version: int) -> Report:
    return report_of(Corpus.open(f"{datasets.uri}/v{version}"))


def test_the_numbers_are_those_of_the_version_and_hold_no_text(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10, source="file"))
    published = datasets.publish(
        datasets.corpus([*rows(10, 30, source="site"), row(30, None), row(0, "b", source="file")], review=review())
    )
    found = json.loads(json.dumps(report(datasets, 2).to_dict()))

    assert (found["rows"], found["digest"], found["splits"]) == (30, published.digest, published.splits)
    assert (found["counters"]["rows_in"], found["left_out"]) == (32, {"abstained": 1, "superseded": 1})
    assert found["reviews"][1]["review"]["accuracy"] == 0.912
    assert found["sources"] == {"site": 20, "file": 10}
    assert "text number" not in json.dumps(found)


def test_the_page_shows_balance_quality_sources_and_what_changed(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10, source="file"))
    datasets.publish(datasets.corpus([*rows(10, 30, source="site"), row(0, "b", source="file")], review=review()))
    page = report_page(report(datasets, 2))

    assert "<h1>Published: version 2</h1>" in page
    assert "labels in part checked by people" in page
    assert "91.2% (95% interval 87.8% to 93.8%)" in page
    assert "Version 1: 10 documents, 10 of them labelled by a machine, mean score 0.50; unreviewed" in page
    assert '<th scope="row">site</th><td>20</td><td>67</td>' in page
    assert "Since version 1: 20 documents are new, 1 changed their label, 0 were dropped." in page
    assert '<th scope="row">a → b</th><td>1</td>' in page
    assert "relabelled: <code>doc-0000</code> a → b" in page
    assert '<th scope="row">superseded</th><td>1</td>' in page
    assert "<script" not in page


def test_the_page_of_the_first_version_compares_with_nothing(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10))
    page = report_page(report(datasets, 1))

    assert "The first version." in page
    assert "No row was left out." in page
    assert "By doc_id" not in page


def test_a_version_that_only_lost_documents_has_no_examples_of_another_kind(datasets: Datasets) -> None:
    datasets.publish([row(1, url="u"), row(2)])
    datasets.publish([], erase_doc_ids=["doc-0001"])
    page = report_page(report(datasets, 2))

    assert "removed: <code>doc-0001</code> a" in page
    assert "Labels that changed" not in page


def test_a_change_of_splits_alone_has_no_examples(datasets: Datasets) -> None:
    datasets.publish([row(number, "ab"[number % 2]) for number in range(4)], labels=["a", "b"])
    datasets.publish([], labels=["a", "b", "c"], min_class_rows=0, allow_label_change=True)

    assert "Some of them" not in report_page(report(datasets, 2))


def test_odd_labels_and_many_of_them_break_nothing(datasets: Datasets) -> None:
    odd = [row(number, f'<b onclick="x">{number:04d}{"y" * 300}') for number in range(300)]
    datasets.publish(odd, license="<i>mine</i>")
    page = report_page(report(datasets, 1))

    assert "<b onclick" not in page
    assert "<i>mine" not in page
    assert len(page.encode()) < 300_000


def test_a_dataset_without_a_row_has_a_page_too(datasets: Datasets) -> None:
    datasets.publish(rows(0, 2))
    datasets.publish([], erase_doc_ids=["doc-0000", "doc-0001"], min_class_rows=0)
    page = report_page(report(datasets, 2))

    assert "Nothing is known of it." in page
    assert datasets.record(2).reviews == ()
    assert not datasets.record(2).reviewed

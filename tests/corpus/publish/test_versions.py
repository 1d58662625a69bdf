"""Which version a run reads: the newest one that came before its own."""

from __future__ import annotations

from airflow_provider_autoglm.corpus.publish.versions import version_before
from airflow_provider_autoglm.corpus.storage import Storage
from tests.corpus.publish.conftest import Datasets, row


def number_before(datasets: Datasets, run_folder: str) -> int | None:
    version = version_before(datasets.uri, run_folder, Storage.local())
    return None if version is None else version.number


def test_a_run_that_has_not_published_reads_the_newest_version(datasets: Datasets) -> None:
    for number in range(3):
        datasets.publish([row(number)])

    assert number_before(datasets, f"{datasets.folder}/corpus") == 3
    assert number_before(datasets, f"{datasets.folder}/another") == 3


def test_a_run_that_has_published_reads_what_came_before_whatever_came_after(datasets: Datasets) -> None:
    for number in range(3):
        datasets.publish([row(number)])

    assert number_before(datasets, datasets.corpora[2]) == 2
    assert number_before(datasets, datasets.corpora[1]) == 1
    assert number_before(datasets, datasets.corpora[0]) is None


def test_of_a_run_that_has_published_twice_no_version_is_read(datasets: Datasets) -> None:
    datasets.publish([row(0)])
    corpus = datasets.corpus([row(1), row(2)])
    datasets.publish(corpus, erase_doc_ids=["unknown"])
    datasets.publish([row(3)])
    datasets.publish(
        corpus,
        title="The same rows, published again",
        min_class_rows=0,
        labels=["a", "b", "c"],
        allow_label_change=True,
    )

    assert number_before(datasets, corpus) == 1


def test_before_the_first_version_there_is_none(datasets: Datasets) -> None:
    assert number_before(datasets, f"{datasets.folder}/run") is None

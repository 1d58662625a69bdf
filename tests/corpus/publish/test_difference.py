"""What changed from one version to the next: `diff.json` and `diff.parquet` in its folder."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.publish.difference import (
    Example,
    Transition,
    compare,
    read_difference,
)
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from tests.corpus.publish.conftest import Datasets, row, rows

STORAGE = Storage.local()


def folder_of(datasets: Datasets, version: int) -> Path:
    return datasets.folder / "datasets" / f"v{version}"


def changes_of(datasets: Datasets, version: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder_of(datasets, version) / "diff.parquet").to_pylist()
    return found


def test_the_first_version_has_no_difference(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10))

    assert not (folder_of(datasets, 1) / "diff.json").exists()
    assert read_difference(f"{datasets.uri}/v1", STORAGE) is None


def test_what_was_added_removed_and_relabelled_is_counted_and_named(datasets: Datasets) -> None:
    datasets.publish([row(1, "a"), row(2, "a"), row(3, "b"), row(4, "b")])
    datasets.publish([row(2, "b"), row(3, "b"), row(5, "a"), row(6, "b")], erase_doc_ids=["doc-0001"])
    found = read_difference(f"{datasets.uri}/v2", STORAGE)

    assert found is not None
    assert (found.before, found.after) == (1, 2)
    assert (found.added, found.removed, found.relabelled, found.moved, found.unchanged) == (2, 1, 1, 0, 2)
    assert found.labels == (Transition("a", "b", 1),)
    assert found.splits == ()
    assert found.examples == {
        "added": (Example("doc-0005", None, "a"), Example("doc-0006", None, "b")),
        "removed": (Example("doc-0001", "a", None),),
        "relabelled": (Example("doc-0002", "a", "b"),),
    }
    after = datasets.rows(2)
    before = datasets.rows(1)
    assert changes_of(datasets, 2) == [
        {
            "change": change,
            "doc_id": doc_id,
            "label_before": before.get(doc_id, {}).get("label"),
            "label_after": after.get(doc_id, {}).get("label"),
            "split_before": before.get(doc_id, {}).get("split"),
            "split_after": after.get(doc_id, {}).get("split"),
        }
        for doc_id, change in (
            ("doc-0001", "removed"),
            ("doc-0002", "relabelled"),
            ("doc-0005", "added"),
            ("doc-0006", "added"),
        )
    ]


def test_documents_that_go_to_another_split_are_counted_relabelled_or_not(datasets: Datasets) -> None:
    everything = {"test_fraction": 0, "validation_fraction": 0}
    datasets.publish([row(1, "a"), row(2, "a")], **everything)
    elsewhere = datasets.corpus([row(3, "a"), row(4, "b")])
    datasets.publish(elsewhere, test_fraction=0.98, validation_fraction=0)
    splits = {doc_id: values["split"] for doc_id, values in datasets.rows(2).items()}
    assert splits["doc-0003"] == "test"
    bridge = row(5, text=row(1)["text"], cluster_id="doc-0003")
    datasets.publish([bridge, row(2, "b", text=row(1)["text"])], **everything)

    found = read_difference(f"{datasets.uri}/v3", STORAGE)
    assert found is not None
    assert (found.relabelled, found.moved) == (1, 2)
    assert found.splits == (Transition("train", "test", 2),)
    assert [change["change"] for change in changes_of(datasets, 3)] == ["moved", "relabelled", "added"]


def test_the_most_frequent_changes_come_first_and_examples_are_few(datasets: Datasets) -> None:
    datasets.publish([row(number, "a" if number < 30 else "b") for number in range(40)])
    datasets.publish([row(number, "b" if number < 30 else "c") for number in range(40)])

    found = read_difference(f"{datasets.uri}/v2", STORAGE)
    assert found is not None
    assert found.labels == (Transition("a", "b", 30), Transition("b", "c", 10))
    assert [example.doc_id for example in found.examples["relabelled"]] == [f"doc-{number:04d}" for number in range(20)]


def test_a_retry_writes_what_is_missing_the_same_as_it_was(datasets: Datasets) -> None:
    datasets.publish(rows(0, 20))
    corpus = datasets.corpus(rows(10, 40, label_score=0.9))
    datasets.publish(corpus)
    files = [folder_of(datasets, 2) / name for name in ("diff.json", "diff.parquet")]
    written = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()

    assert datasets.publish(corpus).reused
    assert [file.read_bytes() for file in files] == written


@pytest.mark.parametrize("what", ["gone", "another", "shards gone"])
def test_without_the_version_before_nothing_is_said_but_in_the_log(
    datasets: Datasets, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    datasets.publish(rows(0, 20))
    corpus = datasets.corpus(rows(20, 40))
    datasets.publish(corpus)
    (folder_of(datasets, 2) / "diff.json").unlink()
    if what == "gone":
        shutil.rmtree(folder_of(datasets, 1))
    elif what == "shards gone":
        shutil.rmtree(folder_of(datasets, 1) / "data")
    else:
        manifest = folder_of(datasets, 1) / "_manifest.json"
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "digest": "0" * 32}))

    with caplog.at_level(logging.WARNING):
        datasets.publish(corpus)
    assert "v1 is not known: it is not there any more" in caplog.text
    assert read_difference(f"{datasets.uri}/v2", STORAGE) is None


def test_any_two_versions_can_be_compared(datasets: Datasets) -> None:
    for number in range(3):
        datasets.publish([row(number)])
    first, last = (Corpus.open(f"{datasets.uri}/v{number}") for number in (1, 3))

    forth, back = compare(first, last), compare(last, first)
    assert (forth.before, forth.after, forth.added, forth.removed, forth.unchanged) == (1, 3, 2, 0, 1)
    assert (back.before, back.after, back.added, back.removed, back.unchanged) == (3, 1, 0, 2, 1)
    assert json.loads(json.dumps(forth.to_dict()))["added"] == 2


def test_the_files_of_the_difference_are_no_rows_of_the_dataset(datasets: Datasets, tmp_path: Path) -> None:
    from datasets import load_dataset

    datasets.publish(rows(0, 20))
    published = datasets.publish(rows(20, 40))
    loaded = load_dataset(str(folder_of(datasets, 2)), cache_dir=str(tmp_path / "cache"))

    assert {split: loaded[split].num_rows for split in loaded} == {
        split: count for split, count in published.splits.items() if count
    }

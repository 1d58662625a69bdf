"""Reading the splits of a dataset version."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.training.data import Dataset
from tests.training.published import LABELS, passages, publish_pairs

SPLITS = ("train", "validation", "test")


def test_a_dataset_knows_its_version_and_its_labels_in_their_order(dataset: str) -> None:
    opened = Dataset.open(dataset)
    assert (opened.uri, opened.version, opened.labels) == (dataset, "1", LABELS)
    assert opened.digest == Corpus.open(dataset).digest


def test_a_corpus_that_is_no_dataset_version_is_refused(tmp_path: Path) -> None:
    uri = write_corpus(f"{tmp_path}/clean", [pa.table({"text": ["a"]})], stage="clean").uri
    with pytest.raises(SettingsError, match=re.escape(f"{uri} is no dataset version; publish it first")):
        Dataset.open(uri)


def test_the_splits_together_are_the_texts_with_their_labels(dataset: str) -> None:
    opened = Dataset.open(dataset)
    splits = {split: opened.read(split) for split in SPLITS}
    found = [
        (text, LABELS[number])
        for examples in splits.values()
        for text, number in zip(examples.texts, examples.classes, strict=True)
    ]
    assert sorted(found) == sorted(passages(60))
    assert {split: len(examples) for split, examples in splits.items()} == opened.corpus.manifest.dataset["splits"]  # type: ignore[index]


def test_the_rows_of_each_class_are_counted(dataset: str) -> None:
    opened = Dataset.open(dataset)
    classes = opened.read("train").classes.tolist()
    assert opened.class_rows("train").tolist() == [classes.count(number) for number in range(len(LABELS))]


def test_texts_are_drawn_by_hash_so_fewer_are_the_first_of_more(dataset: str) -> None:
    opened = Dataset.open(dataset)
    everything, ten = opened.read("train"), opened.read("train", limit=10)
    assert ten.doc_ids == everything.doc_ids[:10] == everything.first(10).doc_ids
    assert ten.texts == everything.texts[:10]
    assert ten.classes.tolist() == everything.classes[:10].tolist()
    assert list(everything.doc_ids) != sorted(everything.doc_ids)
    assert len(set(ten.classes.tolist())) > 1, "the draw follows the order of the corpus"


def test_a_class_without_rows_stays_in_the_labels(tmp_path: Path) -> None:
    opened = Dataset.open(publish_pairs(tmp_path, passages(10), labels=[*LABELS, "chess"]))
    assert opened.labels == (*LABELS, "chess")
    assert opened.class_rows("train")[-1] == 0
    assert opened.read("train").classes.max() == 2

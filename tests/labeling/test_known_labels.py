from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.schema import REVIEWED_SAMPLE, REVIEWED_SUSPICIOUS
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import MissingColumnsError
from airflow_provider_autoglm.labeling.known_labels import MAX_ROWS, KnownLabels, read_known_labels
from airflow_provider_autoglm.settings import LabelSettings, PublishSettings
from tests.labeling.conftest import settings_with
from tests.labeling.sentences import TEXTS, TRUTH


def known(uri: str, settings: LabelSettings, route: str = "*") -> KnownLabels:
    return read_known_labels(uri, settings, route, Storage.local())


def corpus_of(folder: Path, **columns: object) -> str:
    return write_corpus(f"{folder.as_uri()}/known", [pa.table(columns)], stage="known").uri


@pytest.fixture
def version(tmp_path: Path) -> str:
    """A dataset of which a third was drawn by chance, a third looked wrong, and a third nobody has seen."""
    by = [(REVIEWED_SAMPLE, "human"), (REVIEWED_SUSPICIOUS, "human"), ("embedding/model", "auto")]
    table = pa.table(
        {
            "text": list(TEXTS),
            "label": list(TRUTH),
            "labeler": [by[number % 3][0] for number in range(len(TEXTS))],
            "label_source": [by[number % 3][1] for number in range(len(TEXTS))],
        }
    )
    source = write_corpus(f"{tmp_path.as_uri()}/review", [table], stage="review").uri
    return publish(source, f"{tmp_path.as_uri()}/datasets", PublishSettings(test_fraction=0.3)).uri


def test_texts_come_with_the_numbers_of_their_labels(tmp_path: Path) -> None:
    found = known(corpus_of(tmp_path, text=list(TEXTS), label=list(TRUTH)), settings_with())
    assert list(found.texts) == list(TEXTS)
    assert [("cooking", "football", "space")[number] for number in found.truth] == list(TRUTH)


def test_labels_that_the_settings_do_not_have_and_missing_ones_are_passed_over(tmp_path: Path) -> None:
    uri = corpus_of(tmp_path, text=["one", "two", "three"], label=["cooking", "gardening", None])
    assert list(known(uri, settings_with()).texts) == ["one"]


def test_examples_that_the_labeler_learns_from_are_left_out(tmp_path: Path) -> None:
    labels = [{"name": "cooking", "examples": [f"  {TEXTS[0]} "]}, {"name": "football"}, {"name": "space"}]
    shown = pa.table({"text": list(TEXTS[1:5]), "label": list(TRUTH[1:5])})
    examples = write_corpus(f"{tmp_path.as_uri()}/examples", [shown], stage="examples").uri
    uri = corpus_of(tmp_path, text=list(TEXTS), label=list(TRUTH))
    settings = settings_with(labels=labels, kind="few_shot", examples=examples)
    assert list(known(uri, settings).texts) == list(TEXTS[5:])


def test_of_a_dataset_only_random_spot_checks_count(version: str) -> None:
    assert sorted(known(version, settings_with()).texts) == sorted(TEXTS[::3])


def test_a_trained_classifier_is_not_calibrated_on_what_it_was_trained_on(version: str) -> None:
    found = known(version, settings_with(kind="classifier", model="models:/news@champion"))
    trained_on = {
        text
        for stored in Corpus.open(version).shards
        if stored.shard.name.startswith("data/train-")
        for table in Corpus.open(version).shard_tables(stored, ["text"])
        for text in table["text"].to_pylist()
    }
    assert found.texts
    assert not trained_on & set(found.texts)


def test_each_language_is_calibrated_on_its_own_texts(tmp_path: Path) -> None:
    uri = corpus_of(tmp_path, text=["one", "two"], label=["cooking", "space"], lang=["zh", "en"])
    settings = settings_with(models={"zh": "a-chinese-model"})
    assert list(known(uri, settings, "zh").texts) == ["one"]
    assert list(known(uri, settings, "*").texts) == ["two"]


def test_no_more_texts_are_read_than_needed(tmp_path: Path) -> None:
    rows = MAX_ROWS + 10
    found = known(
        corpus_of(tmp_path, text=[f"text {row}" for row in range(rows)], label=["space"] * rows), settings_with()
    )
    assert len(found.texts) == len(found.truth) == MAX_ROWS


def test_a_corpus_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingColumnsError, match="label"):
        known(corpus_of(tmp_path, text=["one"]), settings_with())

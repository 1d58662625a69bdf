"""The contestants label alike; what they take is the benchmark's business."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.store import write_corpus
from benchmarks.label.classifier import TRAINED_ON, prepare
from benchmarks.label.contestants import autoglm, transformers_pipeline
from demo.docstrings import AREAS, sample_area
from tests.labeling.sentences import LABELS, TEXTS, TRUTH
from tests.labeling.tiny_models import SUBJECTS, write_classifier


@pytest.fixture
def texts(tmp_path: Path) -> str:
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": TEXTS}), path)
    return str(path)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_the_pipeline_gives_the_same_labels(texts: str, tmp_path: Path, batch_size: int) -> None:
    model = write_classifier(str(tmp_path / "model"))
    settings = {"kind": "classifier", "model": model, "labels": [{"name": name} for name in SUBJECTS]}
    ours = autoglm.classify(texts, max_tokens=64, **settings)
    theirs = transformers_pipeline.classify(texts, model=model, max_tokens=64, batch_size=batch_size)
    assert ours["labels"] == theirs["labels"] == list(TRUTH)
    assert min(ours["cpu_s"], theirs["cpu_s"]) > 0


def test_the_stage_labels_every_row(tmp_path: Path) -> None:
    source = write_corpus(str(tmp_path / "source"), [pa.table({"text": TEXTS})], stage="clean").uri
    done = autoglm.run_stage(source, str(tmp_path / "labelled"), labels=LABELS, max_tokens=16)
    assert done == {"rows": len(TEXTS), "rejected": {}}


def test_precisions_begin_with_the_one_that_every_cpu_has() -> None:
    assert autoglm.precisions()["names"][0] == "fp32"


def test_half_of_the_texts_are_short_and_none_was_trained_on(tmp_path: Path) -> None:
    race = prepare(tmp_path, 12, 16)
    texts = pq.read_table(race.texts)["text"].to_pylist()
    assert sorted(race.truth) == sorted([area for area in AREAS for _ in range(2)])
    assert race.characters == [len(text) for text in texts]
    assert not any("\n\n" in text for text in texts[1::2])
    trained_on = {one.text for area in AREAS for one in sample_area(area, TRAINED_ON)}
    assert trained_on.isdisjoint(texts)
    labels = autoglm.classify(
        race.texts, kind="classifier", model=race.model, labels=[{"name": area} for area in AREAS], max_tokens=64
    )["labels"]
    assert set(labels) <= set(AREAS)

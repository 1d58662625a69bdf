"""The contestants label alike; what they take is the benchmark's business."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.store import write_corpus
from benchmarks.label.classifier import mixed
from benchmarks.label.classifier import write_classifier as write_area_classifier
from benchmarks.label.contestants import autoglm, transformers_pipeline
from demo.docstrings import AREAS, Docstring
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
    assert done == {"rows": len(TEXTS), "rejected": 0}


def test_precisions_begin_with_the_one_that_every_cpu_has() -> None:
    assert autoglm.precisions()["names"][0] == "fp32"


def test_the_classifier_of_the_race_has_learned_the_areas_of_docstrings(tmp_path: Path) -> None:
    learned = [
        Docstring(f"{area}.{number}", area, f"{area}: all about {area}") for area in AREAS for number in range(2)
    ]
    write_area_classifier(str(tmp_path / "model"), learned, 16)
    path = tmp_path / "areas.parquet"
    pq.write_table(pa.table({"text": [one.text for one in learned]}), path)
    labels = [{"name": area} for area in AREAS]
    answered = autoglm.classify(str(path), kind="classifier", model=str(tmp_path / "model"), labels=labels)
    assert answered["labels"] == [one.area for one in learned]


def test_every_second_text_of_the_race_is_a_first_paragraph() -> None:
    assert mixed(["a\n\nb", "c\n\nd", "e", "f"]) == ["a\n\nb", "c", "e", "f"]

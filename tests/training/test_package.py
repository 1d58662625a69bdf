"""The package of a trained model: what is in it, who can load it, and what it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow.pyfunc import PythonModelContext

from airflow_provider_autoglm.tracking.registry import model_digest
from airflow_provider_autoglm.training import packaged_model
from airflow_provider_autoglm.training.data import Dataset
from tests.training.conftest import Trained
from tests.training.published import LABELS

TEXTS = ["A rocket to the moon.", "", "Bake the bread.", "The striker scored a goal. " * 200]

LOADED_ALONE = """
import json, sys

BLOCKED = {"airflow", "airflow_provider_autoglm", "torch", "transformers", "sklearn", "onnx"}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Blocked())
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(pandas.DataFrame({"text": json.loads(sys.argv[2])}))
print(json.dumps({"label": answer["label"], "logits": answer["logits"].tolist()}))
"""


def test_a_process_without_our_package_airflow_or_torch_gets_the_same_answers(trained: Trained, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED_ALONE, str(trained.folder), json.dumps(TEXTS)],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "UserWarning" not in done.stderr
    elsewhere = json.loads(done.stdout)
    here = trained.package.predict(TEXTS)
    assert elsewhere["label"] == list(here.labels)
    assert np.allclose(elsewhere["logits"], here.logits, atol=1e-5)


def test_nothing_in_it_is_a_pickle_or_names_this_machine(trained: Trained) -> None:
    files = [path for path in trained.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".bin", ".pt", ".pth", ".npy"}]
    names = {path.relative_to(trained.folder).as_posix() for path in files}
    assert {"MLmodel", "packaged_model.py", "requirements.txt"} < names
    assert {
        f"artifacts/{name}" for name in ("model.onnx", "model.safetensors", "config.json", "tokenizer.json")
    } < names
    for path in files:
        if path.suffix in {".json", ".yaml", ".txt", ".py", ""}:
            assert str(trained.folder.parent) not in path.read_text(), path
            assert "site-packages" not in path.read_text(), path


def test_its_metadata_say_what_a_gateway_has_to_know(trained: Trained) -> None:
    metadata = mlflow.pyfunc.load_model(str(trained.folder)).metadata.metadata
    assert metadata["autoglm"] == {
        "format_version": 1,
        "labels": list(LABELS),
        "max_tokens": 64,
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
    }
    requirements = (trained.folder / "requirements.txt").read_text()
    assert {line.partition("==")[0] for line in requirements.split()} == {
        "mlflow-skinny",
        "numpy",
        "onnxruntime",
        "pandas",
        "tokenizers",
    }


def test_tables_lists_and_arrays_of_texts_are_answered_alike(trained: Trained) -> None:
    model = mlflow.pyfunc.load_model(str(trained.folder))
    answers = [model.predict(texts) for texts in (pd.DataFrame({"text": TEXTS}), TEXTS, np.array(TEXTS))]
    for answer in answers:
        assert answer["label"] == answers[0]["label"]
        assert answer["logits"].dtype == answer["embedding"].dtype == answer["score"].dtype == np.float32
        assert answer["logits"].shape == (4, 3)
        assert answer["embedding"].shape == (4, 384)
        assert np.allclose(answer["logits"], answers[0]["logits"])
    assert np.allclose(np.linalg.norm(answers[0]["embedding"], axis=1), 1, atol=1e-5)
    odds = np.exp(answers[0]["logits"].astype(np.float64))
    assert np.allclose(answers[0]["score"], (odds / odds.sum(axis=1, keepdims=True)).max(axis=1), atol=1e-6)
    assert [LABELS[best] for best in answers[0]["logits"].argmax(axis=1)] == answers[0]["label"]


def test_an_answer_does_not_depend_on_the_texts_beside_it(trained: Trained) -> None:
    texts = [f"{text} {number}" for number in range(20) for text in TEXTS[:3]]
    together = trained.package.predict(texts)
    alone = [trained.package.predict([text]) for text in texts[::17]]
    assert np.allclose(together.logits[::17], np.concatenate([answer.logits for answer in alone]), atol=1e-4)
    assert np.allclose(together.embedding[::17], np.concatenate([answer.embedding for answer in alone]), atol=1e-4)
    assert together.is_valid.all()


def test_the_code_in_the_package_is_ours_and_answers_alike_outside_of_mlflow(trained: Trained) -> None:
    context = PythonModelContext(
        artifacts={name: str(trained.folder / "artifacts" / name) for name in ("model.onnx", "tokenizer.json")},
        model_config={"labels": list(LABELS), "max_tokens": 64, "pad_token_id": 0},
    )
    model = packaged_model.TextClassifier()
    model.load_context(context)
    texts = TEXTS * 20
    answer = model.predict(context, pd.DataFrame({"text": texts}))
    assert np.allclose(answer["logits"], trained.package.predict(texts).logits, atol=1e-5)
    assert model.predict(context, pd.DataFrame({"text": []}))["embedding"].shape == (0, 384)
    assert Path(packaged_model.__file__).read_text() == (trained.folder / "packaged_model.py").read_text()


def test_no_texts_have_no_answers(trained: Trained) -> None:
    nothing = trained.package.predict([])
    assert (len(nothing.logits), len(nothing.labels), len(nothing.is_valid)) == (0, 0, 0)


def test_transformers_loads_its_files_and_computes_the_same(trained: Trained) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = trained.folder / "artifacts"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert [network.config.id2label[number] for number in range(3)] == list(LABELS)
    answers = trained.package.predict(TEXTS)
    for text, logits, embedding in zip(TEXTS, answers.logits, answers.embedding, strict=True):
        tokens = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            output = network(**tokens, output_hidden_states=True)
        mean = output.hidden_states[-1][0].mean(dim=0)
        assert np.allclose(output.logits[0].numpy(), logits, atol=1e-3)
        assert np.allclose((mean / mean.norm()).numpy(), embedding, atol=1e-3)


def test_the_reference_is_a_draw_of_the_training_split_as_the_model_itself_sees_it(
    trained: Trained, dataset: str
) -> None:
    reference = pq.read_table(trained.folder / "artifacts" / "reference.parquet").to_pydict()
    drawn = Dataset.open(dataset).read("train", limit=40)
    assert reference["doc_id"] == list(drawn.doc_ids)
    assert reference["label"] == [LABELS[number] for number in drawn.classes]
    embedding = np.array(reference["embedding"], np.float32)
    assert embedding.shape == (40, 384)
    assert np.allclose(embedding, trained.package.predict(drawn.texts).embedding, atol=1e-5)


def test_the_digest_of_the_version_is_that_of_the_files(trained: Trained) -> None:
    assert trained.model.digest == model_digest(str(trained.folder))


def test_a_head_on_the_bundled_model_tells_the_subjects_apart(trained: Trained, dataset: str) -> None:
    test = Dataset.open(dataset).read("test")
    answers = trained.package.predict(test.texts)
    right = np.array([LABELS.index(label) for label in answers.labels]) == test.classes
    assert right.mean() > 0.9
    assert trained.model.metrics["validation/accuracy"] == pytest.approx(1.0, abs=0.1)

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import pipeline

from airflow_provider_autoglm.exceptions import ModelNotFoundError, UnusableModelError
from airflow_provider_autoglm.labeling.classifier import ClassifierLabeler
from airflow_provider_autoglm.labeling.classifier_files import load_classifier
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from airflow_provider_autoglm.labeling.onnx_classifier import OnnxClassifier
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.sentences import TEXTS, TRUTH
from tests.labeling.tiny_models import SUBJECTS, write_classifier
from tests.packaged import write_tiny_model

REGISTERED = "models:/news@champion"


def settings_for(model: str, **changes: Any) -> LabelSettings:
    labels = [{"name": subject} for subject in SUBJECTS]
    return LabelSettings.parse({"kind": "classifier", "model": model, "labels": labels, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """As transformers writes it."""
    return write_classifier(str(tmp_path_factory.mktemp("classifier") / "model"))


@pytest.fixture
def package_without_torch(tiny_package: str, tmp_path: Path) -> str:
    """The same package without the weights that torch needs."""
    folder = str(tmp_path / "package")
    shutil.copytree(tiny_package, folder)
    os.remove(os.path.join(folder, "artifacts", "model.safetensors"))
    return folder


def logits(model: str) -> np.ndarray:
    return load_classifier(model, settings_for(model), None).logits(TEXTS)


def test_a_folder_may_be_given_as_path_or_file_uri(folder: str) -> None:
    np.testing.assert_array_equal(logits(folder), logits(Path(folder).as_uri()))


def test_a_model_logged_by_mlflow_with_its_tokenizer_apart_gives_the_same_logits(folder: str, tmp_path: Path) -> None:
    import mlflow.transformers

    logged = str(tmp_path / "logged")
    mlflow.transformers.save_model(
        pipeline("text-classification", folder), logged, pip_requirements=["torch"], model_card=None
    )
    assert not os.path.exists(os.path.join(logged, "model", "tokenizer.json"))
    np.testing.assert_allclose(logits(logged), logits(folder), atol=1e-5)


def test_a_package_of_the_training_is_read_from_its_torch_weights(folder: str, tiny_package: str) -> None:
    assert isinstance(load_classifier(tiny_package, settings_for(tiny_package), None), TextNetwork)
    np.testing.assert_allclose(logits(tiny_package), logits(folder), atol=1e-4)


def test_a_package_without_torch_weights_is_read_from_its_onnx_file(
    tiny_package: str, package_without_torch: str
) -> None:
    assert isinstance(load_classifier(package_without_torch, settings_for("any"), None), OnnxClassifier)
    np.testing.assert_allclose(logits(package_without_torch), logits(tiny_package), atol=1e-4)
    labeler = ClassifierLabeler.load(settings_for(package_without_torch))
    found = labeler.predict(TEXTS)
    assert [found.names[column] for column in found.probabilities.argmax(axis=1)] == list(TRUTH)


def test_passes_with_dropout_need_torch_weights(package_without_torch: str) -> None:
    with pytest.raises(UnusableModelError, match="no dropout"):
        ClassifierLabeler.load(settings_for(package_without_torch, mc_dropout=2))


def test_a_package_with_neither_weights_nor_onnx_is_refused(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny", labels=SUBJECTS)
    with pytest.raises(UnusableModelError, match=r"neither safetensors nor model\.onnx"):
        load_classifier(model, settings_for(model), None)


def test_a_logged_model_of_another_flavour_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors:\n  sklearn:\n    sklearn_version: 1.9.1\n")
    with pytest.raises(UnusableModelError, match="it has sklearn, not transformers"):
        load_classifier(str(tmp_path), settings_for(str(tmp_path)), None)


def test_a_registered_model_is_fetched_and_named_by_its_registered_name(tiny_package: str) -> None:
    asked: list[str] = []

    def fetch(model: str) -> str:
        asked.append(model)
        return tiny_package

    labeler = ClassifierLabeler.load(settings_for(REGISTERED), resources=Resources(fetch_model=fetch))
    assert asked == [REGISTERED]
    assert labeler.name.startswith("classifier/news@champion@")
    assert labeler.predict(TEXTS).probabilities.shape == (len(TEXTS), 3)


def test_a_registered_model_without_a_registry_is_an_error_that_names_it() -> None:
    with pytest.raises(ModelNotFoundError, match="no model registry is at hand") as caught:
        load_classifier(REGISTERED, settings_for(REGISTERED), None)
    assert caught.value.model == REGISTERED


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no config\.json"):
        load_classifier(str(tmp_path), settings_for(str(tmp_path)), None)

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_provider_autoglm.labeling import labelers, models
from airflow_provider_autoglm.labeling.classifier import ClassifierLabeler
from airflow_provider_autoglm.labeling.labels import Labeler
from airflow_provider_autoglm.labeling.onnx_classifier import OnnxClassifier
from airflow_provider_autoglm.labeling.unknown import unknown_to
from tests.labeling.conftest import settings_with
from tests.labeling.sentences import LABELS, TEXTS, TRUTH
from tests.labeling.tiny_models import SUBJECTS, write_classifier, write_nli

THAI = "ทีมชาติไทยชนะการแข่งขันฟุตบอล"
CHINESE = "央行宣布下调存款准备金率零点五个百分点"
ENDLESS = "w" * 200_000


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return models.load(models.BUNDLED_MODEL).tokenizer


@pytest.mark.parametrize("text", [THAI, CHINESE, ENDLESS, " \n" * 600 + THAI])
def test_what_the_vocabulary_lacks_is_unknown(tokenizer: Any, text: str) -> None:
    assert unknown_to(tokenizer, ["a football match", text]).tolist() == [False, True]


@pytest.mark.parametrize(
    "text", ["gr8 goal 😂 😂 😂 😂 😂", "Футбольный матч", "מחר", "日", "C++ & 50 %", "😂", "", " ", "one " + ENDLESS]
)
def test_what_it_has_at_least_half_of_is_known_and_symbols_do_not_count(tokenizer: Any, text: str) -> None:
    assert not unknown_to(tokenizer, [text])[0]


def test_nothing_is_unknown_to_a_tokenizer_without_such_a_token(tokenizer: Any) -> None:
    bytewise = models.load(models.BUNDLED_MODEL).tokenizer
    bytewise.unk_token = None
    assert unknown_to(bytewise, [THAI]).tolist() == [False]


def test_of_no_texts_none_is_unknown(tokenizer: Any) -> None:
    assert unknown_to(tokenizer, []).shape == (0,)


def test_lone_surrogates_are_refused(tokenizer: Any) -> None:
    with pytest.raises(TypeError):
        unknown_to(tokenizer, ["\ud800"])


def embedding(folder: str) -> Labeler:
    return labelers.build(settings_with())


def few_shot(folder: str) -> Labeler:
    shown = [[text for text, truth in zip(TEXTS, TRUTH, strict=True) if truth == label["name"]] for label in LABELS]
    examples = [{**label, "examples": texts} for label, texts in zip(LABELS, shown, strict=True)]
    return labelers.build(settings_with(kind="few_shot", labels=examples))


def classifier(folder: str) -> Labeler:
    return labelers.build(settings_with(kind="classifier", model=write_classifier(folder)))


def nli(folder: str) -> Labeler:
    labels = [{"name": subject} for subject in SUBJECTS]
    model = write_nli(folder, ("entailment", "other"), entailment=0)
    return labelers.build(settings_with(kind="nli", model=model, hypothesis="about {}", labels=labels))


@pytest.mark.parametrize("build", [embedding, few_shot, classifier, nli])
def test_an_unknown_text_abstains_and_its_neighbours_do_not(build: Any, tmp_path: Path) -> None:
    found = build(str(tmp_path / "model")).predict(["a text on football", THAI, "a text on cooking"])
    assert found.abstained is not None
    assert found.abstained.tolist() == [False, True, False]
    assert np.isfinite(found.probabilities).all()


def test_an_unknown_text_abstains_where_the_classifier_is_an_onnx_file(tiny_package: str, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(tiny_package, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    labeler = labelers.build(settings_with(kind="classifier", model=str(folder)))
    assert isinstance(labeler, ClassifierLabeler)
    assert isinstance(labeler.network, OnnxClassifier)
    found = labeler.predict([TEXTS[0], THAI])
    assert found.abstained is not None
    assert found.abstained.tolist() == [False, True]

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import pipeline

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling import labelers, nli
from airflow_provider_autoglm.labeling.nli import NliLabeler
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.tiny_models import POISON, SUBJECTS, write_classifier, write_nli

TEXTS = tuple(f"a text on {subject}" for subject in (*SUBJECTS, *SUBJECTS[::-1]))
TRUTH = (*SUBJECTS, *SUBJECTS[::-1])


@pytest.fixture(scope="module")
def three_way(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("nli") / "three-way")
    return write_nli(folder, ("contradiction", "neutral", "entailment"), entailment=2)


@pytest.fixture(scope="module")
def two_way(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("nli") / "two-way")
    return write_nli(folder, ("ENTAILMENT", "NOT_ENTAILMENT"), entailment=0)


def settings_for(model: str, **changes: Any) -> LabelSettings:
    labels = [{"name": subject} for subject in SUBJECTS]
    return LabelSettings.parse({"kind": "nli", "model": model, "hypothesis": "about {}", "labels": labels, **changes})


def chosen(labeler: labelers.Labeler, texts: tuple[str, ...] = TEXTS) -> tuple[str, ...]:
    found = labeler.predict(texts)
    return tuple(found.names[column] for column in found.probabilities.argmax(axis=1))


@pytest.mark.parametrize("head", ["two_way", "three_way"])
def test_the_label_whose_statement_follows_from_the_text_is_chosen(head: str, request: pytest.FixtureRequest) -> None:
    assert chosen(labelers.build(settings_for(request.getfixturevalue(head)))) == TRUTH


def test_probabilities_are_those_of_the_zero_shot_pipeline_of_transformers(three_way: str) -> None:
    found = NliLabeler.load(settings_for(three_way)).predict(TEXTS)
    peer = pipeline("zero-shot-classification", three_way)
    for text, row in zip(TEXTS, found.probabilities, strict=True):
        answer = peer(text, list(SUBJECTS), hypothesis_template="about {}")
        of_peer = dict(zip(answer["labels"], answer["scores"], strict=True))
        np.testing.assert_allclose(row, [of_peer[name] for name in found.names], atol=1e-5)


def test_a_label_is_as_likely_as_its_best_phrase(three_way: str) -> None:
    labels = [
        {"name": "food", "phrases": ["space", "cooking"]},
        {"name": "ball", "phrases": ["football"]},
    ]
    found = NliLabeler.load(settings_for(three_way, labels=labels)).predict(["a text on cooking", "a text on football"])
    by_best_phrase = NliLabeler.load(
        settings_for(three_way, labels=[{"name": "cooking"}, {"name": "football"}])
    ).predict(["a text on cooking", "a text on football"])
    assert found.names == ("food", "ball")
    assert found.probabilities[0, 0] == pytest.approx(by_best_phrase.probabilities[0, 0], abs=1e-5)
    assert found.probabilities.argmax(axis=1).tolist() == [0, 1]


def test_a_text_that_the_model_breaks_on_is_not_finite_and_its_neighbours_are(three_way: str) -> None:
    found = NliLabeler.load(settings_for(three_way)).predict([TEXTS[0], f"a text on {POISON}", TEXTS[1]])
    assert np.isfinite(found.probabilities).all(axis=1).tolist() == [True, False, True]


def test_no_text_gives_no_label(three_way: str) -> None:
    assert NliLabeler.load(settings_for(three_way)).predict([]).probabilities.shape == (0, 3)


def test_a_model_without_dropout_is_refused_where_passes_with_it_are_asked_for(three_way: str) -> None:
    with pytest.raises(UnusableModelError, match="no dropout"):
        NliLabeler.load(settings_for(three_way, mc_dropout=3))


def test_passes_with_dropout_tell_the_uncertainty_and_leave_the_labels(tmp_path: Path) -> None:
    model = write_classifier(str(tmp_path / "model"), classes=("entailment", "neutral", "contradiction"))
    plain = NliLabeler.load(settings_for(model)).predict(TEXTS)
    found = NliLabeler.load(settings_for(model, mc_dropout=3)).predict(TEXTS)
    np.testing.assert_array_equal(found.probabilities, plain.probabilities)
    assert plain.uncertainty is None
    assert found.uncertainty is not None
    assert found.uncertainty.shape == (len(TEXTS),)
    assert ((found.uncertainty > 0) & (found.uncertainty <= 1)).all()


def test_a_classifier_without_a_class_for_entailment_is_refused(tmp_path: Path) -> None:
    model = write_classifier(str(tmp_path / "model"))
    with pytest.raises(UnusableModelError, match=r"\(cooking, football, space\) is entailment"):
        NliLabeler.load(settings_for(model))


def test_the_name_tells_kind_and_model(three_way: str) -> None:
    assert NliLabeler.load(settings_for(three_way)).name.startswith("nli/three-way@")


def peak_of(labeler: NliLabeler, texts: tuple[str, ...]) -> int:
    """Bytes of Python that labelling takes at most."""
    tracemalloc.start()
    try:
        labeler.predict(texts)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_pairs_of_texts_and_statements(
    three_way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labeler = NliLabeler.load(settings_for(three_way))
    texts = tuple(f"{' '.join(SUBJECTS * 20)} {number}" for number in range(200))
    together = peak_of(labeler, texts)
    monkeypatch.setattr(nli, "_PAIRS_AT_ONCE", 30)
    assert peak_of(labeler, texts) < together / 2


def test_labels_are_the_same_however_many_pairs_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_classifier(str(tmp_path / "model"), classes=("entailment", "neutral", "contradiction"))
    labeler = NliLabeler.load(settings_for(model, mc_dropout=2))
    together = labeler.predict(TEXTS)
    monkeypatch.setattr(nli, "_PAIRS_AT_ONCE", 7)
    found = labeler.predict(TEXTS)
    np.testing.assert_allclose(found.probabilities, together.probabilities, atol=1e-6)
    assert found.uncertainty is not None
    assert found.uncertainty.shape == (len(TEXTS),)


def test_of_a_word_without_end_only_the_beginning_is_read(three_way: str) -> None:
    found = NliLabeler.load(settings_for(three_way)).predict(["w" * 200_000 + "\udcff", "about space"])
    assert np.isfinite(found.probabilities).all()

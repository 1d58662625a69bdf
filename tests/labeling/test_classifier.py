from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling import labelers
from airflow_provider_autoglm.labeling.classifier import ClassifierLabeler
from airflow_provider_autoglm.labeling.labels import Labels, certainty_of
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.sentences import TEXTS, TRUTH
from tests.labeling.tiny_models import POISON, SUBJECTS, classifier, write_classifier

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a classifier of the three subjects, its classes called as they are given."""
    return lambda *classes, **changes: write_classifier(str(tmp_path / "model"), classes or SUBJECTS, **changes)


def settings_for(model: str, *names: str, **changes: Any) -> LabelSettings:
    labels = [{"name": name} for name in names or SUBJECTS]
    return LabelSettings.parse({"kind": "classifier", "model": model, "labels": labels, **changes})


def chosen(found: Labels) -> list[str | None]:
    assert found.abstained is not None
    best = [found.names[column] for column in found.probabilities.argmax(axis=1)]
    return [None if abstained else name for name, abstained in zip(best, found.abstained, strict=True)]


def logits_of_torch(**changes: Any) -> torch.Tensor:
    network, tokenizer = classifier(**changes)
    with torch.inference_mode():
        logits: torch.Tensor = network(**tokenizer(list(TEXTS), padding=True, return_tensors="pt")).logits
    return logits


def test_texts_get_the_class_and_the_probabilities_of_the_model(write: Write) -> None:
    found = labelers.build(settings_for(write())).predict(TEXTS)
    assert chosen(found) == list(TRUTH)
    np.testing.assert_allclose(found.probabilities, logits_of_torch().softmax(dim=1).numpy(), atol=1e-5)


def test_classes_are_matched_by_name_whatever_their_order_and_case(write: Write) -> None:
    labeler = ClassifierLabeler.load(
        settings_for(write("Cooking", "FOOTBALL", "space"), "space", "cooking", "football")
    )
    assert chosen(labeler.predict(TEXTS)) == list(TRUTH)


def test_a_class_of_the_very_name_goes_before_one_that_differs_in_case(write: Write) -> None:
    labeler = ClassifierLabeler.load(settings_for(write("Space", "space", "football"), "space", "football"))
    assert labeler.columns.tolist() == [1, 2]


def test_a_text_of_a_class_that_is_no_label_abstains(write: Write) -> None:
    found = ClassifierLabeler.load(settings_for(write(), "cooking", "football")).predict(TEXTS)
    assert chosen(found) == [None if truth == "space" else truth for truth in TRUTH]
    assert (found.probabilities.sum(axis=1) < 1).all()


def test_a_label_that_the_model_lacks_is_never_given_and_the_log_says_so(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        labeler = ClassifierLabeler.load(settings_for(write(), *SUBJECTS, "weather"))
    found = labeler.predict(TEXTS)
    assert chosen(found) == list(TRUTH)
    assert (found.probabilities[:, 3] == 0).all()
    assert "no class for weather" in caplog.text


def test_classes_without_names_are_refused_with_what_to_do(write: Write) -> None:
    with pytest.raises(UnusableModelError, match=r"LABEL_0 to LABEL_2.*id2label.*config\.json"):
        ClassifierLabeler.load(settings_for(write("LABEL_0", "LABEL_1", "LABEL_2")))


def test_a_model_of_other_classes_is_refused_and_both_are_named(write: Write) -> None:
    with pytest.raises(
        UnusableModelError, match=r"\(one, two, three\) is one of the labels \(cooking, football, space\)"
    ):
        ClassifierLabeler.load(settings_for(write("one", "two", "three")))


def test_independent_classes_get_their_shares_of_the_sum(write: Write) -> None:
    problem_type = "multi_label_classification"
    found = ClassifierLabeler.load(settings_for(write(problem_type=problem_type))).predict(TEXTS)
    single = logits_of_torch().sigmoid()
    assert chosen(found) == list(TRUTH)
    np.testing.assert_allclose(found.probabilities, (single / single.sum(dim=1, keepdim=True)).numpy(), atol=1e-5)


def test_a_text_that_the_model_breaks_on_is_not_finite_and_its_neighbours_are(write: Write) -> None:
    found = ClassifierLabeler.load(settings_for(write())).predict([TEXTS[0], f"A {POISON} pill", TEXTS[1]])
    assert np.isfinite(found.probabilities).all(axis=1).tolist() == [True, False, True]


def test_no_text_gives_no_label(write: Write) -> None:
    assert ClassifierLabeler.load(settings_for(write())).predict([]).probabilities.shape == (0, 3)


def test_passes_with_dropout_tell_the_uncertainty_alike_on_every_call_and_leave_the_labels(write: Write) -> None:
    labeler = ClassifierLabeler.load(settings_for(write(), mc_dropout=5))
    found, again = labeler.predict(TEXTS), labeler.predict(TEXTS)
    assert chosen(found) == list(TRUTH)
    assert found.uncertainty is not None
    assert again.uncertainty is not None
    np.testing.assert_array_equal(found.uncertainty, again.uncertainty)
    # Without dropout the model is sure of the sentences that it has learned.
    assert found.uncertainty.mean() > certainty_of(found.probabilities).uncertainty.mean()


def test_a_model_with_one_number_a_text_is_refused(write: Write) -> None:
    with pytest.raises(UnusableModelError, match="one number a text"):
        ClassifierLabeler.load(settings_for(write("cooking")))


def test_the_name_tells_kind_and_model(write: Write) -> None:
    assert ClassifierLabeler.load(settings_for(write())).name.startswith("classifier/model@")

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_autoglm.corpus.schema import normalise_text
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.labeling.review import NONE_OF_THESE
from airflow_provider_autoglm.settings import LabelSettings


def problem_of(**values: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        LabelSettings.parse({"labels": [{"name": "a"}, {"name": "b"}], **values}, path="label")
    return str(caught.value)


@pytest.mark.parametrize("name", [" ", " sport", "sport\n", "two\nlines", "a\x00b", "a\u2028b"])
def test_a_label_that_a_form_could_not_send_back_is_refused(name: str) -> None:
    assert "label.labels.0.name = " in problem_of(labels=[{"name": name}, {"name": "b"}])


@pytest.mark.parametrize("name", ["Sport & Spiel", "日本", "क्\u200dष", "👩\u200d🚀", "C++"])
def test_a_label_may_be_in_any_script(name: str) -> None:
    assert LabelSettings.parse({"labels": [{"name": name}, {"name": "b"}]}).labels[0].name == name


@pytest.mark.parametrize("key", ["phrases", "examples"])
@pytest.mark.parametrize("text", ["", " \n"])
def test_a_phrase_or_example_that_says_nothing_is_refused(key: str, text: str) -> None:
    found = problem_of(labels=[{"name": "a", key: ["fine", text]}, {"name": "b"}])
    assert f"label.labels.0.{key}" in found
    assert "text 1 is empty; leave it out" in found


@pytest.mark.parametrize("again", ["A café.", " A  café.\n", "A cafe\u0301."])
def test_a_text_that_is_an_example_of_two_labels_is_refused_however_it_is_written(again: str) -> None:
    labels = [{"name": "a"}, {"name": "b", "examples": ["x", "A café."]}, {"name": "c", "examples": [again]}]
    found = problem_of(labels=labels)
    assert "label.labels = a list of 3: " in found
    assert "text 1 of the examples of 'b' is text 0 of those of 'c'; leave it in one of them" in found
    assert normalise_text(again) == "A café.", "a labeler would take them for one text"


def test_an_example_may_stand_twice_at_one_label() -> None:
    labels = [{"name": "a", "examples": ["x", "x"]}, {"name": "b", "examples": ["X"]}]
    assert len(LabelSettings.parse({"labels": labels}).labels) == 2


@pytest.mark.parametrize("name", [NONE_OF_THESE, NONE_OF_THESE.replace(" ", "\u00a0")], ids=["same", "looks the same"])
def test_a_label_that_could_not_be_chosen_in_a_review_is_refused(name: str) -> None:
    found = problem_of(labels=[{"name": "a"}, {"name": name}])
    assert f"label.labels.1.name = {name!r}: in a review that is the answer for a text of no label" in found


def test_a_phrase_that_no_model_can_read_is_refused() -> None:
    found = problem_of(labels=[{"name": "a", "phrases": ["fine", "\ud800"]}, {"name": "b"}])
    assert "label.labels.0.phrases" in found
    assert "text 1 holds half a character" in found


@pytest.mark.parametrize("language", ["english", "EN", "", " en", "e"])
def test_models_for_what_is_no_language_are_refused_since_no_text_would_get_them(language: str) -> None:
    found = problem_of(models={language: "some/model"})
    assert f"label.models: {language!r} is no language" in found
    assert "'en'" in found


@pytest.mark.parametrize("language", ["en", "zh-CN", "yue", "zh-Hant-TW", "*"])
def test_a_language_may_be_of_a_region(language: str) -> None:
    assert LabelSettings.parse({"models": {language: None}}).models == {language: None}


def test_an_empty_model_is_refused_and_null_is_named_instead() -> None:
    assert "the model of 'en' is empty; name one, or null" in problem_of(models={"en": " "})

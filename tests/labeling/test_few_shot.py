from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.exceptions import MissingColumnsError, MissingExtraError, SettingsError
from airflow_provider_autoglm.labeling import few_shot, labelers
from airflow_provider_autoglm.labeling.few_shot import FewShotLabeler
from airflow_provider_autoglm.labeling.labels import Labels, certainty_of
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.conftest import POISON
from tests.labeling.sentences import COOKING, FOOTBALL, SPACE, TEXTS, TRUTH

SENTENCES = {"cooking": COOKING, "football": FOOTBALL, "space": SPACE}

WriteExamples = Callable[..., str]


def settings_with(shown: int, **changes: Any) -> LabelSettings:
    """Labels with so many examples each."""
    labels = [{"name": name, "examples": texts[:shown]} for name, texts in SENTENCES.items()]
    return LabelSettings.parse({"kind": "few_shot", "labels": labels, **changes})


@pytest.fixture
def write_examples(tmp_path: Any) -> WriteExamples:
    def write(**columns: Any) -> str:
        return write_corpus(f"{tmp_path.as_uri()}/examples", [pa.table(columns)], stage="documents").uri

    return write


def chosen(found: Labels) -> list[str]:
    return [found.names[column] for column in found.probabilities.argmax(axis=1)]


def test_three_examples_of_each_label_are_enough_for_clear_texts() -> None:
    found = labelers.build(settings_with(3)).predict(TEXTS)
    assert found.names == tuple(SENTENCES)
    assert np.mean(np.array(chosen(found)) == np.array(TRUTH)) >= 0.95
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)


def test_one_example_of_each_label_is_enough_to_begin_with() -> None:
    found = FewShotLabeler.load(settings_with(1)).predict(TEXTS)
    assert np.mean(np.array(chosen(found)) == np.array(TRUTH)) >= 0.7


def test_examples_may_come_from_a_corpus_whose_other_labels_do_not_count(write_examples: WriteExamples) -> None:
    uri = write_examples(text=[*TEXTS, "Rain is expected.", None], label=[*TRUTH, "weather", "space"])
    by_corpus = FewShotLabeler.load(settings_with(0, examples=uri)).predict(TEXTS)
    by_settings = FewShotLabeler.load(settings_with(14)).predict(TEXTS)
    assert chosen(by_corpus) == list(TRUTH)
    assert by_corpus.probabilities.shape == (len(TEXTS), 3)
    np.testing.assert_allclose(by_corpus.probabilities, by_settings.probabilities, atol=0.1)


def test_an_example_counts_once_wherever_it_stands(write_examples: WriteExamples) -> None:
    uri = write_examples(text=[*COOKING[:2], *FOOTBALL[:2]], label=["cooking"] * 2 + ["football"] * 2)
    twice = FewShotLabeler.load(settings_with(2, examples=uri))
    np.testing.assert_array_equal(twice.head.weights, FewShotLabeler.load(settings_with(2)).head.weights)


def test_of_more_examples_than_are_useful_the_first_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_shot, "MOST_EXAMPLES", 2)
    all_given = FewShotLabeler.load(settings_with(10))
    np.testing.assert_array_equal(all_given.head.weights, FewShotLabeler.load(settings_with(2)).head.weights)


CONTRADICTION = "A text that belongs to whoever you ask."


def given_for(*labels: str) -> dict[str, list[str]]:
    """One example of each label, and the same text once more for each of ``labels``."""
    texts = [COOKING[0], FOOTBALL[0], SPACE[0], *[CONTRADICTION] * len(labels)]
    return {"text": texts, "label": [*SENTENCES, *labels]}


@pytest.mark.parametrize("labels", [("space", "cooking"), ("cooking", "space", "cooking")])
def test_a_text_that_a_corpus_gives_for_two_labels_is_an_example_of_none(
    labels: tuple[str, ...], write_examples: WriteExamples, caplog: pytest.LogCaptureFixture
) -> None:
    found = FewShotLabeler.load(settings_with(0, examples=write_examples(**given_for(*labels))))
    np.testing.assert_array_equal(found.head.weights, FewShotLabeler.load(settings_with(1)).head.weights)
    (told,) = [record for record in caplog.records if "two labels" in record.message]
    assert (told.levelname, told.message) == (
        "WARNING",
        "label: 1 texts are examples of two labels or more; they count for none",
    )


def test_a_text_for_which_settings_and_corpus_name_two_labels_is_an_example_of_none(
    write_examples: WriteExamples, caplog: pytest.LogCaptureFixture
) -> None:
    uri = write_examples(text=[f" {COOKING[1]}\n"], label=["space"])
    labels = [{"name": name, "examples": texts[: 2 if name == "cooking" else 1]} for name, texts in SENTENCES.items()]
    found = FewShotLabeler.load(settings_with(0, labels=labels, examples=uri))
    np.testing.assert_array_equal(found.head.weights, FewShotLabeler.load(settings_with(1)).head.weights)
    assert "1 texts are examples of two labels" in caplog.text


def test_a_contradiction_is_seen_beyond_the_examples_that_count(
    write_examples: WriteExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_shot, "MOST_EXAMPLES", 2)
    texts = [*COOKING[:2], CONTRADICTION, FOOTBALL[0], CONTRADICTION, SPACE[0]]
    uri = write_examples(text=texts, label=["cooking"] * 3 + ["football", "space", "space"])
    found = FewShotLabeler.load(settings_with(0, examples=uri))
    shown = {"cooking": COOKING[:2], "football": FOOTBALL[:1], "space": SPACE[:1]}
    labels = [{"name": name, "examples": texts} for name, texts in shown.items()]
    expected = FewShotLabeler.load(settings_with(0, labels=labels))
    np.testing.assert_array_equal(found.head.weights, expected.head.weights)


def test_equal_settings_give_equal_numbers() -> None:
    one, other = (FewShotLabeler.load(settings_with(5)) for _ in range(2))
    np.testing.assert_array_equal(one.predict(TEXTS).probabilities, other.predict(TEXTS).probabilities)


def test_a_label_without_an_example_is_named() -> None:
    labels = [{"name": "cooking", "examples": COOKING[:1]}, {"name": "space"}, {"name": "sea"}]
    with pytest.raises(SettingsError, match=r"no usable example of space, sea; add some to `examples`$"):
        FewShotLabeler.load(settings_with(1, labels=labels))


def test_where_a_corpus_of_examples_is_set_the_error_names_it_too(write_examples: WriteExamples) -> None:
    uri = write_examples(text=list(COOKING[:1]), label=["cooking"])
    with pytest.raises(SettingsError, match=rf"football, space; .* into the corpus {uri}"):
        FewShotLabeler.load(settings_with(0, examples=uri))


def test_without_scikit_learn_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # what an import finds where it is not installed
    with pytest.raises(MissingExtraError, match=r"airflow-provider-autoglm\[label\]"):
        FewShotLabeler.load(settings_with(1))


def test_a_corpus_without_labels_is_refused(write_examples: WriteExamples) -> None:
    with pytest.raises(MissingColumnsError, match="missing columns label"):
        FewShotLabeler.load(settings_with(1, examples=write_examples(text=["a", "b"])))


def test_examples_that_the_model_cannot_read_are_left_out(poisoned_model: str) -> None:
    labels = [
        {"name": "cooking", "examples": [*COOKING[:3], f"A {POISON} ate the soup."]},
        {"name": "football", "examples": [*FOOTBALL[:3], "\ud800"]},
    ]
    labeler = FewShotLabeler.load(settings_with(0, labels=labels, model=poisoned_model))
    assert np.isfinite(labeler.head.weights).all()
    assert chosen(labeler.predict([COOKING[5], FOOTBALL[5]])) == ["cooking", "football"]


def test_a_label_whose_only_example_cannot_be_read_is_named(poisoned_model: str) -> None:
    labels = [{"name": "cooking", "examples": COOKING[:3]}, {"name": "animals", "examples": [POISON]}]
    with pytest.raises(SettingsError, match="no usable example of animals"):
        FewShotLabeler.load(settings_with(0, labels=labels, model=poisoned_model))


def test_a_text_that_the_model_breaks_on_is_not_finite_and_its_neighbours_are(poisoned_model: str) -> None:
    found = FewShotLabeler.load(settings_with(2, model=poisoned_model)).predict([TEXTS[0], POISON, TEXTS[1]])
    assert np.isfinite(found.probabilities).all(axis=1).tolist() == [True, False, True]


def test_no_text_gives_no_label() -> None:
    assert FewShotLabeler.load(settings_with(1)).predict([]).probabilities.shape == (0, 3)


def test_passes_with_dropout_tell_the_uncertainty_and_leave_the_labels() -> None:
    texts = TEXTS[:6]
    plain = FewShotLabeler.load(settings_with(3)).predict(texts)
    found = FewShotLabeler.load(settings_with(3, mc_dropout=3)).predict(texts)
    np.testing.assert_array_equal(found.probabilities, plain.probabilities)
    assert found.uncertainty is not None
    assert ((found.uncertainty > 0) & (found.uncertainty <= 1)).all()
    assert (np.abs(found.uncertainty - certainty_of(plain.probabilities).uncertainty) > 1e-6).any()


def test_the_name_tells_kind_and_model() -> None:
    assert FewShotLabeler.load(settings_with(1)).name.startswith("few_shot/all-MiniLM-L6-v2@")


def test_a_corpus_of_examples_that_is_not_there_is_a_wrong_setting(tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match=r"label\.examples = '.*/nope': no committed corpus"):
        labelers.build(settings_with(2, examples=f"{tmp_path}/nope"))

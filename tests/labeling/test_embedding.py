from __future__ import annotations

import numpy as np
import pytest
import torch

from airflow_provider_autoglm.exceptions import SettingsError, UnusableModelError
from airflow_provider_autoglm.labeling import labelers
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler, name_of
from airflow_provider_autoglm.labeling.labels import Labels, certainty_of
from airflow_provider_autoglm.labeling.models import BUNDLED_MODEL
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork, normalised
from tests.labeling.conftest import POISON, settings_with
from tests.labeling.sentences import LABELS, TEXTS, TRUTH


def chosen(labels: Labels) -> list[str]:
    return [labels.names[column] for column in labels.probabilities.argmax(axis=1)]


def share_right(labeler: EmbeddingLabeler) -> float:
    return float(np.mean(np.array(chosen(labeler.predict(TEXTS))) == np.array(TRUTH)))


def test_clear_texts_get_the_label_that_describes_them(labeler: EmbeddingLabeler) -> None:
    assert chosen(labeler.predict(TEXTS)) == list(TRUTH)


def test_probabilities_are_finite_and_sum_to_one(labeler: EmbeddingLabeler) -> None:
    labels = labeler.predict(TEXTS)
    assert labels.names == ("cooking", "football", "space")
    assert labels.probabilities.dtype == np.float32
    assert labels.probabilities.shape == (len(TEXTS), 3)
    assert labels.probabilities.min() >= 0
    np.testing.assert_allclose(labels.probabilities.sum(axis=1), 1, atol=1e-6)


def test_no_text_gives_no_label(labeler: EmbeddingLabeler) -> None:
    assert labeler.predict([]).probabilities.shape == (0, 3)


def test_phrases_decide_what_a_label_means_and_not_its_name() -> None:
    wrong_names = ("space", "cooking", "football")
    misnamed = [{"name": name, "phrases": label["phrases"]} for name, label in zip(wrong_names, LABELS, strict=True)]
    labeler = EmbeddingLabeler.load(settings_with(labels=misnamed))
    means = dict(zip(wrong_names, ("cooking", "football", "space"), strict=True))
    assert [means[name] for name in chosen(labeler.predict(TEXTS))] == list(TRUTH)


def test_a_label_without_phrases_is_described_by_its_name() -> None:
    by_name = EmbeddingLabeler.load(settings_with(labels=[{"name": label["name"]} for label in LABELS]))
    by_phrase = EmbeddingLabeler.load(
        settings_with(labels=[{"name": label["name"], "phrases": [label["name"]]} for label in LABELS])
    )
    np.testing.assert_array_equal(by_name.prototypes, by_phrase.prototypes)
    assert share_right(by_name) > 0.9


def test_texts_are_labelled_alike_whatever_the_batches() -> None:
    texts = [*TEXTS, " ".join(TEXTS[:12]), "Goal!"]
    small, large, medium = (
        TextNetwork.load(BUNDLED_MODEL, settings_with(batch_tokens=tokens)) for tokens in (64, 1_000_000, 500)
    )
    alone, together, backwards = small.embed(texts), large.embed(texts), medium.embed(texts[::-1])[::-1]
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(alone, backwards, atol=1e-5)


def test_vectors_have_length_one_and_equal_calls_give_equal_bits(labeler: EmbeddingLabeler) -> None:
    vectors = labeler.encoder.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors, labeler.encoder.encode(TEXTS))


def test_a_text_longer_than_the_model_reads_is_cut() -> None:
    labeler = EmbeddingLabeler.load(settings_with(max_tokens=8_192))
    labels = labeler.predict(["football goal " * 2_000])
    assert chosen(labels) == ["football"]


def test_a_lower_temperature_is_surer_of_the_same_labels(labeler: EmbeddingLabeler) -> None:
    sure = EmbeddingLabeler.load(settings_with(temperature=0.01)).predict(TEXTS)
    assert chosen(sure) == chosen(labeler.predict(TEXTS))
    assert sure.probabilities.max(axis=1).mean() > labeler.predict(TEXTS).probabilities.max(axis=1).mean()


def test_the_name_tells_kind_model_and_settings(labeler: EmbeddingLabeler) -> None:
    kind_and_model, _, digest = labeler.name.partition("@")
    assert kind_and_model == "embedding/all-MiniLM-L6-v2"
    assert len(digest) == 8
    assert EmbeddingLabeler.load(settings_with(temperature=0.1)).name != labeler.name


def test_the_process_gets_its_threads_back(labeler: EmbeddingLabeler) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        labeler.predict(TEXTS[:2])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_model_that_cannot_describe_the_labels_is_refused(poisoned_model: str) -> None:
    with pytest.raises(UnusableModelError, match="not finite"):
        labelers.build(settings_with(model=poisoned_model, labels=[{"name": POISON}, {"name": "horse"}]))


@pytest.mark.parametrize("labels", [[], [{"name": "alone"}]])
def test_fewer_than_two_labels_are_refused(labels: list[dict[str, str]]) -> None:
    with pytest.raises(SettingsError, match="at least 2 are needed"):
        labelers.build(settings_with(labels=labels))


def test_a_label_named_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="repeated: a"):
        labelers.build(settings_with(labels=[{"name": "a"}, {"name": "b"}, {"name": "a"}]))


def test_certainty_is_least_where_all_classes_are_alike_and_greatest_where_one_is_sure() -> None:
    certainty = certainty_of(np.array([[0.25] * 4, [1, 0, 0, 0], [0.1, 0.6, 0.3, 0]], np.float32))
    np.testing.assert_allclose(certainty.uncertainty[:2], [1, 0], atol=1e-6)
    np.testing.assert_allclose(certainty.margin, [0, 1, 0.3], atol=1e-6)
    np.testing.assert_allclose(certainty.score, [0.25, 1, 0.6], atol=1e-6)
    assert certainty.best[2] == 1


def test_a_name_of_several_words_is_read_as_words() -> None:
    by_name = EmbeddingLabeler.load(settings_with(labels=[{"name": "card_arrival"}, {"name": "space"}]))
    by_phrase = EmbeddingLabeler.load(
        settings_with(labels=[{"name": "card_arrival", "phrases": ["card arrival"]}, {"name": "space"}])
    )
    np.testing.assert_array_equal(by_name.prototypes, by_phrase.prototypes)


def test_a_text_that_is_like_no_label_abstains() -> None:
    labeler = EmbeddingLabeler.load(settings_with(min_similarity=0.2))
    abstained = labeler.predict([*TEXTS, "The court ruled that the tax on imported steel is lawful."]).abstained
    assert abstained is not None
    assert abstained[-1]
    assert abstained[:-1].mean() < 0.5
    of_a_phrase = labeler.predict(["a football match"]).abstained
    assert of_a_phrase is not None
    assert not of_a_phrase.any()


def test_by_default_every_text_about_a_label_gets_it(labeler: EmbeddingLabeler) -> None:
    abstained = labeler.predict(TEXTS).abstained
    assert abstained is not None
    assert not abstained.any()


def test_centred_vectors_are_compared_without_what_all_texts_have_in_common(labeler: EmbeddingLabeler) -> None:
    vectors = labeler.encoder.encode(TEXTS)
    center = vectors.mean(axis=0)
    found = labeler.with_prototypes(labeler.prototypes, center).classify(vectors)
    by_hand = labeler.with_prototypes(normalised(labeler.prototypes - center)).classify(normalised(vectors - center))
    np.testing.assert_allclose(found.probabilities, by_hand.probabilities, atol=1e-6)
    assert chosen(found) == list(TRUTH)
    assert not np.allclose(found.probabilities, labeler.classify(vectors).probabilities, atol=0.01)


def test_prototypes_of_any_length_give_the_same_labels(labeler: EmbeddingLabeler) -> None:
    vectors = labeler.encoder.encode(TEXTS)
    longer = labeler.with_prototypes(labeler.prototypes * np.array([[0.2], [1], [5]], np.float32))
    np.testing.assert_allclose(
        longer.classify(vectors).probabilities, labeler.classify(vectors).probabilities, atol=1e-6
    )


def test_passes_with_dropout_tell_the_uncertainty_and_leave_the_labels(labeler: EmbeddingLabeler) -> None:
    texts = [*TEXTS[:5], "The football team ate soup in space."]
    found = EmbeddingLabeler.load(settings_with(mc_dropout=4)).predict(texts)
    np.testing.assert_array_equal(found.probabilities, labeler.predict(texts).probabilities)
    assert labeler.predict(texts).uncertainty is None
    assert found.uncertainty is not None
    assert found.uncertainty.argmax() == 5
    assert ((found.uncertainty > 0) & (found.uncertainty <= 1)).all()


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("intfloat/e5-base-v2", "e5-base-v2"),
        ("/models/mine/", "mine"),
        ("models:/news/3", "news/3"),
        ("models:/news@champion", "news@champion"),
    ],
)
def test_the_name_shows_the_last_part_of_a_path_and_the_version_in_a_registry(model: str, shown: str) -> None:
    assert name_of(settings_with(), model).startswith(f"embedding/{shown}@")

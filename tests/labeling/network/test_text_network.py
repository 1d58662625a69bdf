from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from airflow_provider_autoglm.exceptions import UnavailableDeviceError, UnusableModelError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.network.device import Hardware
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from tests.labeling.conftest import settings_with
from tests.labeling.sentences import TEXTS, TRUTH
from tests.labeling.tiny_models import POISON, SUBJECTS, write_classifier, write_encoder, write_nli

MIXED = ("", "Goal!", *TEXTS, " ".join(TEXTS), "🙂🙂", "汉字", "word " * 2_000)


@pytest.fixture(scope="module")
def encoder() -> TextNetwork:
    return TextNetwork.load(models.BUNDLED_MODEL, settings_with())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_classifier(str(tmp_path_factory.mktemp("network") / "classifier"))


def classifier(folder: str, **changes: Any) -> TextNetwork:
    return TextNetwork.load(folder, settings_with(**changes), head="classifier")


def test_vectors_are_those_of_sentence_transformers(encoder: TextNetwork) -> None:
    expected = SentenceTransformer(models.locate(models.BUNDLED_MODEL), device="cpu").encode(list(MIXED))
    found = encoder.embed(MIXED)
    assert (found.dtype, found.shape) == (np.float32, (len(MIXED), encoder.dimensions))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_logits_are_those_of_the_pipeline_of_transformers_in_the_order_of_the_texts(folder: str) -> None:
    texts = [*TEXTS[::-1], "word " * 500, ""]
    network = classifier(folder, max_tokens=8_192)
    theirs = pipeline("text-classification", model=folder, top_k=None, function_to_apply="none", device="cpu")
    expected = [{answer["label"]: answer["score"] for answer in answers} for answers in theirs(texts, truncation=True)]
    assert network.classes == SUBJECTS
    np.testing.assert_allclose(
        network.logits(texts), [[answer[name] for name in SUBJECTS] for answer in expected], atol=1e-4
    )


@pytest.mark.parametrize("batch_tokens", [64, 333, 1_000_000])
def test_labels_are_the_same_whatever_the_batches(folder: str, batch_tokens: int) -> None:
    logits = classifier(folder, batch_tokens=batch_tokens).logits(TEXTS)
    assert [SUBJECTS[column] for column in logits.argmax(axis=1)] == list(TRUTH)
    np.testing.assert_allclose(logits, classifier(folder).logits(TEXTS), atol=1e-4)


def test_a_pair_is_read_as_two_sequences(tmp_path: Path) -> None:
    folder = write_nli(str(tmp_path / "nli"), ("no", "yes"), entailment=1)
    texts = [f"a text on {subject}" for subject in SUBJECTS for _ in SUBJECTS]
    pairs = [f"about {subject}" for _ in SUBJECTS for subject in SUBJECTS]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        expected = network(**tokenizer(texts, pairs, padding=True, return_tensors="pt")).logits
    found = classifier(folder).logits(texts, pairs)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    assert (found.argmax(axis=1) == np.eye(len(SUBJECTS)).ravel()).all()


def test_a_text_the_model_breaks_on_gives_no_number_and_spoils_no_other(folder: str) -> None:
    logits = classifier(folder).logits([TEXTS[0], f"a {POISON} apple", TEXTS[1]])
    assert np.isfinite(logits).all(axis=1).tolist() == [True, False, True]


def test_no_text_gives_no_row(encoder: TextNetwork, folder: str) -> None:
    assert encoder.embed([]).shape == (0, encoder.dimensions)
    assert classifier(folder).logits([]).shape == (0, len(SUBJECTS))
    assert classifier(folder).logits([], passes=3).shape == (3, 0, len(SUBJECTS))


def test_a_text_with_a_lone_surrogate_raises_so_that_it_can_be_isolated(encoder: TextNetwork) -> None:
    with pytest.raises(TypeError):
        encoder.embed(["fine", "bad \udcff"])


def test_passes_with_dropout_differ_from_each_other_and_are_the_same_on_every_call(folder: str) -> None:
    network = classifier(folder, mc_dropout=4)
    exact = network.logits(TEXTS)
    torch.manual_seed(99)
    first = network.logits(TEXTS, passes=4)
    state = torch.get_rng_state()
    second = network.logits(TEXTS, passes=4)
    assert first.shape == (4, len(TEXTS), len(SUBJECTS))
    np.testing.assert_array_equal(first, second)
    assert all(not np.allclose(first[number], first[0]) for number in (1, 2, 3))
    # The random numbers of the process are not touched, and dropout is off again.
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(network.logits(TEXTS), exact)


def test_vectors_of_passes_have_length_one(encoder: TextNetwork) -> None:
    passes = encoder.embed(TEXTS[:3], passes=2)
    np.testing.assert_allclose(np.linalg.norm(passes, axis=2), np.ones((2, 3)), atol=1e-6)


def test_dropout_that_a_model_does_not_have_cannot_be_asked_for(tmp_path: Path) -> None:
    folder = write_classifier(str(tmp_path / "model"), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    with pytest.raises(UnusableModelError, match=r"no dropout.*label\.mc_dropout"):
        classifier(folder, mc_dropout=2)
    assert classifier(folder).logits(TEXTS[:1]).shape == (1, len(SUBJECTS))


def test_two_networks_of_a_model_share_one_load_and_what_is_known_of_its_memory(folder: str) -> None:
    one, other = classifier(folder), classifier(folder, max_tokens=16, batch_tokens=64)
    assert one.module is other.module
    assert (one.max_tokens, other.max_tokens) == (128, 16)
    assert one.device == "cpu"


def test_a_model_of_the_registry_is_fetched(folder: str) -> None:
    asked = []

    def fetch(model: str) -> str:
        asked.append(model)
        return folder

    network = TextNetwork.load("models:/topics@champion", settings_with(), head="classifier", fetch_model=fetch)
    assert asked == ["models:/topics@champion"]
    assert network.classes == SUBJECTS


def test_a_model_that_is_not_of_the_registry_is_not_fetched(folder: str) -> None:
    def fetch(model: str) -> str:
        raise AssertionError(model)

    TextNetwork.load(folder, settings_with(), head="classifier", fetch_model=fetch)


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_labels_hold_in_fewer_bits_or_the_machine_says_that_it_has_no_such(folder: str, precision: str) -> None:
    hardware = Hardware.found()
    if hardware.int8 if precision == "int8" else "cpu" in hardware.bf16:
        logits = classifier(folder, precision=precision, device="cpu").logits(TEXTS)
        assert (logits.dtype, [SUBJECTS[column] for column in logits.argmax(axis=1)]) == (np.float32, list(TRUTH))
    else:
        with pytest.raises(UnavailableDeviceError, match=precision):
            classifier(folder, precision=precision, device="cpu")


def test_the_process_gets_its_threads_back_even_after_an_error(folder: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        network = classifier(folder)
        network.logits(TEXTS[:2])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_encoder_is_no_classifier(tmp_path: Path) -> None:
    folder = write_encoder(str(tmp_path / "encoder"))
    with pytest.raises(UnusableModelError, match=r"no trained classifier, its files lack the weights classifier\.bias"):
        classifier(folder)

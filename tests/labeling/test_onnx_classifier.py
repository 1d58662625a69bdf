from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling.onnx_classifier import OnnxClassifier
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.sentences import TEXTS
from tests.labeling.tiny_models import SUBJECTS


@pytest.fixture
def folder(tiny_package: str) -> str:
    return f"{tiny_package}/artifacts"


def opened(folder: str, *, batch_tokens: int = 2_048, max_tokens: int = 64) -> OnnxClassifier:
    settings = LabelSettings.parse({"batch_tokens": batch_tokens})
    return OnnxClassifier.open(folder, settings, classes=SUBJECTS, max_tokens=max_tokens, padding=0)


def test_logits_are_alike_whatever_the_batches_and_in_the_order_of_the_texts(folder: str) -> None:
    texts = [*TEXTS, " ".join(TEXTS[:4]), "Goal"]
    together, alone = opened(folder, batch_tokens=100_000), opened(folder, batch_tokens=64)
    np.testing.assert_allclose(together.logits(texts), alone.logits(texts), atol=1e-4)
    np.testing.assert_allclose(together.logits(texts[::-1])[::-1], together.logits(texts), atol=1e-4)


def test_a_text_is_cut_to_what_the_network_was_trained_to_read(folder: str) -> None:
    text = "the striker scored twice and the home team won the match"
    beginning = "the striker scored twice and the"
    # Two of eight tokens stand at the ends.
    np.testing.assert_allclose(
        opened(folder, max_tokens=8).logits([text]), opened(folder).logits([beginning]), atol=1e-4
    )


def test_no_text_gives_no_logits(folder: str) -> None:
    assert opened(folder).logits([]).shape == (0, 3)


def test_a_text_of_lone_surrogates_is_refused(folder: str) -> None:
    with pytest.raises((TypeError, UnicodeEncodeError)):
        opened(folder).logits(["\ud800"])


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableModelError) as caught:
        opened(str(tmp_path))
    assert caught.value.model == str(tmp_path)


def test_of_a_long_text_only_the_beginning_is_read(folder: str) -> None:
    text = "the striker scored twice " * 2_000
    np.testing.assert_allclose(opened(folder).logits([text + "\ud800"]), opened(folder).logits([text]), atol=1e-4)


def test_more_texts_than_are_read_at_once_keep_their_order(folder: str) -> None:
    texts = [*TEXTS, *TEXTS[::-1]]
    logits = opened(folder).logits(texts)
    np.testing.assert_allclose(logits[len(TEXTS) :], logits[: len(TEXTS)][::-1], atol=1e-4)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from airflow_provider_autoglm.labeling.network.text_network import normalised
from airflow_provider_autoglm.labeling.text_encoder import TextEncoder
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.sentences import TEXTS
from tests.labeling.tiny_models import write_encoder

DEFAULTS = LabelSettings()


def write_sentence_encoder(folder: Path, **pooling: bool) -> str:
    """An encoder with files for sentence-transformers."""
    model = write_encoder(str(folder))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    modules = [{"path": "", "type": "x.Transformer"}, {"path": "1_Pooling", "type": "x.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    return model


def states_of(model: str, text: str) -> Any:
    """The last hidden states of the tokens: float32[tokens, d]."""
    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    with torch.inference_mode():
        return network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()


@pytest.mark.parametrize(
    ("pooling", "position"), [("pooling_mode_cls_token", 0), ("pooling_mode_lasttoken", -1)], ids=["cls", "last"]
)
def test_a_vector_is_the_state_that_the_model_was_trained_to_give(tmp_path: Path, pooling: str, position: int) -> None:
    model = write_sentence_encoder(tmp_path / "model", **{pooling: True})
    found = TextEncoder.load(model, DEFAULTS).encode(TEXTS[:5])
    expected = np.stack([states_of(model, text)[position] for text in TEXTS[:5]])
    np.testing.assert_allclose(found, normalised(expected), atol=1e-5)


def test_the_mean_is_taken_over_the_text_alone_and_not_over_padding(tmp_path: Path) -> None:
    model = write_sentence_encoder(tmp_path / "model", pooling_mode_mean_tokens=True)
    found = TextEncoder.load(model, DEFAULTS).encode(TEXTS[:5])
    expected = np.stack([states_of(model, text).mean(axis=0) for text in TEXTS[:5]])
    np.testing.assert_allclose(found, normalised(expected), atol=1e-5)


def test_the_prefix_stands_before_every_text(tmp_path: Path) -> None:
    e5 = write_encoder(str(tmp_path / "e5-small"))
    plain = write_encoder(str(tmp_path / "any"))
    found = TextEncoder.load(e5, DEFAULTS).encode(TEXTS[:3])
    by_hand = TextEncoder.load(plain, DEFAULTS).encode([f"query: {text}" for text in TEXTS[:3]])
    np.testing.assert_array_equal(found, by_hand)
    assert not np.allclose(found, TextEncoder.load(plain, DEFAULTS).encode(TEXTS[:3]), atol=1e-3)


def test_passes_with_dropout_differ_and_are_the_same_on_every_call(tmp_path: Path) -> None:
    encoder = TextEncoder.load(write_encoder(str(tmp_path / "model")), LabelSettings.parse({"mc_dropout": 2}))
    first, again = (encoder.encode(TEXTS[:4], passes=2) for _ in range(2))
    assert first.shape == (2, 4, encoder.dimensions)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first[0], first[1], atol=1e-3)

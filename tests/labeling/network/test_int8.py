from __future__ import annotations

import numpy as np
import pytest
import torch

from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.labeling.network.int8 import Int8Linear, quantised
from airflow_provider_autoglm.labeling.network.placed import Placed
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from tests.labeling.sentences import TEXTS


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return models.load(models.BUNDLED_MODEL)


def linear(*, has_bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(3)
    return torch.nn.Linear(384, 96, bias=has_bias)


def embed(model: LoadedModel, texts: tuple[str, ...], batch_tokens: int = 2_048) -> np.ndarray:
    return TextNetwork(Placed(model), max_tokens=64, batch_tokens=batch_tokens).embed(texts)


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_layer_gives_nearly_what_it_gave_before(has_bias: bool) -> None:
    layer, values = linear(has_bias=has_bias), torch.randn(2, 5, 384)
    values[0, 0] *= 1_000  # a token far larger than the others takes nothing from their precision
    with torch.inference_mode():
        exact, found = layer(values), Int8Linear(layer)(values)
    assert found.shape == exact.shape
    error = (found - exact).norm(dim=-1) / exact.norm(dim=-1)
    assert float(error.max()) < 0.02


@pytest.mark.parametrize("inputs", [1, 97, 250, 768, 1_154], ids=lambda count: f"{count} inputs")
def test_layers_of_any_size_are_cut_into_groups_that_fit(inputs: int) -> None:
    torch.manual_seed(4)
    layer, values = torch.nn.Linear(inputs, 16), torch.randn(6, inputs)
    with torch.inference_mode():
        exact, found = layer(values), Int8Linear(layer)(values)
    assert float((found - exact).norm() / exact.norm()) < 0.02


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_of_no_tokens_a_layer_makes_none(shape: tuple[int, ...]) -> None:
    with torch.inference_mode():
        assert Int8Linear(linear())(torch.zeros(*shape, 384)).shape == (*shape, 96)


def test_a_token_gives_the_same_numbers_whatever_stands_beside_it() -> None:
    layer, values = Int8Linear(linear()), torch.randn(7, 384)
    with torch.inference_mode():
        np.testing.assert_array_equal(layer(values)[3:4].numpy(), layer(values[3:4]).numpy())


def test_a_token_that_is_no_number_spoils_no_other() -> None:
    layer, values = Int8Linear(linear()), torch.randn(3, 384)
    values[1, 5], values[2] = float("nan"), 7.0  # the last has no range
    with torch.inference_mode():
        found = layer(values)
    assert found.isfinite().all(dim=1).tolist() == [True, False, True]


def test_vectors_point_where_those_of_32_bits_do(model: LoadedModel) -> None:
    likeness = (embed(model, TEXTS) * embed(quantised(model), TEXTS)).sum(axis=1)
    assert likeness.min() > 0.99


def test_texts_are_alike_whatever_the_batches(model: LoadedModel) -> None:
    reduced = quantised(model)
    together, alone = embed(reduced, TEXTS, 100_000), embed(reduced, TEXTS, 64)
    # A difference in the last bit of 32 may be a whole step of 8 bits.
    likeness = (together * alone).sum(axis=1)
    assert likeness.min() > 0.99
    assert likeness.mean() > 0.999


def test_the_model_itself_is_left_as_it_is_and_shares_what_is_not_quantised(model: LoadedModel) -> None:
    before = embed(model, TEXTS[:3])
    reduced = quantised(model)
    assert not any(type(part) is torch.nn.Linear for part in reduced.encoder.modules())
    np.testing.assert_array_equal(embed(model, TEXTS[:3]), before)
    words, same_words = (one.encoder.get_input_embeddings().weight for one in (model, reduced))
    assert words.data_ptr() == same_words.data_ptr()

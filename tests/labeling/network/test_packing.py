from __future__ import annotations

import numpy as np
import pytest
import torch

from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.network.device import Placement
from airflow_provider_autoglm.labeling.network.int8 import Int8Linear
from airflow_provider_autoglm.labeling.network.packing import PackedLinear, _can_pack, packed, replace_linear
from airflow_provider_autoglm.labeling.network.placed import Placed, placed
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from tests.labeling.sentences import TEXTS


def linear(*, has_bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(3)
    return torch.nn.Linear(384, 96, bias=has_bias)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 384), (7, 384), (2, 5, 384), (0, 384)])
def test_a_packed_layer_gives_what_it_gave_before(shape: tuple[int, ...], *, has_bias: bool) -> None:
    layer, values = linear(has_bias=has_bias), torch.randn(shape)
    with torch.inference_mode():
        np.testing.assert_allclose(PackedLinear(layer)(values).numpy(), layer(values).numpy(), atol=1e-5)


def test_gradients_flow_through_a_packed_layer() -> None:
    layer = linear()
    values = torch.randn(3, 384, requires_grad=True)
    (expected,) = torch.autograd.grad(layer(values).square().sum(), values)
    (found,) = torch.autograd.grad(PackedLinear(layer)(values).square().sum(), values)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_weights_can_be_had_as_they_were() -> None:
    layer = linear()
    assert torch.equal(PackedLinear(layer).weight, layer.weight)


def test_vectors_of_a_packed_model_are_those_of_the_model() -> None:
    exact = TextNetwork(Placed(models.load(models.BUNDLED_MODEL)), max_tokens=64, batch_tokens=512)
    found = TextNetwork(Placed(packed(models.load(models.BUNDLED_MODEL))), max_tokens=64, batch_tokens=512)
    np.testing.assert_allclose(found.embed(TEXTS), exact.embed(TEXTS), atol=1e-5)


def test_eight_bits_made_of_packed_layers_are_those_made_of_plain_ones() -> None:
    values = torch.randn(4, 384)
    with torch.inference_mode():
        expected, found = Int8Linear(linear())(values), Int8Linear(PackedLinear(linear()))(values)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_a_model_in_use_has_its_layers_packed_where_that_is_of_use() -> None:
    network = placed(models.BUNDLED_MODEL, "encoder", Placement()).model.encoder
    kinds = {type(part) for part in network.modules() if isinstance(part, torch.nn.Linear | PackedLinear)}
    assert len(kinds) == 1


def test_a_layer_whose_weights_its_owner_reads_itself_is_left() -> None:
    torch.manual_seed(3)
    attention = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    values = torch.randn(2, 5, 32)
    with torch.no_grad():
        expected, _ = attention.self_attn(values, values, values)
        replace_linear(attention, Int8Linear)
        found, _ = attention.self_attn(values, values, values)
    assert isinstance(attention.linear1, Int8Linear)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_a_build_of_torch_that_cannot_pack_leaves_a_model_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> torch.Tensor:
        raise AttributeError("no such operator")

    monkeypatch.setattr(PackedLinear, "forward", missing)
    _can_pack.cache_clear()
    network = torch.nn.Sequential(linear())
    packed(models.LoadedModel(None, network))
    _can_pack.cache_clear()
    assert type(network[0]) is torch.nn.Linear

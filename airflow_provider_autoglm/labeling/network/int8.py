"""Linear layers with weights and inputs of 8 bits, multiplied by the CPU's own instructions.

torch's dynamic quantisation has one scale for a whole batch: on MiniLM one label in twenty changes, and what a text
gives depends on its neighbours. A scale for each token (Yao et al., ZeroQuant, 2022, arXiv 2206.01861) keeps both.
"""

from __future__ import annotations

import copy

import torch

from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.labeling.network.packing import replace_linear

_LARGEST = 127
_STEPS = 255
_SMALLEST_RANGE = 1e-12


class Int8Linear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer with a scale for each output of the weights and a range for each token, found as it comes.

    Weights are w = s·p and inputs x = m + r·q, with p and q of 8 bits and m the middle of a token's values. So x·w is
    s·r·(q·p) + m·s·sum(p), of which q·p is what the CPU multiplies.
    """

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        weights = layer.weight.detach()
        scales = weights.abs().amax(dim=1).clamp(min=_SMALLEST_RANGE) / _LARGEST
        rounded = (weights / scales[:, None]).round()
        bias = torch.zeros_like(scales) if layer.bias is None else layer.bias.detach()
        self.register_buffer("weight", rounded.to(torch.int8).t())
        self.register_buffer("scales", scales)
        self.register_buffer("sums", rounded.sum(dim=1) * scales)
        self.register_buffer("bias", bias)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Outputs float32[…, o] of inputs float32[…, k]; a token that is not finite makes no other one so."""
        tokens = values.reshape(-1, values.shape[-1])
        least = tokens.amin(dim=1, keepdim=True)
        steps = (tokens.amax(dim=1, keepdim=True) - least).clamp_(min=_SMALLEST_RANGE).div_(_STEPS)
        middles = least + steps * (_LARGEST + 1)
        rounded = ((tokens - middles) / steps).round_().clamp_(-_LARGEST - 1, _LARGEST).to(torch.int8)
        products = torch._int_mm(rounded, self.weight).to(torch.float32)
        outputs = torch.addcmul(self.bias, products.mul_(steps), self.scales).addcmul_(middles, self.sums)
        return outputs.view(*values.shape[:-1], -1)


def quantised(model: LoadedModel) -> LoadedModel:
    """``model`` with linear layers of 8 bits; it is left as it is and shares all other weights with the copy.

    No texts are needed to calibrate. Labels change a little, so compare them with those of 32 bits before use.
    """
    shared = {id(weights): weights for weights in [*model.encoder.parameters(), *model.encoder.buffers()]}
    network = copy.deepcopy(model.encoder, shared)
    replace_linear(network, Int8Linear)
    return LoadedModel(model.tokenizer, network.eval())

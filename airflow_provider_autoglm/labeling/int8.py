"""Linear layers with weights and inputs of 8 bits, multiplied by the CPU's own instructions.

torch's dynamic quantisation has one scale for a whole batch: on MiniLM one label in twenty changes, and what a text
gives depends on its neighbours. A scale for each token (Yao et al., ZeroQuant, 2022, arXiv 2206.01861) keeps both.
"""

from __future__ import annotations

import copy

import torch

from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.labeling.packing import replace_linear

_LARGEST = 127
_SMALLEST_MAXIMUM = 1e-12


class Int8Linear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer: one scale for each output of the weights, one for each token of the input, found as it comes."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        weights = layer.weight.detach()
        scales = weights.abs().amax(dim=1).clamp(min=_SMALLEST_MAXIMUM) / _LARGEST
        bias = torch.zeros_like(scales) if layer.bias is None else layer.bias.detach()
        self.register_buffer("weight", (weights / scales[:, None]).round().to(torch.int8).t())
        self.register_buffer("scales", scales)
        self.register_buffer("bias", bias)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Outputs float32[…, o] of inputs float32[…, k]; a token that is not finite makes no other one so."""
        tokens = values.reshape(-1, values.shape[-1])
        scales = tokens.abs().amax(dim=1, keepdim=True).clamp_(min=_SMALLEST_MAXIMUM).div_(_LARGEST)
        products = torch._int_mm((tokens / scales).round_().to(torch.int8), self.weight).to(torch.float32)
        outputs = torch.addcmul(self.bias, products.mul_(scales), self.scales)
        return outputs.view(*values.shape[:-1], -1)


def quantised(model: LoadedModel) -> LoadedModel:
    """``model`` with linear layers of 8 bits; it is left as it is and shares all other weights with the copy.

    No texts are needed to calibrate. Labels change a little, so compare them with those of 32 bits before use.
    """
    shared = {id(weights): weights for weights in [*model.encoder.parameters(), *model.encoder.buffers()]}
    network = copy.deepcopy(model.encoder, shared)
    replace_linear(network, Int8Linear)
    return LoadedModel(model.tokenizer, network.eval())

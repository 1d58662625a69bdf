"""Linear layers with weights and inputs of 8 bits, multiplied by the CPU's own instructions.

torch's dynamic quantisation has one scale for a whole batch: on MiniLM one label in twenty changes, and what a text
gives depends on its neighbours. A scale for each token (Yao et al., ZeroQuant, 2022, arXiv 2206.01861) keeps both, and
one for each group of its values (group-wise, in the same paper) a third of the error that is left.
"""

from __future__ import annotations

import copy

import numpy as np
import torch

from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.labeling.network.packing import replace_linear
from airflow_provider_autoglm.labeling.network.rounding import restore, round_tokens

_LARGEST = 127
_SMALLEST_RANGE = 1e-12

# More groups of fewer values are more exact, and slower: the products of each are gone through once more.
_MOST_GROUPS = 4
_SMALLEST_GROUP = 192


class Int8Linear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer whose inputs and weights have a scale for each group of values, found for inputs as they come.

    In a group, weights are w = s·p and inputs x = m + r·q, with p and q of 8 bits and m the middle of a token's values.
    So x·w is s·r·(q·p) + m·s·sum(p), of which q·p is what the CPU multiplies.
    """

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        weights = layer.weight.detach()
        grouped = weights.view(len(weights), _groups(weights.shape[1]), -1).transpose(0, 1)
        scales = grouped.abs().amax(dim=2).clamp(min=_SMALLEST_RANGE) / _LARGEST
        rounded = (grouped / scales[:, :, None]).round()
        self.register_buffer("weight", rounded.to(torch.int8).contiguous().transpose(1, 2))
        self.register_buffer("scales", scales)
        self.register_buffer("sums", rounded.sum(dim=2) * scales)
        self.register_buffer("bias", scales.new_zeros(len(weights)) if layer.bias is None else layer.bias.detach())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Outputs float32[…, o] of inputs float32[…, k]; a token that is not finite makes no other one so."""
        tokens = values.reshape(-1, values.shape[-1]).contiguous()
        groups, width, outputs_of_a_token = self.weight.shape
        rounded = torch.empty(groups, len(tokens), width, dtype=torch.int8)
        steps, middles = np.empty((2, len(tokens), groups), np.float32)
        round_tokens(tokens.numpy(), rounded.numpy(), steps, middles)
        products = torch.empty(groups, len(tokens), outputs_of_a_token, dtype=torch.int32)
        for group in range(groups):
            torch._int_mm(rounded[group], self.weight[group], out=products[group])
        outputs = self.bias.repeat(len(tokens), 1)
        restore(products.numpy(), steps, middles, self.scales.numpy(), self.sums.numpy(), outputs.numpy())
        return outputs.view(*values.shape[:-1], outputs_of_a_token)


def quantised(model: LoadedModel) -> LoadedModel:
    """``model`` with linear layers of 8 bits; it is left as it is and shares all other weights with the copy.

    No texts are needed to calibrate. Labels change a little, so compare them with those of 32 bits before use.
    """
    shared = {id(weights): weights for weights in [*model.encoder.parameters(), *model.encoder.buffers()]}
    network = copy.deepcopy(model.encoder, shared)
    replace_linear(network, Int8Linear)
    return LoadedModel(model.tokenizer, network.eval())


def _groups(values: int) -> int:
    """How many groups of equal size ``values`` inputs are cut into."""
    most = max(1, min(_MOST_GROUPS, values // _SMALLEST_GROUP))
    return next(count for count in range(most, 0, -1) if values % count == 0)

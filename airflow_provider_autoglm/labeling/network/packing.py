"""Linear layers whose weights are laid out once as oneDNN multiplies them: the same numbers, in half the time or less.

What torch calls otherwise, MKL, is as fast on Intel's CPUs only.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache

import torch

from airflow_provider_autoglm.labeling.models import LoadedModel

_X86 = ("x86_64", "AMD64")


class PackedLinear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer float32[…, k] to float32[…, o] that keeps its weights packed, and nothing beside them."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.register_buffer("packed", torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach()))
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())

    @property
    def weight(self) -> torch.Tensor:
        """The weights as they were: float32[o, k], unpacked on every call."""
        return self.packed.to_dense()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """What the layer gives, for gradients by way of the unpacked weights."""
        if torch.is_grad_enabled():
            return torch.nn.functional.linear(values, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(values, self.packed, self.bias, "none", [], "")


def packed(model: LoadedModel) -> LoadedModel:
    """``model``, 32-bit on the CPU, with its linear layers packed in place where this CPU gains by that."""
    if platform.machine() in _X86 and _can_pack():
        replace_linear(model.encoder, PackedLinear)
    return model


@cache
def _can_pack() -> bool:
    """Whether this build of torch has the multiplication, which is no part of its public interface, and does it."""
    layer, values = torch.nn.Linear(16, 8), torch.ones(2, 16)
    try:
        with torch.inference_mode():
            return bool(torch.allclose(PackedLinear(layer)(values), layer(values), atol=1e-5))
    except (AttributeError, RuntimeError):
        return False


def replace_linear(network: torch.nn.Module, make: Callable[[torch.nn.Module], torch.nn.Module]) -> None:
    """Put in the place of each linear layer of ``network``, packed or not, what ``make`` makes of it."""
    # The exact type: heirs of it are read by their owners, past their forward.
    layers = [name for name, part in network.named_modules() if type(part) in {torch.nn.Linear, PackedLinear}]
    for name in layers:
        owner, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(owner), attribute, make(network.get_submodule(name)))

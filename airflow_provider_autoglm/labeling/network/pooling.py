"""One vector of the states that a network gives the tokens of a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

Pooling = Literal["mean", "cls", "lasttoken"]


def _mean(hidden: Any, mask: Any) -> Any:
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def _first(hidden: Any, mask: Any) -> Any:
    return hidden[:, 0]


def _last(hidden: Any, mask: Any) -> Any:
    import torch

    return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1).clamp(min=1) - 1]


POOLINGS: dict[Pooling, Callable[[Any, Any], Any]] = {"mean": _mean, "cls": _first, "lasttoken": _last}
"""Of states float[n, t, d] and a mask int64[n, t], in which padding (0) stands at the end: float[n, d].

``mean`` is that of Reimers and Gurevych, Sentence-BERT, 2019 (arXiv 1908.10084); ``cls`` takes the first token,
``lasttoken`` the last one of the text.
"""

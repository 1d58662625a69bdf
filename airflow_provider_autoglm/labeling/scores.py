"""From the numbers a model gives the classes to probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.labels import Vectors


def softmax(logits: NDArray[np.floating[Any]]) -> Vectors:
    """Probabilities float32[..., classes] of ``logits``; a row that is not finite stays so."""
    values = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # of infinities and of what is no number
        odds = np.exp(values - values.max(axis=-1, keepdims=True, initial=-np.inf))
        probabilities: Vectors = (odds / odds.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def shares(logits: Vectors) -> Vectors:
    """The sigmoids of independent ``logits``, scaled to a sum of 1: float32[..., classes]."""
    return softmax(-np.logaddexp(0.0, -logits.astype(np.float64)))

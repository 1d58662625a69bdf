"""What a labeler is, what it answers, and the measures of certainty drawn from its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Labels:
    """Probabilities of the classes ``names`` (columns) for each text (rows); a row the model broke on is not finite.

    ``abstained`` marks texts that belong to none of the classes, ``uncertainty`` (0 to 1) is the labeler's own measure;
    both have one entry a text, or are None where the labeler does not tell.
    """

    names: tuple[str, ...]
    probabilities: Vectors
    abstained: NDArray[np.bool_] | None = None
    uncertainty: Vectors | None = None


class Labeler(Protocol):
    """Gives each text a probability for each class."""

    @property
    def name(self) -> str:
        """Kind, model and settings, as they stand in the column ``labeler``."""
        ...

    def predict(self, texts: Sequence[str]) -> Labels:
        """Label ``texts``, in their order; an exception means that at least one of them breaks the model."""
        ...


@dataclass(frozen=True)
class Certainty:
    """How sure a labeler is of each text; all arrays have one entry a text.

    ``margin`` is the lead over the second class; ``uncertainty`` the entropy as a share of its maximum, 0 to 1.
    """

    best: NDArray[np.intp]
    score: Vectors
    margin: Vectors
    uncertainty: Vectors


def certainty_of(probabilities: Vectors) -> Certainty:
    """Measure finite ``probabilities`` of at least two classes."""
    p = probabilities.astype(np.float64)
    ranked = np.sort(p, axis=1)
    entropy = -np.sum(p * np.log(np.maximum(p, np.finfo(np.float64).tiny)), axis=1)
    return Certainty(
        best=np.argmax(probabilities, axis=1),
        score=ranked[:, -1].astype(np.float32),
        margin=(ranked[:, -1] - ranked[:, -2]).astype(np.float32),
        uncertainty=np.clip(entropy / np.log(p.shape[1]), 0.0, 1.0).astype(np.float32),
    )

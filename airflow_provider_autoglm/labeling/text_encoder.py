"""A sentence encoder as its makers want it used: prefix, pooling, and computations with dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.conventions import Conventions, conventions_of
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from airflow_provider_autoglm.labeling.unknown import unknown_to
from airflow_provider_autoglm.settings.label import LabelSettings


@dataclass(frozen=True)
class TextEncoder:
    """Turns texts into vectors of length 1."""

    network: TextNetwork
    conventions: Conventions

    @classmethod
    def load(cls, model: str, settings: LabelSettings) -> Self:
        """Load ``model``; see :meth:`TextNetwork.load` and :func:`conventions_of` for what is raised."""
        return cls(TextNetwork.load(model, settings), conventions_of(model))

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.network.dimensions

    def encode(self, texts: Sequence[str], *, passes: int = 0) -> Vectors:
        """One vector a text, float32[n, d], in order; a vector the model could not compute is not finite.

        :param passes: so many computations with dropout instead: float32[passes, n, d].
        """
        prefixed = [self.conventions.prefix + text for text in texts]
        return self.network.embed(prefixed, pooling=self.conventions.pooling, passes=passes)

    def unknown(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts are mostly words that the model does not know, so that their vector says nothing: bool[n]."""
        return unknown_to(self.network.tokenizer, texts)

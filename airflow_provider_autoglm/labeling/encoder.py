"""Sentence embeddings of a Hugging Face encoder that is handed in loaded."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.labeling.network import TextNetwork, normalised
from airflow_provider_autoglm.labeling.placed import Placed
from airflow_provider_autoglm.labeling.tokens import longest_input

__all__ = ["SentenceEncoder", "longest_input", "normalised"]


class SentenceEncoder:
    """Turns texts into vectors of length 1; equal texts give equal vectors up to rounding, whatever the batch.

    :param model: in 32 bits on the CPU.
    :param max_tokens: tokens of a text that are read, no more than the model can.
    :param batch_tokens: tokens of a batch, padding included.
    """

    def __init__(self, model: LoadedModel, *, max_tokens: int, batch_tokens: int) -> None:
        self._network = TextNetwork(Placed(model), max_tokens=max_tokens, batch_tokens=batch_tokens)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._network.dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, in order; a vector the model could not compute is not finite."""
        return self._network.embed(texts)

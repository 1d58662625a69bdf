"""Sentence embeddings of a Hugging Face encoder: mean-pooled last hidden state, normalised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.batching import batches
from airflow_provider_autoglm.labeling.labels import Vectors

_SMALLEST_NORM = 1e-12


class SentenceEncoder:
    """Turns texts into vectors of length 1; equal texts give equal vectors up to rounding, whatever the batch.

    Pooling: Reimers and Gurevych, Sentence-BERT, 2019 (arXiv 1908.10084).

    :param max_tokens: tokens of a text that are read, no more than the model can.
    :param batch_tokens: tokens of a batch, padding included.
    """

    def __init__(self, model: models.LoadedModel, *, max_tokens: int, batch_tokens: int) -> None:
        self._model = model
        self._max_tokens = min(max_tokens, longest_input(model))
        self._batch_tokens = batch_tokens

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model.encoder.config.hidden_size)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, in order; a vector the model could not compute is not finite."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        if not texts:
            return vectors
        tokens = self._model.tokenizer(
            list(texts),
            truncation=True,
            max_length=self._max_tokens,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        with _one_thread():
            for batch in batches([len(ids) for ids in tokens], self._batch_tokens):
                vectors[batch] = self._encode_batch([tokens[row] for row in batch])
        return vectors

    def _encode_batch(self, tokens: list[list[int]]) -> Vectors:
        import torch

        ids = torch.full((len(tokens), max(map(len, tokens))), self._model.tokenizer.pad_token_id or 0)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = torch.tensor(text, dtype=ids.dtype)
            mask[row, : len(text)] = 1
        with torch.inference_mode():
            hidden = self._model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            return normalised(((hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)).numpy())


def normalised(vectors: Vectors) -> Vectors:
    """``vectors`` scaled to length 1; a vector of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(norms, _SMALLEST_NORM)).astype(np.float32)
    return scaled


def longest_input(model: models.LoadedModel) -> int:
    """Tokens of a text that the model can read at most."""
    positions: Any = getattr(model.encoder.config, "max_position_embeddings", None)
    return min(int(model.tokenizer.model_max_length), int(positions or model.tokenizer.model_max_length))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread and give the process its number of threads back.

    Tasks share a machine's cores: two threads a task on a busy machine are up to ten times slower than one.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

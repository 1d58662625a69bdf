"""A loaded model that reads texts in batches of like length: vectors of an encoder, logits of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Self

import numpy as np

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.models import Head
from airflow_provider_autoglm.labeling.network.device import Hardware, place
from airflow_provider_autoglm.labeling.network.memory import Batch
from airflow_provider_autoglm.labeling.network.placed import Placed, placed
from airflow_provider_autoglm.labeling.network.pooling import POOLINGS, Pooling
from airflow_provider_autoglm.labeling.network.tokens import Tokens, longest_input, tokenise
from airflow_provider_autoglm.settings.label import LabelSettings

_MOST_TOKENS_ON_CPU = 512
_REGISTRY = "models:/"
_SMALLEST_NORM = 1e-12

Forward = Callable[[Any, Any, dict[str, Any]], Any]
"""Module, attention mask int64[n, t] and the other inputs; gives a tensor of n rows."""


class TextNetwork:
    """Runs texts through a model; equal texts give equal numbers up to rounding, whatever the batch.

    :param placed: the model where it runs.
    :param max_tokens: tokens of a text that are read, no more than the model can.
    :param batch_tokens: tokens of a batch, padding included; on the CPU no more than 512, since its caches do not hold
        what a layer gives for many more: 8 bits would be a third slower.
    """

    def __init__(self, placed: Placed, *, max_tokens: int, batch_tokens: int) -> None:
        self._placed = placed
        self._max_tokens = min(max_tokens, longest_input(placed.model))
        self._batch_tokens = min(batch_tokens, _MOST_TOKENS_ON_CPU) if self.device == "cpu" else batch_tokens

    @classmethod
    def load(
        cls,
        model: str,
        settings: LabelSettings,
        *,
        head: Head = "encoder",
        fetch_model: Callable[[str], str] | None = None,
    ) -> Self:
        """Load ``model``, or take the one that this process has in use with the same head, device and precision.

        :param fetch_model: gives the local folder of a model in the registry, ``models:/…``.

        :raises MissingExtraError: if torch is not installed.
        :raises ModelNotFoundError: if the model cannot be loaded.
        :raises UnavailableDeviceError: if the device or precision that is asked for is not there.
        :raises UnusableModelError: if a classifier has no trained head or cannot pad, or a model no dropout that
            ``mc_dropout`` asks for.
        """
        models.require_torch()
        folder = fetch_model(model) if fetch_model is not None and model.startswith(_REGISTRY) else model
        network = cls(
            placed(folder, head, place(settings, Hardware.found())),
            max_tokens=settings.max_tokens,
            batch_tokens=settings.batch_tokens,
        )
        if settings.mc_dropout and not _dropout_of(network.module):
            raise UnusableModelError(model, "it has no dropout, so passes with it would not differ", "label.mc_dropout")
        return network

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers."""
        return self._placed.model.tokenizer

    @property
    def module(self) -> Any:
        """The torch module, in evaluation mode, on ``device``; with INT8 it has no gradients."""
        return self._placed.model.encoder

    @property
    def config(self) -> Any:
        """The configuration of transformers."""
        return self._placed.model.encoder.config

    @property
    def device(self) -> str:
        """Where the module is: cpu, cuda or mps."""
        return self._placed.placement.device

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read."""
        return self._max_tokens

    @property
    def dimensions(self) -> int:
        """Length of a vector of ``embed``."""
        return int(self.config.hidden_size)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a classifier, in the order of its logits."""
        return tuple(self.config.id2label[number] for number in range(self.config.num_labels))

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean", passes: int = 0) -> Vectors:
        """A vector of length 1 for each text, float32[n, d]; one that the model cannot compute is not finite.

        :param pooling: how the last hidden states of the tokens become one vector.
        :param passes: so many computations with dropout, as in ``logits``: float32[passes, n, d].
        """
        tokens = tokenise(self._placed.model, texts, None, self._max_tokens)
        vectors: Vectors = normalised(self._computed(tokens, self.dimensions, _pooled(pooling), passes))
        return vectors

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, passes: int = 0) -> Vectors:
        """The logits of a classifier for each text, float32[n, classes].

        :param pairs: the second sequence of each text.
        :param passes: so many computations with active dropout instead (Gal and Ghahramani, 2016, arXiv 1506.02142):
            float32[passes, n, classes], the same numbers for the same texts on every call.
        """
        tokens = tokenise(self._placed.model, texts, pairs, self._max_tokens)
        return self._computed(tokens, int(self.config.num_labels), _logits, passes)

    def _computed(self, tokens: Tokens, width: int, forward: Forward, passes: int) -> Vectors:
        values = np.zeros((max(1, passes), len(tokens.ids), width), np.float32)
        for number in range(len(values)):
            with _dropout(self.module, self.device, seed=number) if passes else nullcontext():
                self._fill(values[number], tokens, forward)
        return values if passes else values[0]

    def _fill(self, values: Vectors, tokens: Tokens, forward: Forward) -> None:
        import torch

        def compute(batch: Batch) -> None:
            mask, inputs = self._inputs(tokens, batch)
            values[batch] = forward(self.module, mask, inputs).float().cpu().numpy()

        with one_thread(), torch.inference_mode():
            self._placed.budget.run(tokens.lengths, self._batch_tokens, compute)

    def _inputs(self, tokens: Tokens, batch: Batch) -> tuple[Any, dict[str, Any]]:
        import torch

        lengths = torch.tensor([len(tokens.ids[row]) for row in batch])
        mask = (torch.arange(int(lengths.max()))[None, :] < lengths[:, None]).long()
        inputs = {"input_ids": _padded([tokens.ids[row] for row in batch], mask, self.tokenizer.pad_token_id or 0)}
        if tokens.types is not None:
            inputs["token_type_ids"] = _padded([tokens.types[row] for row in batch], mask, 0)
        return mask.to(self.device), {name: values.to(self.device) for name, values in inputs.items()}


def normalised(vectors: Vectors) -> Vectors:
    """``vectors`` scaled to length 1; a vector of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(norms, _SMALLEST_NORM)).astype(np.float32)
    return scaled


@contextmanager
def one_thread() -> Iterator[None]:
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


def _pooled(pooling: Pooling) -> Forward:
    def forward(module: Any, mask: Any, inputs: dict[str, Any]) -> Any:
        return POOLINGS[pooling](module(attention_mask=mask, **inputs).last_hidden_state.float(), mask)

    return forward


def _logits(module: Any, mask: Any, inputs: dict[str, Any]) -> Any:
    return module(attention_mask=mask, **inputs).logits


def _padded(rows: list[list[int]], mask: Any, padding: int) -> Any:
    import torch

    padded = torch.full(mask.shape, padding)
    padded[mask.bool()] = torch.tensor([number for row in rows for number in row], dtype=padded.dtype)
    return padded


def _dropout_of(module: Any) -> list[Any]:
    import torch

    return [part for part in module.modules() if isinstance(part, torch.nn.Dropout) and part.p > 0]


@contextmanager
def _dropout(module: Any, device: str, *, seed: int) -> Iterator[None]:
    """Drop as in training, by a seed of our own, and nothing else as in training."""
    import torch

    parts = _dropout_of(module)
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.manual_seed(seed)
        for part in parts:
            part.train()
        try:
            yield
        finally:
            for part in parts:
                part.eval()

"""Running a classifier in torch: its tokens, batches of like length, and the logits they give."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.batching import batches
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.network.tokens import longest_input
from airflow_provider_autoglm.settings import TrainSettings

SETTING = "train.base_model"

_BATCH_TOKENS = 2_048


def load_classifier(settings: TrainSettings, labels: Sequence[str]) -> models.LoadedModel:
    """The base model with a head for ``labels``, the same weights for the same seed.

    :raises MissingExtraError: if torch is not installed.
    :raises ModelNotFoundError: if the model cannot be loaded.
    :raises UnusableModelError: if its tokenizer cannot be packaged, or cannot pad.
    """
    from transformers import set_seed

    set_seed(settings.seed)
    model = models.load(settings.base_model, classes=labels, setting=SETTING)
    if not model.tokenizer.is_fast:
        raise UnusableModelError(settings.base_model, "its tokenizer has no tokenizer.json", SETTING)
    if model.tokenizer.pad_token_id is None:
        raise UnusableModelError(settings.base_model, "its tokenizer has no padding token", SETTING)
    return model


def tokens_read(model: models.LoadedModel, settings: TrainSettings) -> int:
    """Tokens of a text that the model reads: ``max_tokens``, or fewer if it can no more."""
    return min(settings.max_tokens, longest_input(model))


def tokenised(model: models.LoadedModel, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """The tokens of each text, cut to ``max_tokens``."""
    if not texts:
        return []
    encoded = model.tokenizer(list(texts), truncation=True, max_length=max_tokens, return_attention_mask=False)
    return list(encoded["input_ids"])


def predict_logits(
    model: models.LoadedModel, tokens: Sequence[list[int]], report: Callable[[int], None] = lambda done: None
) -> Vectors:
    """The logits of each text; ``report`` gets the number of texts done after each batch."""
    import torch
    from transformers import DataCollatorWithPadding

    padded = DataCollatorWithPadding(model.tokenizer)
    logits = np.zeros((len(tokens), model.encoder.config.num_labels), np.float32)
    done = 0
    with torch.inference_mode():
        for batch in batches([len(ids) for ids in tokens], _BATCH_TOKENS):
            logits[batch] = model.encoder(**padded([{"input_ids": tokens[row]} for row in batch])).logits.numpy()
            done += len(batch)
            report(done)
    return logits


@contextmanager
def configured_threads() -> Iterator[None]:
    """Compute on the threads that ``OMP_NUM_THREADS`` gives, else on one, and give the process its own number back.

    Tasks share a machine's cores: two threads a task on a busy machine are up to ten times slower than one.
    """
    import torch

    threads = torch.get_num_threads()
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def parameters_are_finite(network: Any) -> bool:
    """Whether every weight of ``network`` is a finite number."""
    return all(bool(weights.isfinite().all()) for weights in network.parameters())

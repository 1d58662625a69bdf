"""A trained classifier as ONNX with two outputs, logits and sentence embedding, checked against torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime
import torch
from transformers import DataCollatorWithPadding

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.training.network import SETTING, tokenised

OUTPUTS = ("logits", "embedding")

_LARGEST_DIFFERENCE = 1e-3
_EXAMPLES = ("A text that is read to trace the network.", "Another.")
_NOISY_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class LogitsAndEmbedding(torch.nn.Module):  # type: ignore[misc]
    """The classifier with its sentence embedding: the mean of its last hidden state over the text, normalised."""

    def __init__(self, classifier: torch.nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [n, classes] and embedding [n, d] of tokens [n, t]."""
        output = self.classifier(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        hidden = output.hidden_states[-1]
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return output.logits, torch.nn.functional.normalize(mean, dim=1)


def export_onnx(model: models.LoadedModel, path: str, settings: TrainSettings, *, max_tokens: int) -> None:
    """Write ``model`` to ``path`` with inputs ``input_ids`` and ``attention_mask`` (int64[n, t]).

    :raises UnusableModelError: if ONNX Runtime computes something else than torch on texts of mixed lengths.
    """
    network = LogitsAndEmbedding(model.encoder).eval()
    ids, mask = _inputs(model, _EXAMPLES, max_tokens)
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence")
    with _quietly():
        program = torch.onnx.export(
            network,
            (ids, mask),
            dynamo=True,
            verbose=False,
            input_names=["input_ids", "attention_mask"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"input_ids": {0: batch, 1: sequence}, "attention_mask": {0: batch, 1: sequence}},
        )
        _rename_inner_values(program.model.graph)
        program.save(path)
    _check(network, path, model, settings, max_tokens)


def _rename_inner_values(graph: Any) -> None:
    """A value within the network may have got the name of an output, which ONNX Runtime refuses."""
    outputs = {id(value) for value in graph.outputs}
    inner = [value for node in graph for value in node.outputs if value.name in OUTPUTS and id(value) not in outputs]
    for value in inner:
        value.name = f"inner_{value.name}"


def _check(
    network: torch.nn.Module, path: str, model: models.LoadedModel, settings: TrainSettings, max_tokens: int
) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for texts in _texts_of_mixed_lengths(max_tokens):
        ids, mask = _inputs(model, texts, max_tokens)
        with torch.inference_mode():
            expected = network(ids, mask)
        found = session.run(list(OUTPUTS), {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        for name, one, other in zip(OUTPUTS, expected, found, strict=True):
            difference = float(np.abs(one.numpy() - other).max())
            if not difference <= _LARGEST_DIFFERENCE:
                raise UnusableModelError(
                    settings.base_model, f"the {name} of its ONNX file differ by {difference:g} from torch", SETTING
                )


def _texts_of_mixed_lengths(max_tokens: int) -> Iterator[Sequence[str]]:
    long = "many words make a long text " * max_tokens
    yield ("",)
    yield ("short", long)
    yield ("", "one", "two words", "three of them", "a little longer than the others before it")


def _inputs(model: models.LoadedModel, texts: Sequence[str], max_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    padded = DataCollatorWithPadding(model.tokenizer)(
        [{"input_ids": ids} for ids in tokenised(model, texts, max_tokens)]
    )
    return padded["input_ids"], padded["attention_mask"]


@contextmanager
def _quietly() -> Iterator[None]:
    """The exporter prints its steps, and warns of libraries that nobody asked for."""
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

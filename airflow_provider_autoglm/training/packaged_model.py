"""The code of a packaged model: copied into the package, run by MLflow, and in need of nothing of ours.

It imports onnxruntime, tokenizers, numpy, pandas and MLflow alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from tokenizers import Tokenizer

_TEXTS_OF_A_RUN = 32  # bounds the memory of a large request


class TextClassifier(PythonModel):
    """Logits, sentence embedding, label and score of each text."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load network and tokenizer; the network computes on one thread."""
        config: dict[str, Any] = context.model_config
        self.labels: list[str] = config["labels"]
        self.tokenizer = Tokenizer.from_file(context.artifacts["tokenizer.json"])
        self.tokenizer.enable_truncation(config["max_tokens"])
        self.tokenizer.enable_padding(pad_id=config["pad_token_id"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            context.artifacts["model.onnx"], options, providers=["CPUExecutionProvider"]
        )
        self.dimensions: int = self.session.get_outputs()[1].shape[1]

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> dict[str, Any]:
        """Answer the texts in the first column: ``logits`` and ``embedding`` (float32), ``label``, ``score`` (float32).

        The embedding is the mean-pooled last hidden state, normalised; the score the softmax of the label's logit.
        """
        texts = [str(text) for text in model_input.iloc[:, 0]]  # MLflow makes a table of a list of texts
        logits = np.zeros((len(texts), len(self.labels)), np.float32)
        embedding = np.zeros((len(texts), self.dimensions), np.float32)
        for rows in _runs(len(texts)):
            logits[rows], embedding[rows] = self._run(texts[rows])
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return {
            "logits": logits,
            "embedding": embedding,
            "label": [self.labels[best] for best in logits.argmax(axis=1)],
            "score": (odds.max(axis=1) / odds.sum(axis=1)).astype(np.float32),
        }

    def _run(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        encoded = self.tokenizer.encode_batch(texts)
        logits, embedding = self.session.run(
            ["logits", "embedding"],
            {
                "input_ids": np.array([text.ids for text in encoded], np.int64),
                "attention_mask": np.array([text.attention_mask for text in encoded], np.int64),
            },
        )
        return logits, embedding


def _runs(count: int) -> Iterator[slice]:
    return (slice(first, first + _TEXTS_OF_A_RUN) for first in range(0, count, _TEXTS_OF_A_RUN))


mlflow.models.set_model(TextClassifier())

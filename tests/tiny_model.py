"""The code of a tiny packaged model (models-from-code): it answers or misbehaves as its configuration says."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

_DIMENSIONS = 8


class TinyModel(PythonModel):
    """Gives a text the first label whose name occurs in it, unless ``answer`` says otherwise; no machine learning."""

    def load_context(self, context: PythonModelContext) -> None:
        """Take the configuration; ``unloadable`` fails here and ``slow_load`` takes its time."""
        config: dict[str, Any] = context.model_config
        self.labels: list[str] = config["labels"]
        self.answer: str = config["answer"]
        self.when: str = config["when"]
        self.seconds: float = config["seconds"]
        if self.answer == "unloadable":
            raise RuntimeError("this model cannot be loaded")
        if self.answer == "slow_load":
            time.sleep(self.seconds)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> dict[str, Any]:
        """Honour the contract of a packaged model, or break it as ``answer`` says."""
        texts = [str(text) for text in model_input.iloc[:, 0]]  # lists arrive as a table of one column
        logits = np.stack([self._logits(text) for text in texts]) if texts else np.zeros((0, len(self.labels)))
        logits = logits.astype(np.float32)
        is_hit = np.array([self.when in text for text in texts], np.bool_)
        embedding = np.stack([_embedding(text) for text in texts]) if texts else np.zeros((0, _DIMENSIONS), np.float32)
        if is_hit.any():
            logits = self._misbehave(logits, is_hit)
        odds = np.exp(logits)
        best = logits.argmax(axis=1)
        return {
            "logits": logits,
            "embedding": embedding,
            "label": [self.labels[row] for row in best],
            "score": (odds.max(axis=1) / odds.sum(axis=1)).astype(np.float32),
        }

    def _logits(self, text: str) -> np.ndarray:
        named = [label for label in self.labels if label.lower() in text.lower()]
        chosen = {"first": self.labels[0], "last": self.labels[-1]}.get(self.answer, (named or self.labels)[0])
        return 4.0 * np.eye(len(self.labels))[self.labels.index(chosen)]

    def _misbehave(self, logits: np.ndarray, is_hit: np.ndarray) -> np.ndarray:
        if self.answer == "crash":
            os._exit(139)
        if self.answer == "error":
            raise RuntimeError("this model cannot answer")
        if self.answer == "slow":
            time.sleep(self.seconds)
        if self.answer == "nan":
            logits[is_hit] = np.nan
        return logits[:, :-1] if self.answer == "wrong_shape" else logits


def _embedding(text: str) -> np.ndarray:
    digest = np.frombuffer(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:_DIMENSIONS], np.uint8)
    vector = digest.astype(np.float32) - 127.5
    return vector / np.linalg.norm(vector)


mlflow.models.set_model(TinyModel())

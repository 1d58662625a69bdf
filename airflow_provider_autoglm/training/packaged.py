"""Packaged models on the local disk: opened through MLflow and asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import Model
from numpy.typing import NDArray

from airflow_provider_autoglm.exceptions import DamagedModelError
from airflow_provider_autoglm.labeling.labels import Vectors

FORMAT_VERSION = 1
METADATA_KEY = "autoglm"


@dataclass(frozen=True)
class Answers:
    """What a model says of each text: ``logits`` float32[n, classes], ``embedding`` float32[n, d], ``labels``."""

    logits: Vectors
    embedding: Vectors
    labels: tuple[str, ...]

    @property
    def is_valid(self) -> NDArray[np.bool_]:
        """One truth value a text: whether all its numbers are finite."""
        numbers = np.concatenate([self.logits, self.embedding], axis=1)
        valid: NDArray[np.bool_] = np.isfinite(numbers).all(axis=1)
        return valid


@dataclass(frozen=True)
class PackagedModel:
    """A packaged model; ``labels`` are in the order of its logits."""

    folder: str
    labels: tuple[str, ...]
    max_tokens: int
    base_model: str
    model: Any = field(repr=False)

    @classmethod
    def open(cls, folder: str) -> Self:
        """Load the package in ``folder``; its code runs.

        :raises DamagedModelError: if it is no packaged model, is of a newer format, or cannot be loaded.
        """
        try:
            about = (Model.load(folder).metadata or {}).get(METADATA_KEY)
            if about is None:
                raise DamagedModelError(folder, f"its MLmodel has no metadata {METADATA_KEY!r}")
            if about["format_version"] > FORMAT_VERSION:
                raise DamagedModelError(folder, f"it is of format {about['format_version']}, newer than this package")
            model = mlflow.pyfunc.load_model(os.path.abspath(folder))
            return cls(folder, tuple(about["labels"]), int(about["max_tokens"]), str(about["base_model"]), model)
        except DamagedModelError:
            raise
        except Exception as error:  # whatever the code in the package raises
            raise DamagedModelError(folder, f"{type(error).__name__}: {error}") from error

    def predict(self, texts: Sequence[str]) -> Answers:
        """Ask the model.

        :raises DamagedModelError: if it raises, or gives something else than one entry a text and class.
        """
        if not texts:
            return Answers(np.zeros((0, len(self.labels)), np.float32), np.zeros((0, 0), np.float32), ())
        try:
            answer = self.model.predict(pd.DataFrame({"text": list(texts)}))
            answers = Answers(
                np.asarray(answer["logits"], np.float32),
                np.asarray(answer["embedding"], np.float32),
                tuple(answer["label"]),
            )
        except Exception as error:  # whatever the code in the package raises
            raise DamagedModelError(self.folder, f"{type(error).__name__}: {error}") from error
        wanted = (len(texts), len(self.labels))
        if (
            answers.logits.shape != wanted
            or answers.embedding.shape[:-1] != wanted[:1]
            or len(answers.labels) != wanted[0]
        ):
            shapes = f"logits {answers.logits.shape}, embedding {answers.embedding.shape}, {len(answers.labels)} labels"
            raise DamagedModelError(self.folder, f"it answers {wanted[0]} texts of {wanted[1]} classes by {shapes}")
        return answers

"""Running a labeler over texts of which some may break it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.batching import isolate_failures
from airflow_provider_autoglm.labeling.labels import Labeler, Vectors


@dataclass(frozen=True)
class Predictions:
    """What a labeler makes of each text; all arrays have one row a text.

    ``has_failed`` marks texts that made it raise. ``uncertainty`` is not finite where the labeler has no measure of its
    own.
    """

    probabilities: Vectors
    abstained: NDArray[np.bool_]
    uncertainty: Vectors
    has_failed: NDArray[np.bool_]

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Whether the labeler gave probabilities."""
        usable: NDArray[np.bool_] = ~self.has_failed & np.isfinite(self.probabilities).all(axis=1)
        return usable


def predict_each(labeler: Labeler, texts: Sequence[str], classes: int) -> Predictions:
    """Label ``texts``; one that makes the labeler raise is found, and its neighbours are labelled all the same."""

    def compute(some: Sequence[str]) -> Vectors:
        found = labeler.predict(some)
        nothing = np.full(len(some), np.nan, np.float32)
        abstained = np.zeros(len(some), np.float32) if found.abstained is None else found.abstained
        uncertainty = nothing if found.uncertainty is None else found.uncertainty
        return np.column_stack([found.probabilities, abstained, uncertainty]).astype(np.float32)

    values, failed = isolate_failures(compute, texts, classes + 2)
    return Predictions(values[:, :classes], values[:, classes] > 0, values[:, classes + 1], failed)

"""One side of a comparison: texts as a model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.exceptions import DifferentDimensionsError
from airflow_provider_autoglm.state.served import Served


@dataclass(frozen=True)
class Sample:
    """Texts that one version of a model answered, or was trained on.

    :param embeddings: float32[n, d], of that version; embeddings of different versions are never compared.
    :param labels: n labels, as the model predicted them; in a sample of its training data, as they were given.
    :param texts: n texts, None where one was not kept; None if none was.
    """

    embeddings: NDArray[np.float32]
    labels: Sequence[str]
    texts: Sequence[str | None] | None = None

    def __len__(self) -> int:
        return len(self.embeddings)


def sample_of(served: Sequence[Served]) -> Sample:
    """Rows of the prediction log as a sample, without their texts.

    :raises DifferentDimensionsError: if the embeddings differ in length, so that they are not of one model.
    """
    vectors = [np.frombuffer(row.embedding, "<f2") for row in served]
    dimensions = sorted({len(vector) for vector in vectors})
    if len(dimensions) > 1:
        raise DifferentDimensionsError(dimensions[0], dimensions[-1])
    embeddings = np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, 0), np.float32)
    return Sample(embeddings, [row.label for row in served])

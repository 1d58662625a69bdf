"""One side of a comparison: texts as a model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

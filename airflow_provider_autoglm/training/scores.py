"""Scores of a classifier, from counts alone: rows can be added table by table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Confusion:
    """How often each class (row) got each answer (column); the last column is an answer that is no class."""

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, truth: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> Self:
        """Count ``answers`` to texts of the classes ``truth``; -1 is an answer that is no class."""
        counts = np.zeros((classes, classes + 1), np.int64)
        np.add.at(counts, (truth, answers), 1)
        return cls(counts)

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.counts + other.counts)

    @property
    def rows(self) -> int:
        """Texts that were counted."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share of right answers; 0 without any."""
        return float(np.trace(self.counts) / max(self.rows, 1))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur; 0 if none does."""
        occurs = self.counts.sum(axis=1) > 0
        return float(self._f1[occurs].mean()) if occurs.any() else 0.0

    def to_dict(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """Precision, recall, F1 and rows of each class, and the counts, as JSON types."""
        columns = zip(labels, self._precision, self._recall, self._f1, self.counts.sum(axis=1), strict=True)
        return {
            "classes": {
                label: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(rows)}
                for label, precision, recall, f1, rows in columns
            },
            "confusion": {
                "truth": list(labels),
                "answer": [*labels, None],
                "counts": self.counts.tolist(),
            },
        }

    @property
    def _right(self) -> NDArray[np.int64]:
        return np.diagonal(self.counts)

    @property
    def _precision(self) -> NDArray[np.float64]:
        return _share(self._right, self.counts[:, :-1].sum(axis=0))

    @property
    def _recall(self) -> NDArray[np.float64]:
        return _share(self._right, self.counts.sum(axis=1))

    @property
    def _f1(self) -> NDArray[np.float64]:
        return _share(2 * self._right, self.counts[:, :-1].sum(axis=0) + self.counts.sum(axis=1))


def _share(counts: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = counts / np.maximum(of, 1)
    return shares

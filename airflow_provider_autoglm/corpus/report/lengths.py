"""How long texts are, counted in bins that grow by a factor of about three."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.report.bar_chart import Bar

BIN_STARTS = (0, 1, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
"""Characters from which the bins begin; the first is of empty texts alone, the last has no end."""

_LABELS = ("0", "1", "30", "100", "300", "1k", "3k", "10k", "30k", "100k", "300k", "1M")


@dataclass(frozen=True)
class Lengths:
    """``counts[n]`` texts are as long as ``BIN_STARTS[n]`` or longer, and shorter than the next; in characters."""

    counts: tuple[int, ...]
    texts: int
    chars: int

    @classmethod
    def of(cls, tables: Iterable[pa.Table]) -> Lengths:
        """Those of the column ``text``; rows without one count as empty."""
        counts = np.zeros(len(BIN_STARTS), np.int64)
        chars = 0
        for table in tables:
            lengths = pc.fill_null(pc.utf8_length(table["text"]), 0).to_numpy()
            counts += np.bincount(np.searchsorted(BIN_STARTS, lengths, side="right") - 1, minlength=counts.size)
            chars += int(lengths.sum())
        return cls(tuple(counts.tolist()), int(counts.sum()), chars)

    @property
    def mean(self) -> float:
        """Characters of a text."""
        return self.chars / self.texts if self.texts else 0.0

    def bars(self) -> list[Bar]:
        """One bar a bin, named by where it begins."""
        return [Bar(label, count) for label, count in zip(_LABELS, self.counts, strict=True)]

    def to_dict(self) -> dict[str, object]:
        """JSON types: how many texts have at least so many characters, and fewer than the next number."""
        bins = {str(start): count for start, count in zip(BIN_STARTS, self.counts, strict=True)}
        return {"texts": self.texts, "characters": self.chars, "from_characters": bins}

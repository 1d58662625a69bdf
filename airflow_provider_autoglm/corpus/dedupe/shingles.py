"""Sets of 4-grams of documents, hashed and sorted, kept on disk while a corpus is compared."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.tokens import CHARACTERS_OF_A_WINDOW, tokenise

_TEXTS_OF_A_BATCH = 128


@dataclass(frozen=True)
class Shingles:
    """The set of document ``n`` is ``values[starts[n]:ends[n]]``, ascending; a text without words has an empty one."""

    values: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class ShinglesOnDisk:
    """Collects the sets of some of ``documents`` documents in a temporary file, so that memory holds one batch."""

    def __init__(self, documents: int) -> None:
        self._file = tempfile.TemporaryFile(prefix="autoglm-shingles-")  # noqa: SIM115 - goes with this object
        self._size = 0
        self._starts = np.zeros(documents, np.int64)
        self._ends = np.zeros(documents, np.int64)

    def add(self, documents: Sequence[int] | NDArray[np.int64], texts: Sequence[str]) -> None:
        """Store the sets of ``texts``, which belong to the document numbers ``documents``."""
        for start in range(0, len(texts), _TEXTS_OF_A_BATCH):
            tokens = tokenise(texts[start : start + _TEXTS_OF_A_BATCH])
            values, bounds = _sets(tokens.codes, tokens.bounds)
            self._file.write(values.tobytes())
            batch = documents[start : start + _TEXTS_OF_A_BATCH]
            self._starts[batch] = self._size + bounds[:-1]
            self._ends[batch] = self._size + bounds[1:]
            self._size += values.size

    def read(self) -> Shingles:
        """All that was added; the values stay on disk and are paged in where they are looked at."""
        self._file.flush()
        if self._size == 0:
            return Shingles(np.empty(0, np.uint64), self._starts, self._ends)
        values = np.memmap(self._file, np.uint64, mode="r")
        return Shingles(np.asarray(values), self._starts, self._ends)


@kernel
def _mixed(value: np.uint64) -> np.uint64:
    """A bijection that spreads 64 bits (finaliser of SplitMix64, Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@kernel
def _sets(codes: NDArray[np.uint32], bounds: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct windows of each text, hashed; a text shorter than a window is one window."""
    values = np.empty(codes.size, np.uint64)
    set_bounds = np.zeros(bounds.size, np.int64)
    size = 0
    for text in range(bounds.size - 1):
        start, end = bounds[text], bounds[text + 1]
        windows = max(end - start - CHARACTERS_OF_A_WINDOW + 1, min(end - start, 1))
        hashed = np.empty(windows, np.uint64)
        for window in range(windows):
            value = np.uint64(0)
            for position in range(start + window, min(start + window + CHARACTERS_OF_A_WINDOW, end)):
                value = _mixed(value ^ np.uint64(codes[position] + 1))
            hashed[window] = value
        hashed.sort()
        for window in range(windows):
            if window == 0 or hashed[window] != hashed[window - 1]:
                values[size] = hashed[window]
                size += 1
        set_bounds[text + 1] = size
    return values[:size], set_bounds

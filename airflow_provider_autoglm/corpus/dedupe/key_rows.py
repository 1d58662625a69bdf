"""The MinHash keys of the documents that are compared, one row a document: prints have them one column a band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.prints import Prints


class KeyRows:
    """Brings the rows of the documents that are compared, in order, as many at a time as are asked for."""

    def __init__(self, prints: Prints, is_compared: NDArray[np.bool_], bands: Sequence[str]) -> None:
        self._bands = bands
        self._pages = iter_key_rows(prints, is_compared, bands)
        self._waiting = np.empty((0, len(bands)), np.uint32)

    def take(self, documents: int) -> NDArray[np.uint32]:
        """The keys of the next documents, ``uint32[documents, bands]``."""
        if not self._bands:
            return np.empty((documents, 0), np.uint32)
        while len(self._waiting) < documents:
            self._waiting = np.concatenate((self._waiting, next(self._pages)))
        taken, self._waiting = self._waiting[:documents], self._waiting[documents:]
        return taken


def iter_key_rows(prints: Prints, is_compared: NDArray[np.bool_], bands: Sequence[str]) -> Iterator[NDArray[np.uint32]]:
    """The keys in ``bands`` of the documents that are compared, page by page."""
    seen = 0
    for table in prints.iter_tables(bands):
        yield side_by_side(table, bands)[is_compared[seen : seen + table.num_rows]]
        seen += table.num_rows


def side_by_side(prints: pa.Table, bands: Sequence[str]) -> NDArray[np.uint32]:
    """The keys in ``bands`` of all rows of ``prints``, ``uint32[rows, bands]``."""
    keys = np.empty((prints.num_rows, len(bands)), np.uint32)
    for band, name in enumerate(bands):
        keys[:, band] = prints[name].to_numpy()
    return keys

"""Names of documents and clusters on disk: their order is a number each, and few are ever read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.scratch import ScratchArray

NO_NAME = -1
_NAMES_AT_ONCE = 65_536
_BYTES_OF_A_STEP = 7
"""By which names are compared at once: one number of 64 bits, with how many of them a name has."""


class NamesOnDisk:
    """Strings in temporary files, known by their places: in the order in which they were added."""

    def __init__(self) -> None:
        self._bytes = ScratchArray(np.uint8, "names")
        self._ends = ScratchArray(np.int64, "names")
        self._ends.append(np.zeros(1, np.int64))
        self._extremes: list[bytes] = []

    @property
    def size(self) -> int:
        """How many there are."""
        return self._ends.size - 1

    def add(self, names: pa.Array) -> None:
        """Put ``names``, large strings without nulls, behind those that are there.

        :raises StorageError: if the temporary folder cannot be written to.
        """
        if len(names) == 0:
            return
        _, offsets, data = names.buffers()
        bounds = np.frombuffer(offsets, np.int64)[names.offset : names.offset + len(names) + 1]
        self._ends.append(bounds[1:] - bounds[0] + self._bytes.size)
        self._bytes.append(np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]])
        extremes = pc.min_max(names.cast(pa.large_binary())).as_py()
        self._extremes = [min([*self._extremes, extremes["min"]]), max([*self._extremes, extremes["max"]])]

    def take(self, places: NDArray[np.signedinteger[Any]]) -> pa.Array:
        """The names at ``places``, null for ``NO_NAME``.

        :raises OSError: if the temporary files cannot be read.
        """
        is_named = places != NO_NAME
        bounds = self._bounds(places[is_named])
        sizes = bounds[:, 1] - bounds[:, 0]
        read = pa.py_buffer(self._bytes.read(bounds[:, 0], sizes))
        offsets = pa.py_buffer(np.append(0, np.cumsum(sizes)))
        names = pa.Array.from_buffers(pa.large_string(), sizes.size, [None, offsets, read])
        return names.take(pa.array(np.cumsum(is_named) - 1, mask=~is_named))

    def ranks(self) -> NDArray[np.uint32]:
        """For each name, how many others come before it in the order of their bytes; equal ones have the same.

        All are compared by their first bytes, those that agree in these by the next ones: memory holds numbers. What
        all names begin with is passed over: it is what the first and the last one of them begin with.
        """
        ranks = np.zeros(self.size, np.uint32)
        tied = np.arange(self.size, dtype=np.uint32)
        seen = _shared_bytes(*self._extremes) if self._extremes else 0
        while tied.size:
            values = self._values(tied, seen)
            order = np.lexsort((values, ranks[tied]))
            tied = tied[order[_refine(ranks, tied, values, order)]]
            seen += _BYTES_OF_A_STEP
        return ranks

    def _bounds(self, places: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Where each name begins and ends, ``int64[names, 2]``."""
        return self._ends.read(places.astype(np.int64), np.full(places.size, 2)).reshape(-1, 2)

    def _values(self, places: NDArray[np.uint32], seen: int) -> NDArray[np.uint64]:
        """For each name its bytes from ``seen`` on as a number (:func:`_packed`)."""
        values = np.empty(places.size, np.uint64)
        for start in range(0, places.size, _NAMES_AT_ONCE):
            bounds = self._bounds(places[start : start + _NAMES_AT_ONCE])
            left = np.maximum(bounds[:, 1] - bounds[:, 0] - seen, 0)
            sizes = np.minimum(left, _BYTES_OF_A_STEP)
            read = self._bytes.read(bounds[:, 0] + seen, sizes)
            values[start : start + _NAMES_AT_ONCE] = _packed(read, sizes, np.minimum(left, _BYTES_OF_A_STEP + 1))
        return values


def _shared_bytes(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    differences = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differences, min(len(one), len(other)))


@kernel
def _packed(data: NDArray[np.uint8], sizes: NDArray[np.int64], left: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The next bytes of each name as a number, and below these how many are ``left``: in the order of the names."""
    packed = np.zeros(sizes.size, np.uint64)
    place = 0
    for n in range(sizes.size):
        for byte in range(sizes[n]):
            packed[n] |= np.uint64(data[place + byte]) << np.uint64(8 * (_BYTES_OF_A_STEP - byte))
        packed[n] |= np.uint64(left[n])
        place += sizes[n]
    return packed


@kernel
def _refine(
    ranks: NDArray[np.uint32], names: NDArray[np.uint32], values: NDArray[np.uint64], order: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Give each run of names with one rank and one value a rank of its own, going by ``order``, which sorts by both.

    Returns which names, in that order, may still differ from others in their run.
    """
    is_tied = np.zeros(order.size, np.bool_)
    group = start = 0
    rank = ranks[names[order[0]]]
    for end in range(1, order.size + 1):
        is_last = end == order.size or ranks[names[order[end]]] != rank
        value = values[order[start]]
        if not is_last and values[order[end]] == value:
            continue
        for n in range(start, end):
            ranks[names[order[n]]] = rank + np.uint32(start - group)
            is_tied[n] = end - start > 1 and value & np.uint64(0xFF) > _BYTES_OF_A_STEP
        start = end
        if is_last and end < order.size:
            group, rank = end, ranks[names[order[end]]]
    return is_tied

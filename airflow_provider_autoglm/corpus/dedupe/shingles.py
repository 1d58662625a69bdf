"""Sets of 4-grams of documents, hashed and sorted, kept on disk while documents are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.scratch import ScratchArray
from airflow_provider_autoglm.corpus.dedupe.tokens import CHARACTERS_OF_A_WINDOW, tokenise

# A window is hashed by an odd number for each of its characters and one for how many they are, then mixed (finaliser of
# MurmurHash3, Appleby).
_OF_FIRST, _OF_SECOND, _OF_THIRD, _OF_FOURTH = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xC2B2AE3D27D4EB4F),
    np.uint64(0x165667B19E3779F9),
    np.uint64(0xD6E8FEB86659FD93),
)
_OF_NOTHING = np.uint64(0xA0761D6478BD642F)
_MIX = np.uint64(0xFF51AFD7ED558CCD)


class Shingles(NamedTuple):
    """The set of document ``n`` is ``values[starts[n]:ends[n]]``, ascending; a text without words has an empty one.

    ``sizes[n]`` is larger than that when only the smallest values are known. The document's keys in the bands of
    MinHash, where these are compared, lie right before ``starts[n]``.
    """

    values: NDArray[np.uint32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class TextSets:
    """The sets of some texts one after the other; that of text ``i`` is ``values[bounds[i]:bounds[i + 1]]``."""

    values: NDArray[np.uint32]
    bounds: NDArray[np.int64]

    @classmethod
    def joined(cls, several: Sequence[TextSets]) -> TextSets:
        """The sets of several as those of one."""
        sizes = np.concatenate([np.diff(sets.bounds) for sets in several])
        return cls(np.concatenate([sets.values for sets in several]), np.append(0, np.cumsum(sizes)))


def sets_of(texts: Sequence[str]) -> TextSets:
    """The distinct windows of each text as 32 bits each; a text shorter than a window is one window."""
    tokens = tokenise(texts)
    return TextSets(*_sets(tokens.codes, tokens.bounds))


class ShinglesOnDisk:
    """Collects what ``documents`` documents are compared by in a temporary file, so that memory holds some of it.

    Of each document that is a record: the size of its set, its keys in the ``bands`` bands of MinHash, then the set.
    """

    def __init__(self, documents: int, bands: int) -> None:
        self._before_set = 1 + bands
        self._records = ScratchArray(np.uint32, "shingles")
        self._bounds = np.zeros(documents + 1, np.int64)
        self._documents = 0

    def add(self, keys: NDArray[np.uint32], sets: TextSets, sizes: NDArray[np.int64]) -> None:
        """Store ``keys``, ``uint32[documents, bands]``, and sets, or the smallest values of sets of these ``sizes``.

        They are those of the next documents.

        :raises StorageError: if the temporary folder cannot be written to.
        """
        first, self._documents = self._documents, self._documents + sizes.size
        lengths = np.diff(sets.bounds) + self._before_set
        self._bounds[first + 1 : self._documents + 1] = self._records.size + np.cumsum(lengths)
        self._records.append(_records(sizes, keys, sets.values, sets.bounds))

    def reader(self, order: NDArray[np.int32]) -> ShingleReader:
        """What reads the records of the documents ``order``, numbered like that."""
        return ShingleReader(self, order)

    def known(self, documents: NDArray[np.int32]) -> NDArray[np.int64]:
        """How many values of the set of each document lie on the disk."""
        return self._bounds[documents + 1] - self._bounds[documents] - self._before_set

    def load(self, documents: NDArray[np.int32]) -> Shingles:
        """The records of ``documents``, numbered in that order.

        :raises OSError: if the temporary file cannot be read.
        """
        lengths = self.known(documents) + self._before_set
        values = self._records.read(self._bounds[documents], lengths)
        ends = np.cumsum(lengths)
        starts = ends - lengths
        return Shingles(values, starts + self._before_set, ends, values[starts].astype(np.int64))


@dataclass(frozen=True)
class ShingleReader:
    """Brings records from the disk into memory, those of some documents at a time, by numbers of its own."""

    on_disk: ShinglesOnDisk
    order: NDArray[np.int32]

    def known(self, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many values each set has, for the caller of :meth:`load` to ask for few enough."""
        return self.on_disk.known(self.order[documents])

    def load(self, documents: NDArray[np.int64]) -> Shingles:
        """The sets of ``documents``, numbered in that order, each with its band keys before it.

        :raises OSError: if the temporary file cannot be read.
        """
        return self.on_disk.load(self.order[documents])


@kernel
def _records(
    sizes: NDArray[np.int64], keys: NDArray[np.uint32], values: NDArray[np.uint32], bounds: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """The size, the keys and the set of each document side by side."""
    bands = keys.shape[1]
    records = np.empty(sizes.size + keys.size + bounds[-1] - bounds[0], np.uint32)
    place = 0
    for n in range(sizes.size):
        records[place] = sizes[n]
        for band in range(bands):
            records[place + 1 + band] = keys[n, band]
        place += 1 + bands
        for value in range(bounds[n], bounds[n + 1]):
            records[place] = values[value]
            place += 1
    return records


@kernel
def _mixed(value: np.uint64) -> np.uint32:
    return np.uint32(((value ^ (value >> np.uint64(33))) * _MIX) >> np.uint64(32))


@kernel
def _short_hash(codes: NDArray[np.uint32], start: int, end: int) -> np.uint32:
    """The hash of a text of one to three characters."""
    value = _OF_NOTHING + np.uint64(codes[start]) * _OF_FIRST
    value += np.uint64(codes[start + 1]) * _OF_SECOND if end - start > 1 else _OF_NOTHING
    value += np.uint64(codes[start + 2]) * _OF_THIRD if end - start > 2 else _OF_NOTHING
    return _mixed(value)


@kernel
def _hash_windows(codes: NDArray[np.uint32], start: int, hashed: NDArray[np.uint32], windows: int) -> None:
    for window in range(windows):
        first = start + window
        value = np.uint64(codes[first]) * _OF_FIRST + np.uint64(codes[first + 1]) * _OF_SECOND
        value += np.uint64(codes[first + 2]) * _OF_THIRD + np.uint64(codes[first + 3]) * _OF_FOURTH
        hashed[window] = _mixed(value)


@kernel
def _sort(values: NDArray[np.uint32], size: int, spare: NDArray[np.uint32], counts: NDArray[np.int64]) -> None:
    """Sort the first ``size`` values: a radix sort by bytes, which for hundreds of values beats one by comparisons."""
    counts[:] = 0
    for n in range(size):
        for byte in range(4):
            counts[byte, (values[n] >> np.uint32(8 * byte)) & np.uint32(0xFF)] += 1
    for byte in range(4):
        place = 0
        for digit in range(256):
            count = counts[byte, digit]
            counts[byte, digit] = place
            place += count
    source, target = values, spare
    for byte in range(4):
        for n in range(size):
            digit = (source[n] >> np.uint32(8 * byte)) & np.uint32(0xFF)
            target[counts[byte, digit]] = source[n]
            counts[byte, digit] += 1
        source, target = target, source


@kernel
def _sets(codes: NDArray[np.uint32], bounds: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    values = np.empty(codes.size, np.uint32)
    set_bounds = np.zeros(bounds.size, np.int64)
    longest = np.max(np.diff(bounds)) if bounds.size > 1 else 0
    hashed, spare = np.empty(longest, np.uint32), np.empty(longest, np.uint32)
    counts = np.empty((4, 256), np.int64)
    size = 0
    for text in range(bounds.size - 1):
        start, end = bounds[text], bounds[text + 1]
        windows = max(end - start - CHARACTERS_OF_A_WINDOW + 1, min(end - start, 1))
        if end - start >= CHARACTERS_OF_A_WINDOW:
            _hash_windows(codes, start, hashed, windows)
        elif windows:
            hashed[0] = _short_hash(codes, start, end)
        _sort(hashed, windows, spare, counts)
        for window in range(windows):
            if window == 0 or hashed[window] != hashed[window - 1]:
                values[size] = hashed[window]
                size += 1
        set_bounds[text + 1] = size
    return values[:size].copy(), set_bounds

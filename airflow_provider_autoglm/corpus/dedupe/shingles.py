"""Sets of 4-grams of documents, hashed and sorted, kept on disk while documents are compared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.tokens import CHARACTERS_OF_A_WINDOW, tokenise
from airflow_provider_autoglm.exceptions import StorageError

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
_BYTES_OF_A_VALUE = 4
_pread = types.ExternalFunction("pread", types.int64(types.int32, types.uintp, types.uintp, types.int64))
"""``pread`` of the C library: file, address, bytes, offset; returns how many bytes were read."""


class Shingles(NamedTuple):
    """The set of document ``n`` is ``values[starts[n]:ends[n]]``, ascending; a text without words has an empty one.

    ``sizes[n]`` is larger than that when only the smallest values are known.
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


@contextmanager
def scratch_errors() -> Iterator[None]:
    """Name the folder of temporary files when it cannot be written to.

    :raises StorageError: in place of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise StorageError("write", f"{tempfile.gettempdir()} (TMPDIR)", error) from error


class ShinglesOnDisk:
    """Collects the sets of ``documents`` documents in a temporary file, so that memory holds what is looked at."""

    def __init__(self, documents: int) -> None:
        self._file = tempfile.TemporaryFile(prefix="autoglm-shingles-")  # noqa: SIM115 - goes with this object
        self._size = 0
        self._starts = np.zeros(documents, np.int64)
        self._ends = np.zeros(documents, np.int64)
        self._sizes = np.zeros(documents, np.int64)

    def add(self, documents: NDArray[np.int64], sets: TextSets, sizes: NDArray[np.int64]) -> None:
        """Store sets, or the smallest values of sets that have ``sizes`` values."""
        with scratch_errors():
            self._file.write(sets.values.tobytes())
        self._starts[documents] = self._size + sets.bounds[:-1]
        self._ends[documents] = self._size + sets.bounds[1:]
        self._sizes[documents] = sizes
        self._size += sets.values.size

    def reader(self, order: NDArray[np.int64]) -> ShingleReader:
        """What reads the sets of the documents ``order``, numbered like that."""
        with scratch_errors():
            self._file.flush()
        return ShingleReader(self._file, self._starts[order], self._ends[order], self._sizes[order])


class ShingleReader:
    """Brings sets from the disk into memory, those of some documents at a time.

    ``known`` is how many values lie on the disk of each document, for its caller to ask for few enough.
    """

    def __init__(
        self, file: IO[bytes], starts: NDArray[np.int64], ends: NDArray[np.int64], sizes: NDArray[np.int64]
    ) -> None:
        self.known = ends - starts
        self._file = file
        self._starts = starts
        self._sizes = sizes
        self._places = np.zeros((2, starts.size), np.int64)

    def load(self, documents: NDArray[np.int64]) -> Shingles:
        """The sets of ``documents``, each once; those of other documents are not to be looked at.

        :raises OSError: if the temporary file cannot be read.
        """
        ends = np.cumsum(self.known[documents])
        starts = ends - self.known[documents]
        self._places[0, documents], self._places[1, documents] = starts, ends
        values = np.empty(int(ends[-1]) if ends.size else 0, np.uint32)
        if not _read(self._file.fileno(), self._starts[documents], starts, ends, values):
            raise OSError("the temporary file of 4-grams could not be read")
        return Shingles(values, self._places[0], self._places[1], self._sizes)


@kernel
def _read(
    file: int,
    places: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    values: NDArray[np.uint32],
) -> bool:
    """Read the values that begin at the ``places`` of a file to where they start and end; whether all could be read.

    A read for each document, not a mapping of the file: around a page that is looked at, the system maps others.
    """
    for n in range(places.size):
        size = _BYTES_OF_A_VALUE * (ends[n] - starts[n])
        address = values.ctypes.data + _BYTES_OF_A_VALUE * starts[n]
        if _pread(file, address, size, _BYTES_OF_A_VALUE * places[n]) != size:
            return False
    return True


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

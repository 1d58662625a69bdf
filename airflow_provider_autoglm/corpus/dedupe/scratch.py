"""Values that wait on disk until they are looked at, in files without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np
from numba import types
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.exceptions import StorageError

_Scalar = TypeVar("_Scalar", bound=np.generic)
_pread = types.ExternalFunction("pread", types.int64(types.int32, types.uintp, types.uintp, types.int64))
"""``pread`` of the C library: file, address, bytes, offset; returns how many bytes were read."""


@contextmanager
def scratch_errors() -> Iterator[None]:
    """Name the folder of temporary files when it cannot be written to.

    :raises StorageError: in place of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise StorageError("write", f"{tempfile.gettempdir()} (TMPDIR)", error) from error


class ScratchArray(Generic[_Scalar]):
    """Values of one type in a temporary file: it is gone with this object, or with the process if that is killed."""

    def __init__(self, kind: type[_Scalar], content: str) -> None:
        self.size = 0
        self._type: np.dtype[_Scalar] = np.dtype(kind)
        self._file = tempfile.TemporaryFile(prefix=f"autoglm-{content}-")  # noqa: SIM115 - goes with this object

    def append(self, values: NDArray[_Scalar]) -> None:
        """Put ``values`` behind those that are there.

        :raises StorageError: if the temporary folder cannot be written to.
        """
        with scratch_errors():
            self._file.write(np.ascontiguousarray(values).data)
        self.size += values.size

    def read(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[_Scalar]:
        """The runs of ``sizes`` values that begin at ``starts``, one after the other.

        :raises StorageError: if the temporary folder cannot be written to.
        :raises OSError: if the temporary file cannot be read.
        """
        with scratch_errors():
            self._file.flush()
        width = self._type.itemsize
        values = np.empty(int(sizes.sum()) * width, np.uint8)
        if not _read(self._file.fileno(), starts, sizes, width, values):
            raise OSError("the temporary file could not be read")
        return values.view(self._type)


@kernel
def _read(
    file: int, starts: NDArray[np.int64], sizes: NDArray[np.int64], width: int, values: NDArray[np.uint8]
) -> bool:
    """Read runs of items of ``width`` bytes; whether all could be read.

    A read for each run, not a mapping of the file: around a page that is looked at, the system maps others.
    """
    place = 0
    for n in range(starts.size):
        size = width * sizes[n]
        if size > 0 and _pread(file, values.ctypes.data + place, size, width * starts[n]) != size:
            return False
        place += size
    return True

"""What object stores do unlike a file system: conditional writes, and objects that appear whole."""

from __future__ import annotations

import asyncio
import io
import secrets
import tempfile
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from fsspec.asyn import sync

from airflow_provider_autoglm.corpus.storage_errors import WRITE, code_of, storage_errors
from airflow_provider_autoglm.exceptions import ConditionalWriteError

UNFINISHED_PREFIX = ".writing-"
"""Names of files that are being written begin like this, beside the place they take when they are whole."""

READ_BLOCK_BYTES = 8 * 1024 * 1024
"""What one request reads ahead: a shard takes a handful of them, and a reader holds one block."""

_S3 = frozenset({"s3", "s3a"})
# Those whose fsspec package sends the condition with the write. What fsspec does by itself is to look first and then
# write, which lets two writers win. The one in memory is of one process.
_CONDITIONAL = _S3 | {"gs", "gcs", "abfs", "abfss", "az", "adl", "memory"}
_IS_THERE = frozenset({"PreconditionFailed", "412"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})
_SLOWEST_BYTES_PER_S = 512 * 1024
_CONFLICT_TRIES = 5
_CONFLICT_WAIT_S = 0.1
# File systems and buckets of this process that have shown that they honour the condition.
_HONOURED: set[tuple[Any, str]] = set()


def has_folders(filesystem: Any) -> bool:
    """Whether folders must be made before files are written into them."""
    return not _protocols(filesystem) & _CONDITIONAL


def create_object(filesystem: Any, path: str, data: bytes, patience_s: float) -> None:
    """Write a small object if and only if there is none, by the condition of the write itself.

    :raises FileExistsError: if there is one.
    :raises ConditionalWriteError: if the storage has no such writes, or ignores the condition.
    """
    ensure_conditional(filesystem, filesystem._parent(path), patience_s)
    _put_if_absent(filesystem, path, data, patience_s)


def replace_object(filesystem: Any, path: str, data: bytes, patience_s: float) -> None:
    """Write an object whatever was there before."""
    _within(patience_s + len(data) / _SLOWEST_BYTES_PER_S, filesystem, "pipe_file", path, data)


def ensure_conditional(filesystem: Any, folder: str, patience_s: float) -> None:
    """Find out whether of two writers one wins; S3 servers are tried with a small object in ``folder``.

    Once a process and bucket: three requests.

    :raises ConditionalWriteError: if that is not so.
    """
    if not _protocols(filesystem) & _CONDITIONAL:
        raise ConditionalWriteError(
            filesystem.unstrip_protocol(folder), f"{type(filesystem).__name__} has no conditional writes"
        )
    tried = (filesystem, folder.partition("/")[0])
    if _protocols(filesystem) & _S3 and tried not in _HONOURED:
        _try_condition(filesystem, folder, patience_s)
        _HONOURED.add(tried)


def _try_condition(filesystem: Any, folder: str, patience_s: float) -> None:
    # Servers that do not know the header write all the same, and say nothing.
    path = f"{folder}/{UNFINISHED_PREFIX}{secrets.token_hex(8)}"
    _put_if_absent(filesystem, path, b"", patience_s)
    try:
        _put_if_absent(filesystem, path, b"", patience_s)
    except FileExistsError:
        return
    finally:
        with suppress(OSError):  # the cleanup takes what could not be deleted
            filesystem.rm_file(path)
    raise ConditionalWriteError(
        filesystem.unstrip_protocol(folder), "the server ignores If-None-Match, the condition of a write"
    )


def _put_if_absent(filesystem: Any, path: str, data: bytes, patience_s: float) -> None:
    for tries_left in reversed(range(_CONFLICT_TRIES)):
        try:
            _within(patience_s, filesystem, "pipe_file", path, data, mode="create")
            return
        except OSError as error:
            code = code_of(error)
            if code in _IS_THERE:  # s3fs knows it only by an element that not all servers send
                raise FileExistsError(path) from error
            if code not in _CONFLICT or not tries_left:
                raise
            # Another write of the same object is under way: only afterwards it is there or not.
            time.sleep(_CONFLICT_WAIT_S * (_CONFLICT_TRIES - tries_left))


class NewObject:
    """An object that is collected in a temporary file of the worker, and sent when it is closed, whole or not at all.

    What is not closed, since its writer failed or was killed, is never sent: a stream would leave either parts that
    are paid for, or an object cut short.
    """

    def __init__(self, filesystem: Any, path: str, uri: str, patience_s: float) -> None:
        self._filesystem = filesystem
        self._path = path
        self._uri = uri
        self._patience_s = patience_s
        self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()

    def write(self, data: Any) -> int:
        """Append bytes."""
        return self._file.write(data)

    def flush(self) -> None:
        """Nothing is on storage before :meth:`close`."""

    def fileno(self) -> int:
        """:raises io.UnsupportedOperation: always: there is no file that could be synchronised."""
        raise io.UnsupportedOperation("fileno")

    def close(self) -> None:
        """Send the object.

        :raises StorageError: if storage does not take it.
        """
        if self._file.closed:
            return
        with self._file, storage_errors(WRITE, self._uri):
            patience_s = self._patience_s + self._file.tell() / _SLOWEST_BYTES_PER_S
            self._file.seek(0)
            # The file has no name, so that nothing is left of a task that is killed.
            _within(patience_s, self._filesystem, "put_file", f"/dev/fd/{self._file.fileno()}", self._path)


class ObjectReader(io.RawIOBase):
    """A seekable object for reading, whose errors are those of :class:`~.storage.Storage`."""

    def __init__(self, file: Any, uri: str) -> None:
        super().__init__()
        self._file = file
        self._uri = uri

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; nothing is read."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """Where the next byte is read."""
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes."""
        with storage_errors("read", self._uri):
            return int(self._file.readinto(buffer))

    def close(self) -> None:
        """Give the block that was read ahead back."""
        self._file.close()
        super().close()


def open_object(filesystem: Any, path: str, uri: str) -> io.BufferedReader:
    """A seekable object for reading, in blocks of :data:`READ_BLOCK_BYTES`."""
    file = filesystem.open(path, "rb", block_size=READ_BLOCK_BYTES)
    return io.BufferedReader(ObjectReader(file, uri))


def _within(seconds: float, filesystem: Any, method: str, *args: Any, **kwargs: Any) -> None:
    """Call a method that writes, for so long at most.

    aiohttp waits without end for a server that takes the connection and then nothing: its timeout is for answers.
    """
    if has_folders(filesystem) or not filesystem.async_impl:
        getattr(filesystem, method)(*args, **kwargs)
        return

    async def bounded() -> None:
        await asyncio.wait_for(getattr(filesystem, f"_{method}")(*args, **kwargs), seconds)

    sync(filesystem.loop, bounded)


def _protocols(filesystem: Any) -> frozenset[str]:
    protocol = filesystem.protocol
    return frozenset({protocol} if isinstance(protocol, str) else protocol)

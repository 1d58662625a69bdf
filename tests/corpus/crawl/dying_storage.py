"""Local files that end the process which writes them, or refuse, at a moment that is chosen."""

from __future__ import annotations

import errno
import os
import signal
from typing import Any

from fsspec.implementations.local import LocalFileSystem


class DyingFileSystem(LocalFileSystem):  # type: ignore[misc]
    """Whoever has written ``shards`` shards is killed, when the last of them is whole."""

    def __init__(self, *, shards: int, **options: Any) -> None:
        super().__init__(shards=shards, **options)
        self._left = shards

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super().open(path, mode, **options)
        if mode != "wb":
            return file
        self._left -= 1
        return _LastFile(file) if self._left == 0 else file


class RefusingFileSystem(LocalFileSystem):  # type: ignore[misc]
    """Has no room for a process's shard of the number ``shards``."""

    def __init__(self, *, shards: int, **options: Any) -> None:
        super().__init__(shards=shards, **options)
        self._left = shards

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self._left -= mode == "wb"
        if mode == "wb" and self._left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return super().open(path, mode, **options)


class _LastFile:
    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        self._file.close()
        os.kill(os.getpid(), signal.SIGKILL)

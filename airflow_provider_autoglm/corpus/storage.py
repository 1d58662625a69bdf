"""Files behind URIs: the only place that touches a file system."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_autoglm.exceptions import StorageError, StorageNotSupportedError
from airflow_provider_autoglm.settings.base import refuse_userinfo

UNFINISHED_PREFIX = ".writing-"
"""Names of files that are being written begin like this, beside the place they take when they are whole."""


@dataclass(frozen=True)
class Storage:
    """An fsspec file system and the URI below which it serves; everything else takes and returns URIs."""

    filesystem: Any
    root: str

    @classmethod
    def local(cls) -> Storage:
        """Local files: ``file:///…`` and absolute paths."""
        return cls(LocalFileSystem(), "file:///")

    def path(self, uri: str) -> str:
        """The file system's own path of ``uri``.

        :raises UnsafeUriError: if the URI carries credentials.
        :raises StorageNotSupportedError: if the URI is not below ``root``.
        """
        uri = as_uri(uri)
        if uri != self.root and not uri.startswith(self.root if self.root.endswith("/") else f"{self.root}/"):
            raise StorageNotSupportedError(uri, self.root)
        return str(self.filesystem._strip_protocol(uri))

    def exists(self, uri: str) -> bool:
        """Whether a file or folder is there."""
        with _errors("look for", uri):
            return bool(self.filesystem.exists(self.path(uri)))

    def size(self, uri: str) -> int | None:
        """Bytes of a file, or None if there is no such file."""
        with _errors("look for", uri):
            try:
                return int(self.filesystem.size(self.path(uri)))
            except FileNotFoundError:
                return None

    def read(self, uri: str) -> bytes:
        """The whole of a small file.

        :raises FileNotFoundError: if there is none.
        """
        with _errors("read", uri):
            return bytes(self.filesystem.cat_file(self.path(uri)))

    def open(self, uri: str) -> IO[bytes]:
        """A seekable file for reading.

        :raises FileNotFoundError: if there is none.
        """
        with _errors("read", uri):
            return self.filesystem.open(self.path(uri), "rb")  # type: ignore[no-any-return]

    def open_new(self, uri: str) -> IO[bytes]:
        """A file for writing under a name nobody else uses; folders are made as needed."""
        with _errors("write", uri):
            path = self.path(uri)
            self._make_folder_of(path)
            return self.filesystem.open(path, "wb")  # type: ignore[no-any-return]

    def create(self, uri: str, data: bytes) -> None:
        """Write a small file if and only if there is none: of two writers one wins.

        :raises FileExistsError: if there already is one.
        """
        with _errors("write", uri):
            path = self.path(uri)
            self._make_folder_of(path)
            if isinstance(self.filesystem, LocalFileSystem):
                with _temporary_beside(path, data) as temporary:
                    os.link(temporary, path)
            else:
                self.filesystem.pipe_file(path, data, mode="create")

    def replace(self, uri: str, data: bytes) -> None:
        """Write a small file whatever was there before; a reader sees the old or the new one, never a part."""
        with _errors("write", uri):
            path = self.path(uri)
            self._make_folder_of(path)
            if isinstance(self.filesystem, LocalFileSystem):
                with _temporary_beside(path, data) as temporary:
                    os.replace(temporary, path)
            else:
                self.filesystem.pipe_file(path, data)

    def list(self, uri: str) -> list[str]:
        """URIs of what lies directly in a folder, sorted; empty if there is no such folder."""
        with _errors("list", uri):
            try:
                paths = self.filesystem.ls(self.path(uri), detail=False)
            except FileNotFoundError:
                return []
            return sorted(f"{as_uri(uri)}/{str(path).rstrip('/').rsplit('/', 1)[-1]}" for path in paths)

    def is_folder(self, uri: str) -> bool:
        """Whether a folder is there."""
        with _errors("look for", uri):
            return bool(self.filesystem.isdir(self.path(uri)))

    def modified_at(self, uri: str) -> float:
        """When a file was last written, in seconds since the epoch."""
        with _errors("look for", uri):
            return float(self.filesystem.modified(self.path(uri)).timestamp())

    def delete(self, uri: str) -> None:
        """Remove one file; nothing happens if it is gone."""
        with _errors("delete", uri):
            try:
                self.filesystem.rm_file(self.path(uri))
            except FileNotFoundError:
                return

    def _make_folder_of(self, path: str) -> None:
        folder = self.filesystem._parent(path)
        try:
            self.filesystem.makedirs(folder, exist_ok=True)
        except FileExistsError as error:
            # Not to be taken for "somebody else was first": what is in the way is no folder.
            raise NotADirectoryError(f"{folder} is not a folder") from error
        except FileNotFoundError as error:
            # Nor for "there is no such file yet": /proc and lost mounts refuse folders like this.
            raise NotADirectoryError(f"the folder {folder} cannot be made") from error


def as_uri(location: str) -> str:
    """``location`` as a URI without trailing slash; an absolute path becomes ``file://…``.

    :raises UnsafeUriError: if it carries credentials.
    """
    refuse_userinfo(location)
    if location.startswith("/"):
        location = f"file://{location}"
    return location.rstrip("/") if not location.endswith("://") else location


@contextmanager
def _errors(action: str, uri: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise StorageError(action, uri, error) from error


@contextmanager
def _temporary_beside(path: str, data: bytes) -> Iterator[str]:
    """A complete file in the folder of ``path``, readable by whom the umask lets; it is gone afterwards."""
    temporary = os.path.join(os.path.dirname(path), f"{UNFINISHED_PREFIX}{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)

"""Files behind URIs: the only place that touches a file system."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, cast

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_autoglm.corpus.object_store import (
    UNFINISHED_PREFIX,
    NewObject,
    create_object,
    ensure_conditional,
    has_folders,
    open_object,
    replace_object,
)
from airflow_provider_autoglm.corpus.storage_errors import WRITE, storage_errors
from airflow_provider_autoglm.exceptions import StorageNotSupportedError
from airflow_provider_autoglm.settings.base import refuse_userinfo


@dataclass(frozen=True)
class Entry:
    """A file or folder that lies directly in a folder."""

    uri: str
    is_folder: bool


@dataclass(frozen=True)
class Storage:
    """An fsspec file system and the URI below which it serves; everything else takes and returns URIs.

    What it answers is what is there now: listings that a file system keeps are never used.

    :param patience_s: for how long an object store may take a small file; a large one gets more by its size.
    """

    filesystem: Any
    root: str
    patience_s: float = 300.0

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
        with storage_errors("look for", uri):
            return bool(self.filesystem.exists(self._place(uri)))

    def size(self, uri: str) -> int | None:
        """Bytes of a file, or None if there is no such file."""
        with storage_errors("look for", uri):
            try:
                return int(self.filesystem.size(self._place(uri)))
            except FileNotFoundError:
                return None

    def read(self, uri: str) -> bytes:
        """The whole of a small file.

        :raises FileNotFoundError: if there is none.
        """
        with storage_errors("read", uri):
            return bytes(self.filesystem.cat_file(self._place(uri)))

    def open(self, uri: str) -> IO[bytes]:
        """A seekable file for reading.

        :raises FileNotFoundError: if there is none.
        """
        with storage_errors("read", uri):
            path = self._place(uri)
            if self._is_local:
                return self.filesystem.open(path, "rb")  # type: ignore[no-any-return]
            return cast("IO[bytes]", open_object(self.filesystem, path, uri))

    def open_new(self, uri: str) -> IO[bytes]:
        """A file for writing under a name nobody else uses; folders are made as needed.

        On object storage it is there once it is closed, and never if it is not.
        """
        with storage_errors(WRITE, uri):
            path = self._place_in_folder(uri)
            if self._is_local:
                return self.filesystem.open(path, "wb")  # type: ignore[no-any-return]
            return cast("IO[bytes]", NewObject(self.filesystem, path, uri, self.patience_s))

    def create(self, uri: str, data: bytes) -> None:
        """Write a small file if and only if there is none: of two writers one wins.

        :raises FileExistsError: if there already is one. After a lost answer that may be the caller's own.
        :raises ConditionalWriteError: if the storage cannot do that.
        """
        with storage_errors(WRITE, uri):
            path = self._place_in_folder(uri)
            if not self._is_local:
                create_object(self.filesystem, path, data, self.patience_s)
                return
            with _temporary_beside(path, data) as temporary:
                os.link(temporary, path)

    def replace(self, uri: str, data: bytes) -> None:
        """Write a small file whatever was there before; a reader sees the old or the new one, never a part."""
        with storage_errors(WRITE, uri):
            path = self._place_in_folder(uri)
            if not self._is_local:
                replace_object(self.filesystem, path, data, self.patience_s)
                return
            with _temporary_beside(path, data) as temporary:
                os.replace(temporary, path)

    def entries(self, uri: str) -> list[Entry]:
        """What lies directly in a folder, sorted; empty if there is no such folder. One listing tells all."""
        with storage_errors("list", uri):
            folder = self._place(uri)
            try:
                found = self.filesystem.ls(folder, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
            inside = {str(each["name"]).rstrip("/"): self._is_folder(each) for each in found}
            # Consoles keep a folder by an object that has its name, and a file is listed as itself.
            inside.pop(folder.rstrip("/"), None)
            parent = as_uri(uri)
            return [Entry(f"{parent}/{path.rpartition('/')[2]}", inside[path]) for path in sorted(inside)]

    def list(self, uri: str) -> list[str]:
        """URIs of what lies directly in a folder, sorted; empty if there is no such folder."""
        return [entry.uri for entry in self.entries(uri)]

    def is_folder(self, uri: str) -> bool:
        """Whether a folder is there."""
        with storage_errors("look for", uri):
            return bool(self.filesystem.isdir(self._place(uri)))

    def modified_at(self, uri: str) -> float:
        """When a file was last written, in seconds since the epoch."""
        with storage_errors("look for", uri):
            return float(self.filesystem.modified(self._place(uri)).timestamp())

    def delete(self, uri: str) -> None:
        """Remove one file; nothing happens if it is gone."""
        with storage_errors("delete", uri):
            try:
                self.filesystem.rm_file(self._place(uri))
            except FileNotFoundError:
                return

    def ensure_usable(self, uri: str) -> None:
        """Find out before the work whether corpora can be committed below ``uri``: rights, bucket, conditional writes.

        Local files are not tried.

        :raises StorageError: if a small file cannot be written there.
        :raises ConditionalWriteError: if of two writers both would win.
        """
        if not self._is_local:
            with storage_errors(WRITE, uri):
                ensure_conditional(self.filesystem, self._place(uri), self.patience_s)

    @property
    def _is_local(self) -> bool:
        return isinstance(self.filesystem, LocalFileSystem)

    def _is_folder(self, listed: Mapping[str, Any]) -> bool:
        is_link = bool(listed.get("islink", False))
        return listed["type"] == "directory" or (is_link and bool(self.filesystem.isdir(listed["name"])))

    def _place(self, uri: str) -> str:
        """The path, of which the file system has forgotten what it has listed."""
        path = self.path(uri)
        self.filesystem.invalidate_cache()
        return path

    def _place_in_folder(self, uri: str) -> str:
        """The path, in a folder that is there."""
        path = self._place(uri)
        if not has_folders(self.filesystem):
            return path
        folder = self.filesystem._parent(path)
        try:
            self.filesystem.makedirs(folder, exist_ok=True)
        except FileExistsError as error:
            # Not to be taken for "somebody else was first": what is in the way is no folder.
            raise NotADirectoryError(f"{folder} is not a folder") from error
        except FileNotFoundError as error:
            # Nor for "there is no such file yet": /proc and lost mounts refuse folders like this.
            raise NotADirectoryError(f"the folder {folder} cannot be made") from error
        return path


def as_uri(location: str) -> str:
    """``location`` as a URI without trailing slash; an absolute path becomes ``file://…``.

    :raises UnsafeUriError: if it carries credentials.
    """
    refuse_userinfo(location)
    if location.startswith("/"):
        location = f"file://{location}"
    return location.rstrip("/") if not location.endswith("://") else location


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

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import StorageError, StorageNotSupportedError, UnsafeUriError

STORAGE = Storage.local()


@pytest.mark.parametrize(
    ("location", "uri"),
    [("/data/x/", "file:///data/x"), ("file:///data/x", "file:///data/x"), ("s3://bucket/x//", "s3://bucket/x")],
)
def test_a_path_and_its_uri_are_the_same_place(location: str, uri: str) -> None:
    assert as_uri(location) == uri
    assert as_uri("file://") == "file://"


def test_credentials_in_a_uri_are_refused() -> None:
    with pytest.raises(UnsafeUriError, match=r"s3://\*\*\*@bucket"):
        as_uri("s3://key:secret@bucket/x")


@pytest.mark.parametrize("uri", ["s3://bucket-of-others/x", "s3://bucket/corpora2/x", "file:///corpora", "relative/x"])
def test_a_storage_serves_only_what_lies_below_its_root(uri: str) -> None:
    storage = Storage(MemoryFileSystem(), "s3://bucket/corpora")

    with pytest.raises(StorageNotSupportedError, match="not below s3://bucket/corpora"):
        storage.path(uri)


def test_a_host_in_a_file_uri_is_not_taken_for_a_folder_of_the_working_directory() -> None:
    with pytest.raises(StorageNotSupportedError, match=r"file://data/corpora is not below file:///"):
        STORAGE.path("file://data/corpora")


def test_the_root_itself_is_served() -> None:
    assert Storage(MemoryFileSystem(), "memory://corpora").path("memory://corpora/") == "/corpora"


def test_a_file_is_written_read_and_deleted(tmp_path: Path) -> None:
    uri = f"{tmp_path.as_uri()}/deep/folder/file"
    with STORAGE.open_new(uri) as file:
        file.write(b"one")

    assert STORAGE.exists(uri)
    assert STORAGE.size(uri) == 3
    assert STORAGE.read(uri) == b"one"
    assert STORAGE.list(f"{tmp_path.as_uri()}/deep") == [f"{tmp_path.as_uri()}/deep/folder"]
    assert STORAGE.is_folder(f"{tmp_path.as_uri()}/deep")
    assert STORAGE.modified_at(uri) == pytest.approx((tmp_path / "deep/folder/file").stat().st_mtime, abs=1)

    STORAGE.delete(uri)
    STORAGE.delete(uri)
    assert not STORAGE.exists(uri)


def test_what_is_not_there_is_told_plainly(tmp_path: Path) -> None:
    uri = f"{tmp_path.as_uri()}/absent"

    assert STORAGE.size(uri) is None
    assert STORAGE.list(uri) == []
    assert not STORAGE.is_folder(uri)
    with pytest.raises(FileNotFoundError):
        STORAGE.read(uri)
    with pytest.raises(FileNotFoundError):
        STORAGE.open(uri)


def test_create_writes_once_and_replace_always(tmp_path: Path) -> None:
    uri = f"{tmp_path.as_uri()}/new/file"
    STORAGE.create(uri, b"first")
    with pytest.raises(FileExistsError):
        STORAGE.create(uri, b"second")
    assert STORAGE.read(uri) == b"first"

    STORAGE.replace(uri, b"third")
    STORAGE.replace(f"{tmp_path.as_uri()}/newer/file", b"fourth")

    assert STORAGE.read(uri) == b"third"
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["new", "file", "newer", "file"]


def test_other_users_read_a_created_file_as_they_read_any(tmp_path: Path) -> None:
    STORAGE.create(f"{tmp_path.as_uri()}/created", b"")
    (tmp_path / "ordinary").touch()

    mode = stat.S_IMODE((tmp_path / "created").stat().st_mode)
    assert mode == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_storage_without_links_creates_and_replaces_too() -> None:
    storage = Storage(MemoryFileSystem(), "memory://")
    storage.create("memory://folder/file", b"first")
    with pytest.raises(FileExistsError):
        storage.create("memory://folder/file", b"second")
    storage.replace("memory://folder/file", b"third")

    assert storage.read("memory://folder/file") == b"third"


@pytest.mark.parametrize("below", ["file", "file/deeper", "file/deeper/still"])
def test_a_file_where_a_folder_should_be_is_a_storage_error_that_names_the_place(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    uri = f"{tmp_path.as_uri()}/{below}/new"

    for write in (STORAGE.open_new, lambda uri: STORAGE.create(uri, b""), lambda uri: STORAGE.replace(uri, b"")):
        with pytest.raises(StorageError, match=f"cannot write {uri}") as raised:
            write(uri)
        assert raised.value.retry_can_help


def test_a_folder_that_cannot_be_made_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match=r"cannot write file:///proc/corpora/new: the folder /proc/corpora"):
        STORAGE.create("file:///proc/corpora/new", b"")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()

    with pytest.raises(StorageError, match="cannot write"):
        STORAGE.replace(f"{tmp_path.as_uri()}/target", b"data")

    assert [path.name for path in tmp_path.iterdir()] == ["target"]

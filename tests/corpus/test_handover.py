from __future__ import annotations

import json

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_autoglm.corpus.handover import filesystem_to_json, storage_from_json
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import FileSystemHandoverError
from tests.s3_server import KEY_ID, REGION, SECRET, S3Server


def test_local_files_are_local_files_in_the_child() -> None:
    text = filesystem_to_json(Storage.local())

    assert "\n" not in text
    assert isinstance(storage_from_json(text, "file:///").filesystem, LocalFileSystem)


def test_options_are_kept_and_those_that_were_not_given_are_left_out(s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    storage = s3_server.storage(token=None, client_kwargs={"region_name": REGION})
    text = filesystem_to_json(storage)

    assert json.loads(text).keys() >= {"key", "secret", "endpoint_url", "client_kwargs"}
    assert "token" not in json.loads(text)
    storage_from_json(text, "s3://").replace(f"s3://{bucket}/file", b"from the child")
    assert storage.read(f"s3://{bucket}/file") == b"from the child"


def test_a_session_becomes_the_credentials_that_it_holds(s3_server: S3Server) -> None:
    from aiobotocore.session import AioSession
    from s3fs import S3FileSystem

    session = AioSession()
    session.set_credentials(KEY_ID, SECRET)
    storage = Storage(S3FileSystem(session=session, endpoint_url=s3_server.url), "s3://")
    given = json.loads(filesystem_to_json(storage))

    assert (given["key"], given["secret"]) == (KEY_ID, SECRET)
    assert "session" not in given
    assert "token" not in given


def test_an_option_without_text_is_refused_by_a_named_error() -> None:
    class Credentials:
        """What Google's library has."""

    file_system = MemoryFileSystem(token=Credentials())
    with pytest.raises(FileSystemHandoverError, match=r"MemoryFileSystem cannot be handed to a child process: .*Cred"):
        filesystem_to_json(Storage(file_system, "memory://"))


def test_a_file_system_over_another_is_built_again() -> None:
    storage = Storage(DirFileSystem(path="/data", fs=LocalFileSystem()), "dir://")

    assert storage_from_json(filesystem_to_json(storage), "dir://").filesystem.path == "/data"

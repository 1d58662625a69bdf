"""Storage on an S3 server, by a file system with the listing cache that s3fs has."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import requests
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_autoglm.corpus.handover import filesystem_to_json
from airflow_provider_autoglm.corpus.storage import Entry, Storage
from airflow_provider_autoglm.exceptions import ConditionalWriteError, StorageError
from tests.s3_server import S3Server

_WRITES_FOR_EVER = """
import sys
from airflow_provider_autoglm.corpus.handover import storage_from_json

with storage_from_json(sys.stdin.readline(), "s3://").open_new(sys.argv[1]) as file:
    for _ in range(20):
        file.write(b"x" * 1_000_000)
    print("written", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def storage(s3_server: S3Server) -> Storage:
    return s3_server.storage()


@pytest.fixture
def root(s3_server: S3Server) -> str:
    root = f"s3://{s3_server.new_bucket()}/corpora"
    s3_server.requests()
    return root


def test_an_object_is_written_read_and_deleted(storage: Storage, root: str) -> None:
    with storage.open_new(f"{root}/deep/file") as file:
        file.write(b"one")
        file.write(b"two")

    assert storage.exists(f"{root}/deep/file")
    assert storage.exists(f"{root}/deep")
    assert storage.is_folder(f"{root}/deep")
    assert storage.size(f"{root}/deep/file") == 6
    assert storage.read(f"{root}/deep/file") == b"onetwo"
    assert storage.entries(root) == [Entry(f"{root}/deep", is_folder=True)]
    assert storage.entries(f"{root}/deep") == [Entry(f"{root}/deep/file", is_folder=False)]
    assert storage.list(f"{root}/deep/file") == []
    assert storage.modified_at(f"{root}/deep/file") > 1_700_000_000

    storage.delete(f"{root}/deep/file")
    storage.delete(f"{root}/deep/file")
    assert not storage.exists(f"{root}/deep/file")
    assert storage.size(f"{root}/deep/file") is None
    assert storage.list(root) == []
    with pytest.raises(FileNotFoundError):
        storage.read(f"{root}/deep/file")
    with pytest.raises(FileNotFoundError):
        storage.open(f"{root}/deep/file")


def test_an_object_is_read_from_any_place(storage: Storage, root: str) -> None:
    storage.replace(f"{root}/file", bytes(range(256)))

    with storage.open(f"{root}/file") as file:
        assert file.readable()
        assert file.seekable()
        assert file.seek(-3, 2) == 253
        assert file.read() == b"\xfd\xfe\xff"
        file.seek(10)
        assert (file.read(2), file.tell()) == (b"\x0a\x0b", 12)


def test_what_another_process_writes_is_seen_at_once(s3_server: S3Server, storage: Storage, root: str) -> None:
    other = s3_server.storage()
    other.replace(f"{root}/datasets/v1/file", b"old")
    assert storage.list(f"{root}/datasets") == [f"{root}/datasets/v1"]
    assert storage.list(f"{root}/datasets/v1") == [f"{root}/datasets/v1/file"]

    other.replace(f"{root}/datasets/v2/file", b"")
    other.replace(f"{root}/datasets/v1/file", b"newer")

    assert storage.list(f"{root}/datasets") == [f"{root}/datasets/v1", f"{root}/datasets/v2"]
    assert storage.exists(f"{root}/datasets/v2/file")
    assert storage.size(f"{root}/datasets/v1/file") == 5
    with storage.open(f"{root}/datasets/v1/file") as file:
        assert file.read() == b"newer"
    other.delete(f"{root}/datasets/v2/file")
    assert not storage.is_folder(f"{root}/datasets/v2")


def test_a_folder_of_more_objects_than_one_answer_holds_is_listed_whole(
    s3_server: S3Server, storage: Storage, root: str
) -> None:
    folder = f"{s3_server.url}/{root.removeprefix('s3://')}"
    with requests.Session() as session:
        for number in range(1_050):
            session.put(f"{folder}/{number:04d}", timeout=10).raise_for_status()
    s3_server.requests()

    assert storage.list(root) == [f"{root}/{number:04d}" for number in range(1_050)]
    assert len(s3_server.requests()) == 2


def test_the_object_by_which_consoles_keep_a_folder_is_no_entry(
    s3_server: S3Server, storage: Storage, root: str
) -> None:
    requests.put(f"{s3_server.url}/{root.removeprefix('s3://')}/kept/", timeout=10).raise_for_status()

    assert storage.list(f"{root}/kept") == []
    assert storage.list(root) == [f"{root}/kept"]


def test_of_many_writers_at_the_same_moment_exactly_one_creates(s3_server: S3Server, root: str) -> None:
    writers = [s3_server.storage() for _ in range(8)]
    start = Barrier(len(writers))

    def create(number: int) -> list[int]:
        won = []
        for turn in range(10):
            start.wait()
            try:
                writers[number].create(f"{root}/{turn}", str(number).encode())
            except FileExistsError:
                continue
            won.append(turn)
        return won

    with ThreadPoolExecutor(len(writers)) as threads:
        won = list(threads.map(create, range(len(writers))))

    assert sorted(turn for turns in won for turn in turns) == list(range(10))
    for number, turns in enumerate(won):
        assert {writers[0].read(f"{root}/{turn}") for turn in turns} <= {str(number).encode()}


def test_a_server_is_tried_once_a_bucket_and_nothing_is_left_of_it(
    s3_server: S3Server, storage: Storage, root: str
) -> None:
    storage.ensure_usable(root)
    assert [request.method for request in s3_server.requests()] == ["PUT", "PUT", "DELETE"]

    storage.ensure_usable(f"{root}/deeper")
    storage.create(f"{root}/file", b"")

    (request,) = s3_server.requests()
    assert (request.method, request.condition) == ("PUT", "*")
    assert storage.list(root) == [f"{root}/file"]


def test_a_server_that_ignores_the_condition_is_refused_before_anything_is_overwritten(
    s3_server: S3Server, storage: Storage, root: str
) -> None:
    storage.replace(f"{root}/file", b"first")
    with s3_server.behaving(ignore="HTTP_IF_NONE_MATCH"):
        with pytest.raises(ConditionalWriteError, match=rf"{root}: the server ignores If-None-Match"):
            storage.ensure_usable(root)
        with pytest.raises(ConditionalWriteError, match="both could commit the same corpus"):
            storage.create(f"{root}/file", b"second")
    assert storage.read(f"{root}/file") == b"first"


def test_a_file_system_without_conditional_writes_is_refused(tmp_path: Path) -> None:
    storage = Storage(DirFileSystem(path=str(tmp_path), fs=LocalFileSystem()), "dir://")
    storage.replace("dir://folder/file", b"first")

    with pytest.raises(ConditionalWriteError, match="DirFileSystem has no conditional writes"):
        storage.create("dir://folder/file", b"second")
    assert storage.read("dir://folder/file") == b"first"


def test_a_server_that_says_less_of_the_condition_is_understood(
    s3_server: S3Server, storage: Storage, root: str
) -> None:
    storage.ensure_usable(root)
    with (
        s3_server.behaving(method="PUT", times=1, fail=412, code="PreconditionFailed"),
        pytest.raises(FileExistsError),
    ):
        storage.create(f"{root}/file", b"")


def test_a_conflict_with_a_write_under_way_is_tried_again(s3_server: S3Server, storage: Storage, root: str) -> None:
    storage.ensure_usable(root)
    s3_server.requests()
    with s3_server.behaving(method="PUT", times=2, fail=409, code="ConditionalRequestConflict"):
        storage.create(f"{root}/file", b"data")

    assert len(s3_server.requests()) == 3
    assert storage.read(f"{root}/file") == b"data"


def test_a_conflict_that_does_not_end_is_a_storage_error(s3_server: S3Server, storage: Storage, root: str) -> None:
    storage.ensure_usable(root)
    with (
        s3_server.behaving(method="PUT", times=9, fail=409, code="ConditionalRequestConflict"),
        pytest.raises(StorageError, match=r"ConditionalRequestConflict: .* as told"),
    ):
        storage.create(f"{root}/file", b"data")
    assert not storage.exists(f"{root}/file")


def test_a_server_in_trouble_is_asked_again(s3_server: S3Server, storage: Storage, root: str) -> None:
    with s3_server.behaving(method="PUT", times=1, fail=503, code="SlowDown"):
        storage.replace(f"{root}/file", b"data")
    assert storage.read(f"{root}/file") == b"data"


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "AccessDenied", "grant the connection of storage_conn_id"),
        (403, "InvalidAccessKeyId", "correct the login of the connection"),
        (400, "ExpiredToken", "the credentials have expired"),
    ],
)
def test_a_refusal_says_what_to_do(
    s3_server: S3Server, storage: Storage, root: str, status: int, code: str, advice: str
) -> None:
    storage.replace(f"{root}/file", b"data")
    with s3_server.behaving(method="GET", times=9, fail=status, code=code):
        for act in (storage.read, storage.list, lambda uri: storage.open(uri).read()):
            with pytest.raises(StorageError, match=rf"{root}/file: {code}: as told; {advice}") as raised:
                act(f"{root}/file")
            assert raised.value.retry_can_help


def test_a_bucket_that_does_not_exist_is_not_made(s3_server: S3Server, storage: Storage) -> None:
    for write in (
        lambda: storage.create("s3://no-such-bucket/file", b""),
        lambda: storage.replace("s3://no-such-bucket/file", b""),
        lambda: storage.open_new("s3://no-such-bucket/file").close(),
        lambda: storage.ensure_usable("s3://no-such-bucket/corpora"),
    ):
        with pytest.raises(StorageError, match=r"NoSuchBucket: .*; create the bucket, or correct the root"):
            write()
    assert requests.head(f"{s3_server.url}/no-such-bucket", timeout=10).status_code == 404


def test_a_store_that_does_not_answer_is_given_up(s3_server: S3Server, root: str) -> None:
    patient = s3_server.storage(config_kwargs={"read_timeout": 0.1, "retries": {"total_max_attempts": 1}})
    storage = dataclasses.replace(patient, patience_s=0.5)
    storage.replace(f"{root}/file", b"data")
    with s3_server.frozen():
        with pytest.raises(StorageError, match="Read timeout on endpoint URL"):
            storage.read(f"{root}/file")
        with pytest.raises(StorageError, match=f"cannot write {root}/file: FSTimeoutError; it does not answer"):
            storage.replace(f"{root}/file", b"other")
        with (
            pytest.raises(StorageError, match=f"cannot write {root}/new: FSTimeoutError"),
            storage.open_new(f"{root}/new") as file,
        ):
            file.write(b"data")


def test_an_object_is_there_when_it_is_closed_and_not_before(s3_server: S3Server, storage: Storage, root: str) -> None:
    file = storage.open_new(f"{root}/file")
    file.write(b"data")
    file.flush()
    assert s3_server.requests() == []

    file.close()
    file.close()
    assert [request.method for request in s3_server.requests()] == ["PUT"]
    assert storage.read(f"{root}/file") == b"data"


def test_what_was_not_finished_is_never_sent(s3_server: S3Server, storage: Storage, root: str) -> None:
    def fail() -> None:
        with storage.open_new(f"{root}/failed") as file:
            file.write(b"x" * 20_000_000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    forgotten = storage.open_new(f"{root}/forgotten")
    forgotten.write(b"data")
    del forgotten

    assert s3_server.requests() == []


def test_nothing_is_left_of_a_writer_that_is_killed(s3_server: S3Server, storage: Storage, root: str) -> None:
    command = [sys.executable, "-c", _WRITES_FOR_EVER, f"{root}/file"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(filesystem_to_json(storage) + "\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)

    assert s3_server.requests() == []
    assert storage.list(root) == []


def test_a_large_object_that_fails_on_the_way_leaves_neither_object_nor_parts(
    s3_server: S3Server, storage: Storage, root: str
) -> None:
    with (
        s3_server.behaving(method="PUT", times=9, fail=403, code="AccessDenied"),
        pytest.raises(StorageError, match="AccessDenied"),
        storage.open_new(f"{root}/file") as file,
    ):
        file.write(b"x" * 101 * 1024 * 1024)

    asked = s3_server.requests()
    assert {"uploadId" in request.query for request in asked if request.method == "PUT"} == {True}
    assert asked[-1].method == "DELETE"
    assert not storage.exists(f"{root}/file")
    assert storage.filesystem.call_s3("list_multipart_uploads", Bucket=root.split("/")[2]).get("Uploads", []) == []


def test_a_storage_shows_no_secret(s3_server: S3Server, storage: Storage) -> None:
    assert "marked-secret" not in repr(storage) + str(storage.filesystem)
    assert "marked-secret" in json.loads(filesystem_to_json(storage))["secret"]

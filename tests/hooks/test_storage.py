"""Storage as DAGs get it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_autoglm.corpus.handover import filesystem_to_json, storage_from_json
from airflow_provider_autoglm.exceptions import (
    ConditionalWriteError,
    MissingFileSystemError,
    SettingsError,
    StorageError,
    UnsafeUriError,
)
from airflow_provider_autoglm.hooks.storage import storage_for
from tests.mlflow_server import free_port
from tests.s3_server import KEY_ID, SECRET, S3Server

pytestmark = pytest.mark.usefixtures("airflow_home")

ROLE = "arn:aws:iam::123456789012:role/writes-corpora"

_WITHOUT_PACKAGE = """
import sys

sys.modules[{module!r}] = None
from airflow_provider_autoglm.hooks.storage import storage_for

try:
    storage_for({root!r}, {conn_id!r})
except Exception as error:
    print(type(error).__name__, error)
"""


_INFO = """
def info():
    return {"package-name": "shelf-provider", "name": "Shelf", "description": "", "filesystems": ["shelf_provider.fs"]}
"""

_PROVIDER = """
from fsspec.implementations.memory import MemoryFileSystem

schemes = ["shelf"]


class Shelf(MemoryFileSystem):
    protocol = ("shelf", "memory")


def get_fs(conn_id, storage_options=None):
    print("made for", conn_id, end=": ")
    return Shelf()
"""

_ON_A_SHELF = """
from airflow_provider_autoglm.hooks.storage import storage_for

storage = storage_for("shelf://books/corpora", "store")
storage.create("shelf://books/corpora/file", b"data")
print(storage.read("shelf://books/corpora/file"))
"""


@pytest.fixture
def root(s3_server: S3Server) -> str:
    return f"s3://{s3_server.new_bucket()}/corpora"


def connect(environment: pytest.MonkeyPatch, connection: dict[str, Any], **extra: Any) -> str:
    """A connection of the environment; its id."""
    value = {**connection, "extra": {**connection.get("extra", {}), **extra}}
    environment.setenv("AIRFLOW_CONN_STORE", json.dumps(value))
    return "store"


@pytest.mark.parametrize("root", ["/data/autoglm", "file:///data/autoglm"])
def test_local_folders_are_served(root: str) -> None:
    assert storage_for(root).path(f"{root}/default/datasets") == "/data/autoglm/default/datasets"


def test_local_folders_are_not_tried(tmp_path: Path) -> None:
    storage_for(str(tmp_path)).ensure_usable(str(tmp_path / "not" / "there"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["file://data/autoglm", "data/autoglm", "/", "local://data", "s3://", "s3:///autoglm"])
def test_a_root_that_names_no_place_is_refused(root: str) -> None:
    with pytest.raises(SettingsError, match=f"root = '{root}': expected an absolute path, file:///folder, or"):
        storage_for(root)


@pytest.mark.parametrize("root", ["/data/c#/corpora", "s3://bucket/c#/corpora"])
def test_a_root_that_would_be_cut_at_a_fragment_is_refused(root: str) -> None:
    with pytest.raises(SettingsError, match="'#' begins a fragment"):
        storage_for(root)


def test_a_connection_for_local_files_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match=r"storage_conn_id = 'aws_default'"):
        storage_for("/data/autoglm", "aws_default")


def test_a_connection_that_does_not_exist_is_not_passed_over() -> None:
    with pytest.raises(SettingsError, match="storage_conn_id = 'no_such': there is no such connection"):
        storage_for("s3://bucket/autoglm", "no_such")


def test_credentials_in_a_root_are_refused_and_not_shown() -> None:
    with pytest.raises(UnsafeUriError) as raised:
        storage_for("s3://key:marked-secret@bucket")
    assert "marked-secret" not in str(raised.value)


def test_a_bucket_is_served_by_a_connection(s3_server: S3Server, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = storage_for(root, connect(monkeypatch, s3_server.connection))
    storage.ensure_usable(root)
    storage.create(f"{root}/file", b"first")

    with pytest.raises(FileExistsError):
        storage.create(f"{root}/file", b"second")
    assert storage.list(root) == [f"{root}/file"]
    assert SECRET not in repr(storage)


def test_a_small_object_is_read_by_one_request(s3_server: S3Server, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = storage_for(root, connect(monkeypatch, s3_server.connection))
    storage.replace(f"{root}/file", b"data")
    s3_server.requests()

    assert storage.read(f"{root}/file") == b"data"
    assert [request.method for request in s3_server.requests()] == ["GET"]


def test_other_buckets_of_the_same_store_are_served_too(
    s3_server: S3Server, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = storage_for(root, connect(monkeypatch, s3_server.connection))
    other = f"s3://{s3_server.new_bucket()}/incoming/file"
    storage.replace(other, b"data")

    assert storage.read(other) == b"data"


def test_without_a_connection_the_workers_environment_counts(
    s3_server: S3Server, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    storage = storage_for(root)
    storage.replace(f"{root}/file", b"data")

    assert storage.read(f"{root}/file") == b"data"
    assert SECRET not in filesystem_to_json(storage)


def test_a_worker_without_credentials_is_told_what_to_set(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(StorageError, match=r"NoCredentialsError: .*; set storage_conn_id to an Airflow connection"):
        storage_for(root).ensure_usable(root)


def test_a_role_is_assumed_and_a_child_process_gets_its_credentials(
    s3_server: S3Server, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sts = {"sts": {"endpoint_url": s3_server.url}}
    storage = storage_for(root, connect(monkeypatch, s3_server.connection, role_arn=ROLE, service_config=sts))
    storage.create(f"{root}/file", b"data")
    text = filesystem_to_json(storage)

    assert {"key", "secret", "token"} <= json.loads(text).keys()
    assert KEY_ID not in text
    assert storage_from_json(text, storage.root).read(f"{root}/file") == b"data"


def test_a_profile_of_the_worker_is_taken(
    s3_server: S3Server, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[corpora]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    connection = {"conn_type": "aws", "extra": s3_server.connection["extra"]}
    storage = storage_for(root, connect(monkeypatch, connection, profile_name="corpora"))
    storage.replace(f"{root}/file", b"data")

    assert SECRET not in filesystem_to_json(storage)
    assert storage.read(f"{root}/file") == b"data"


def test_requests_are_not_signed_if_the_connection_says_so(
    s3_server: S3Server, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsigned = {"signature_version": "unsigned"}
    storage = storage_for(root, connect(monkeypatch, s3_server.connection, config_kwargs=unsigned))

    assert storage.filesystem.anon
    assert not storage.exists(f"{root}/file")


def test_certificates_and_limits_of_the_connection_are_taken(
    s3_server: S3Server, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"verify": "/etc/ssl/own-ca.pem", "config_kwargs": {"read_timeout": 7}}
    storage = storage_for(root, connect(monkeypatch, s3_server.connection, **extra))

    assert storage.filesystem.client_kwargs["verify"] == "/etc/ssl/own-ca.pem"
    assert storage.filesystem.config_kwargs["read_timeout"] == 7
    assert storage.filesystem.config_kwargs["connect_timeout"] == 10


def test_a_store_that_is_away_is_named(root: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    away = {"endpoint_url": f"http://127.0.0.1:{free_port()}", "config_kwargs": {"retries": {"total_max_attempts": 1}}}
    storage = storage_for(root, connect(monkeypatch, s3_server.connection, **away))

    with pytest.raises(StorageError, match=r"EndpointConnectionError: .*; check endpoint_url in the connection's"):
        storage.read(f"{root}/file")


def test_a_scheme_of_fsspec_is_served_with_the_connections_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = storage_for("memory://corpora", connect(monkeypatch, {"conn_type": "generic"}, asynchronous=False))
    storage.create("memory://corpora/file", b"data")

    assert isinstance(storage.filesystem, MemoryFileSystem)
    assert storage_for("memory://corpora").read("memory://corpora/file") == b"data"


def test_a_scheme_without_conditional_writes_serves_for_reading_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "archive").mkdir()
    storage = storage_for(
        "dir://archive",
        connect(monkeypatch, {"conn_type": "generic"}, path=str(tmp_path), target_protocol="file"),
    )

    assert storage.is_folder("dir://archive")
    with pytest.raises(ConditionalWriteError):
        storage.ensure_usable("dir://archive")


@pytest.mark.usefixtures("measured_children")
def test_the_file_system_of_an_airflow_provider_is_made_by_that_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shelf_provider"
    package.mkdir()
    (package / "__init__.py").write_text(_INFO)
    (package / "fs.py").write_text(_PROVIDER)
    metadata = tmp_path / "shelf_provider-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf-provider\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[apache_airflow_provider]\nprovider_info=shelf_provider:info\n")
    connect(monkeypatch, {"conn_type": "generic"})
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_SHELF], check=True, capture_output=True, text=True, env=environment
    )

    assert "made for store: b'data'" in done.stdout


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(SettingsError, match="neither Airflow nor fsspec knows the scheme of nix://"):
        storage_for("nix://bucket/corpora")


@pytest.mark.parametrize(
    ("root", "packages"),
    [
        ("gs://bucket/corpora", "apache-airflow-providers-google gcsfs"),
        ("abfs://container/corpora", "apache-airflow-providers-microsoft-azure adlfs"),
    ],
)
def test_packages_that_are_missing_are_named(root: str, packages: str) -> None:
    with pytest.raises(MissingFileSystemError, match=f"pip install {packages}"):
        storage_for(root)


@pytest.mark.usefixtures("measured_children")
@pytest.mark.parametrize(
    ("module", "root", "conn_id", "said"),
    [
        ("s3fs", "s3://bucket/corpora", "", r"MissingExtraError s3fs is not installed; .*\[s3\]"),
        (
            "airflow.providers.amazon.aws.hooks.s3",
            "s3://bucket/corpora",
            "store",
            r"MissingExtraError apache-airflow-providers-amazon is not installed; .*\[s3\]",
        ),
        ("paramiko", "sftp://host/corpora", "", r"MissingFileSystemError nothing installed here serves sftp://"),
    ],
)
def test_a_package_that_cannot_be_imported_is_named(
    module: str, root: str, conn_id: str, said: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, s3_server.connection)
    code = _WITHOUT_PACKAGE.format(module=module, root=root, conn_id=conn_id)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert re.search(said, done.stdout)

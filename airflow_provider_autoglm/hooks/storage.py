"""Storage for the library, from a URI and an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fsspec
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import MissingExtraError, MissingFileSystemError, SettingsError

if TYPE_CHECKING:
    from airflow.sdk import Connection

_LOCAL = "file:///"
_S3 = ("s3", "s3a")
_PACKAGES = {
    "abfs": "apache-airflow-providers-microsoft-azure adlfs",
    "abfss": "apache-airflow-providers-microsoft-azure adlfs",
    "gcs": "apache-airflow-providers-google gcsfs",
    "gs": "apache-airflow-providers-google gcsfs",
}
"""The Airflow provider that makes the file system of a scheme from a connection, and the file system."""

_PATIENCE = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 4},
}
"""Options of botocore: what passes is tried again, and a server that does not answer ends the task within minutes."""


def storage_for(root: str, conn_id: str = "") -> Storage:
    """The storage that holds everything below ``root``.

    Local files, or a folder that all workers mount; ``s3://bucket/prefix`` with an Amazon Web Services connection, or
    without one by what the worker's environment holds; any other scheme by the file system of its Airflow provider,
    or by that of fsspec with the connection's extra as its options.

    :raises SettingsError: for a root that names no place, a ``#`` in it, or a connection that does not exist or that
        local files do not have.
    :raises MissingExtraError: if S3 is asked for without the extra ``s3``.
    :raises MissingFileSystemError: if nothing installed serves the scheme.
    """
    uri = as_uri(root)
    if "#" in uri:
        raise SettingsError([f"root = {root!r}: '#' begins a fragment in the URI of a corpus; choose another folder"])
    if uri.startswith(_LOCAL):
        if conn_id:
            raise SettingsError([f"storage_conn_id = {conn_id!r}: local files need no connection; leave it empty"])
        return Storage.local()
    scheme, _, place = uri.partition("://")
    if scheme in ("file", "local") or not place.strip("/") or place.startswith("/"):
        raise SettingsError(
            [f"root = {root!r}: expected an absolute path, file:///folder, or a place in a bucket, s3://bucket/folder"]
        )
    connection = _connection(conn_id) if conn_id else None
    filesystem = _s3(connection) if scheme in _S3 else _other(scheme, connection)
    return Storage(filesystem, f"{scheme}://")


def _connection(conn_id: str) -> Connection:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise SettingsError(
            [f"storage_conn_id = {conn_id!r}: there is no such connection; create it under Admin → Connections"]
        ) from None


def _s3(connection: Connection | None) -> Any:
    try:
        file_system = fsspec.get_filesystem_class("s3")
    except ImportError:
        raise MissingExtraError("s3fs", "s3") from None
    options = {"config_kwargs": dict(_PATIENCE)} if connection is None else _s3_options(connection)
    return file_system(
        **_given(options),
        skip_instance_cache=True,
        use_listings_cache=False,
        # One request a small file, without asking for its size before; large ones are read in blocks.
        max_concurrency=1,
        # Cloudflare R2 refuses parts of different sizes.
        fixed_upload_size=True,
    )


def _s3_options(connection: Connection) -> dict[str, Any]:
    """Options of s3fs as the amazon provider reads the connection: its own ``get_fs`` knows no ``verify``.

    Credentials are text wherever they can be, since a child process must get them; those of a role are a session that
    renews them.
    """
    try:
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    except ImportError:
        raise MissingExtraError("apache-airflow-providers-amazon", "s3") from None
    hook = S3Hook(aws_conn_id=connection.conn_id)
    found = hook.conn_config
    config = {**_PATIENCE, **found.extra_config.get("config_kwargs", {})}
    is_unsigned = config.get("signature_version") == "unsigned"
    if is_unsigned:
        del config["signature_version"]  # the provider's word for what s3fs calls anonymous
    options: dict[str, Any] = {
        "anon": is_unsigned,
        "config_kwargs": config,
        "endpoint_url": found.get_service_endpoint_url("s3"),
        "client_kwargs": _given({"region_name": found.region_name, "verify": found.verify}),
    }
    if found.role_arn:
        return {**options, "session": hook.get_session(deferrable=True)}
    if found.profile_name:
        return {**options, "profile": found.profile_name}
    return {
        **options,
        "key": found.aws_access_key_id,
        "secret": found.aws_secret_access_key,
        "token": found.aws_session_token,
    }


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _other(scheme: str, connection: Connection | None) -> Any:
    from airflow.sdk.io import get_fs, has_fs

    try:
        if has_fs(scheme):
            return get_fs(scheme, None if connection is None else connection.conn_id)
        if scheme in _PACKAGES:
            raise MissingFileSystemError(scheme, f"run: pip install {_PACKAGES[scheme]}")
        file_system = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise MissingFileSystemError(scheme, error) from error
    except ValueError:
        raise SettingsError([f"root: neither Airflow nor fsspec knows the scheme of {scheme}://…"]) from None
    return file_system(**({} if connection is None else connection.extra_dejson))

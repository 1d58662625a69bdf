"""Storage for the library, from a URI and an Airflow connection."""

from __future__ import annotations

from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import SettingsError

_LOCAL = "file:///"


def storage_for(root: str, conn_id: str = "") -> Storage:
    """The storage that holds everything below ``root``: local files, or a folder that all workers mount.

    :raises SettingsError: for another scheme, for a ``#`` in the root, or if a connection is named, which local files
        do not have.
    """
    if not as_uri(root).startswith(_LOCAL):
        raise SettingsError([f"root = {root!r}: only file:/// URIs and absolute paths are supported"])
    if "#" in root:
        raise SettingsError([f"root = {root!r}: '#' begins a fragment in the URI of a corpus; choose another folder"])
    if conn_id:
        raise SettingsError([f"storage_conn_id = {conn_id!r}: local files need no connection; leave it empty"])
    return Storage.local()

"""Storage for the library, from a URI and an Airflow connection."""

from __future__ import annotations

from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import StorageNotSupportedError

_LOCAL = "file://"


def storage_for(uri: str, conn_id: str = "") -> Storage:
    """The storage that serves ``uri``; local files need no connection.

    :raises StorageNotSupportedError: for any other scheme.
    """
    if conn_id or not as_uri(uri).startswith(_LOCAL):
        raise StorageNotSupportedError(uri, "file:///")
    return Storage.local()

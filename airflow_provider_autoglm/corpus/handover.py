"""Storage as text that a child process can build it from again. It holds secrets: it goes over a pipe, nowhere else."""

from __future__ import annotations

import json
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import sync

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import FileSystemHandoverError

_SESSION = "session"


def filesystem_to_json(storage: Storage) -> str:
    """The file system of ``storage`` with its options, one line of JSON.

    A session of botocore becomes the credentials that it holds at the moment: what was assumed for a role ends with
    the role's session, and the child does not renew it.

    :raises FileSystemHandoverError: if an option is an object that has no text.
    """
    filesystem = storage.filesystem
    # fsspec cannot write None, which is what an option is that was not given.
    options = {name: value for name, value in filesystem.storage_options.items() if value is not None}
    session = options.pop(_SESSION, None)
    try:
        if session is not None:
            options |= sync(filesystem.loop, _frozen, session)
        portable = type(filesystem)(*filesystem.storage_args, **options)
        return json.dumps(json.loads(portable.to_json()))
    except TypeError as error:
        raise FileSystemHandoverError(type(filesystem).__name__, error) from None


def storage_from_json(text: str, root: str) -> Storage:
    """The storage that :func:`filesystem_to_json` has written."""
    return Storage(AbstractFileSystem.from_json(text), root)


async def _frozen(session: Any) -> dict[str, str]:
    credentials = await session.get_credentials()
    found = await credentials.get_frozen_credentials()
    return {
        name: value
        for name, value in (("key", found.access_key), ("secret", found.secret_key), ("token", found.token))
        if value is not None
    }

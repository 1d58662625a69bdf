"""What file systems raise, as one error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_autoglm.exceptions import AutoGLMError, StorageError

WRITE = "write"
_RIGHTS = "grant the connection of storage_conn_id to list, read, write and delete there"
_ADVICE = {
    "403": _RIGHTS,
    "AccessDenied": _RIGHTS,
    "EndpointConnectionError": "check endpoint_url in the connection's extra, and the network",
    "ExpiredToken": "the credentials have expired: a retry takes new ones, or lengthen the role's session",
    "FSTimeoutError": "it does not answer: check the server, and whether a proxy lies in between",
    "Forbidden": _RIGHTS,
    "InvalidAccessKeyId": "correct the login of the connection",
    "NoCredentialsError": "set storage_conn_id to an Airflow connection, or give the worker credentials",
    "NoSuchBucket": "create the bucket, or correct the root",
    "PermissionError": _RIGHTS,
    "SignatureDoesNotMatch": "correct the password of the connection",
}


@contextmanager
def storage_errors(action: str, uri: str) -> Iterator[None]:
    """Turn whatever a file system raises into a :class:`StorageError`.

    ``FileNotFoundError`` of anything but a write, and ``FileExistsError``, are answers and pass. File systems of
    object stores raise errors of their own libraries, so anything that is no error of ours is taken for one.
    """
    try:
        yield
    except (AutoGLMError, FileExistsError):
        raise
    except FileNotFoundError as error:
        if action != WRITE:
            raise
        raise StorageError(action, uri, _explained(error)) from error
    except Exception as error:
        raise StorageError(action, uri, _explained(error)) from error


def code_of(error: BaseException) -> str:
    """The code that an S3 server gave for an error, or an empty string."""
    # s3fs keeps botocore's error as the cause; only that one has the code.
    for found in (error, error.__cause__):
        answer = getattr(found, "response", None)
        if isinstance(answer, dict):
            return str(answer.get("Error", {}).get("Code", ""))
    return ""


def _explained(error: Exception) -> str:
    code, name = code_of(error), type(error).__name__
    said = str(error) or name
    what = said if isinstance(error, OSError) and not code else f"{code or name}: {said}"
    advice = _ADVICE.get(code) or _ADVICE.get(name)
    return what if advice is None else f"{what}; {advice}"

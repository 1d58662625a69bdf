"""Ask an MLflow server quickly whether it is there, and put its refusals into words."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from airflow_provider_autoglm.exceptions import TrackingRefusedError, TrackingUnavailableError
from airflow_provider_autoglm.settings.base import redact_userinfo

SERVER_ERRORS = (MlflowException, requests.RequestException)
"""What MLflow's client raises when a request fails; artifacts come with the errors of ``requests``."""

_PROBE_TIMEOUT_S = 10
_FIRST_SERVER_ERROR = 500
_LONGEST_CAUSE = 400
_UNAUTHENTICATED = {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
_REFUSED_STATUS = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}


def set_client_defaults() -> None:
    """Let a lost server cost seconds, not MLflow's four minutes of retries, and keep its own lines out of task logs.

    What the user has set stays.
    """
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")


def check_reachable(tracking_uri: str) -> None:
    """Return if the server answers within 10 s, without retries. A tracking URI that is no server always passes.

    :raises MlflowException: if it does not answer, or a proxy answers that it is away.
    """
    if urlsplit(tracking_uri).scheme not in ("http", "https"):
        return
    answer = http_request(  # type: ignore[no-untyped-call]
        get_default_host_creds(tracking_uri),  # type: ignore[no-untyped-call]
        "/health",
        "GET",
        max_retries=0,
        timeout=_PROBE_TIMEOUT_S,
        raise_on_status=False,
    )
    if answer.status_code >= _FIRST_SERVER_ERROR:
        raise MlflowException(f"the server answers {answer.status_code}")


def check_access(client: MlflowClient) -> None:
    """Return if the server answers and lets this client read.

    :raises TrackingRefusedError: if it refuses the credentials.
    :raises TrackingUnavailableError: if it cannot be reached.
    """
    try:
        check_reachable(client.tracking_uri)
        client.search_experiments(max_results=1)
    except SERVER_ERRORS as error:
        raise explain(client.tracking_uri, error) from error


def explain(tracking_uri: str, error: Exception) -> TrackingUnavailableError:
    """The error as ours: who refused what, and what to do."""
    code = _refusal_code(error)
    if code in _UNAUTHENTICATED:
        return TrackingRefusedError(
            tracking_uri, "it refuses the user name or password (401); correct login and password of the connection"
        )
    if code == "PERMISSION_DENIED":
        return TrackingRefusedError(
            tracking_uri,
            "it refuses the request (403): the user lacks the permission, or the server does not know itself by this "
            f"host name (see its option --allowed-hosts): {_short(error)}",
        )
    return TrackingUnavailableError(tracking_uri, _short(error))


def _refusal_code(error: Exception) -> str | None:
    if isinstance(error, MlflowException):
        return str(error.error_code)
    if isinstance(error, requests.RequestException) and error.response is not None:
        return _REFUSED_STATUS.get(error.response.status_code)
    return None


def _short(error: Exception) -> str:
    text = redact_userinfo(" ".join(str(error).split()))
    return text if len(text) <= _LONGEST_CAUSE else text[:_LONGEST_CAUSE] + "…"

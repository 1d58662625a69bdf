"""Credentials for MLflow that live in this process alone and are sent to the server they belong to, nowhere else.

MLflow finds the provider by its entry point and the name in ``MLFLOW_TRACKING_AUTH``; no secret is in the environment.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider
from requests import PreparedRequest, Response
from requests.auth import AuthBase

PROVIDER_NAME = "autoglm"
"""What ``MLFLOW_TRACKING_AUTH`` says to choose this provider."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: what one server is known by."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of ``url``, with the scheme's port where the URL names none."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme))


@dataclass(frozen=True)
class _Authorization:
    header: str = field(repr=False)


_lock = threading.Lock()
_authorizations: dict[Origin, _Authorization] = {}


def register_credentials(tracking_uri: str, username: str | None, password: str | None) -> None:
    """Send these credentials with every request to the origin of ``tracking_uri``, from any thread of this process.

    Without a user name the password is a bearer token. Without a password what was registered is forgotten.
    """
    origin = Origin.of(tracking_uri)
    with _lock:
        if password:
            _authorizations[origin] = _Authorization(_header(username, password))
        else:
            _authorizations.pop(origin, None)


class ConnectionAuth(AuthBase):
    """Adds the ``Authorization`` header to requests whose origin has registered credentials."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header to ``request``, if it is ours to add."""
        authorization = _authorizations.get(Origin.of(request.url or ""))
        if authorization is not None:
            request.headers["Authorization"] = authorization.header
            request.register_hook("response", _drop_before_leaving)  # type: ignore[no-untyped-call]
        return request


class ConnectionAuthProvider(RequestAuthProvider):
    """MLflow's way to ask for the auth object of a request."""

    def get_name(self) -> str:
        """The name that ``MLFLOW_TRACKING_AUTH`` chooses it by."""
        return PROVIDER_NAME

    def get_auth(self) -> AuthBase:
        """An object that decides for each request on its own."""
        return ConnectionAuth()


def _header(username: str | None, password: str) -> str:
    if not username:
        return f"Bearer {password}"
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _drop_before_leaving(response: Response, **_: object) -> None:
    # requests copies the request for a redirect and keeps the header from http to https of one host.
    if response.is_redirect:
        target = urljoin(response.url, response.headers["location"])
        if Origin.of(target) != Origin.of(response.url):
            response.request.headers.pop("Authorization", None)

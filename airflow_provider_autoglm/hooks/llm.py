"""Airflow connections to language models: type ``autoglm_llm``, or one of the official common-ai provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_autoglm.exceptions import AutoGLMError, InvalidConnectionError
from airflow_provider_autoglm.settings.base import refuse_userinfo

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint

_COMMON_AI = ("pydanticai", "pydanticai_azure")
_OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_PREFIXES = ("openai", "openai-chat", "openai-responses")
_SECRET_HEADER = ("auth", "cookie", "key", "secret", "token")


class LlmHook(BaseHook):
    """
    Find the OpenAI-compatible endpoint of an Airflow connection.

    The connection's host is the address up to the version (``https://api.openai.com/v1``, ``http://vllm:8000/v1``), the
    password the key. Its extra may hold ``headers`` (an object, sent with each request) and ``api_key_header`` (the
    header of the key, if it is no bearer token).

    A connection of the official common-ai provider (types ``pydanticai`` and ``pydanticai_azure``) is read the same
    way, whether that provider is installed or not; without a host it leads to OpenAI, if its model does.

    :param llm_conn_id: Connection of one of these types.
    """

    conn_name_attr = "llm_conn_id"
    default_conn_name = "autoglm_llm"
    conn_type = "autoglm_llm"
    hook_name = "AutoGLM language model"

    def __init__(self, llm_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.llm_conn_id = llm_conn_id

    def get_conn(self) -> Endpoint:
        """Return the endpoint; the name that Airflow's hooks share."""
        return self.get_endpoint()

    def get_endpoint(self) -> Endpoint:
        """Read the connection; nothing is asked.

        :raises InvalidConnectionError: if it leads to no endpoint, or is of another type.
        :raises UnsafeUriError: if its host carries credentials.
        """
        from airflow_provider_autoglm.labeling.llm.endpoint import BEARER, Endpoint

        connection = self.get_connection(self.llm_conn_id)
        if connection.conn_type not in (self.conn_type, *_COMMON_AI):
            raise InvalidConnectionError(
                self.llm_conn_id, f"type {connection.conn_type!r} is none of {self.conn_type}, {', '.join(_COMMON_AI)}"
            )
        extra = connection.extra_dejson
        return Endpoint(
            _base_url(connection, extra),
            api_key=_sendable(connection, "password", connection.password or ""),
            headers=_headers(connection, extra),
            api_key_header=_sendable(connection, "extra.api_key_header", extra.get("api_key_header") or BEARER),
            conn_id=self.llm_conn_id,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Ask the endpoint without paying; the *Test* button of the connection form."""
        from airflow_provider_autoglm.labeling.llm.client import TransientError, check_access

        try:
            endpoint = self.get_endpoint()
            return True, check_access(endpoint)
        except AutoGLMError as error:
            return False, str(error)
        except TransientError as error:
            return False, f"{endpoint.label}: {error}"


def _base_url(connection: Connection, extra: dict[str, Any]) -> str:
    host = connection.host or ""
    if not host and connection.conn_type in _COMMON_AI:
        host = _default_url(connection, extra)
    refuse_userinfo(host if "://" in host else f"https://{host}")
    if not _is_address(host):
        raise InvalidConnectionError(
            connection.conn_id, f"host {host!r} is no address of an endpoint; expected https://host[:port]/v1"
        )
    return host.rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment


def _default_url(connection: Connection, extra: dict[str, Any]) -> str:
    """Where a connection of the common-ai provider leads that names no host: its model begins with a platform."""
    platform, _, model = str(extra.get("model") or "").partition(":")
    if model and platform not in _OPENAI_PREFIXES:
        raise InvalidConnectionError(
            connection.conn_id,
            f"it leads to {platform}; enter the address of {platform}'s OpenAI-compatible endpoint as its host",
        )
    return _OPENAI_URL


def _headers(connection: Connection, extra: dict[str, Any]) -> dict[str, str]:
    headers = extra.get("headers") or {}
    if not isinstance(headers, dict):
        raise InvalidConnectionError(connection.conn_id, "extra.headers is no JSON object")
    found = {str(name): _sendable(connection, f"extra.headers.{name}", value) for name, value in headers.items()}
    for name, value in found.items():
        if any(part in name.lower() for part in _SECRET_HEADER):
            mask_secret(value)
    return found


def _sendable(connection: Connection, field: str, value: object) -> str:
    """A value that can stand in a header; white space that was pasted with it is taken off."""
    text = str(value).strip()
    if not text.isascii() or not text.replace(" ", "").isprintable():
        raise InvalidConnectionError(
            connection.conn_id, f"{field} holds characters that no header can carry; enter it again"
        )
    return text

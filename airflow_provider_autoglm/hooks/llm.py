"""Airflow connections to language models: type ``autoglm_llm``, or one of the official common-ai provider."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_autoglm.exceptions import AutoGLMError, InvalidConnectionError
from airflow_provider_autoglm.hooks.common_ai import address_in, endpoint_of, is_of_common_ai
from airflow_provider_autoglm.settings.base import refuse_userinfo

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint

_SECRET_HEADER = ("auth", "cookie", "key", "secret", "token")


class LlmHook(BaseHook):
    """
    Find the OpenAI-compatible endpoint of an Airflow connection.

    The connection's host is the address up to the version (``https://api.openai.com/v1``, ``http://vllm:8000/v1``), the
    password the key. Its extra may hold ``headers`` (an object, sent with each request) and ``api_key_header`` (the
    header of the key, if it is no bearer token).

    A connection of the official common-ai provider (types that begin with ``pydanticai``) whose host is such an address
    is read the same way, whether that provider is installed or not. Without one, that provider's own hook tells where
    it leads and what the key is; only where it asks by OpenAI's interface can it be used.

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
        connection = self.get_connection(self.llm_conn_id)
        extra = _extra_of(connection)
        found = self._address(connection)
        return replace(
            found,
            base_url=_checked(connection, found.base_url),
            api_key=_sendable(connection, "password", found.api_key),
            headers=_headers(connection, found.headers, extra.get("headers") or {}),
            api_key_header=_sendable(
                connection, "extra.api_key_header", extra.get("api_key_header") or found.api_key_header
            ),
            conn_id=self.llm_conn_id,
        )

    def _address(self, connection: Connection) -> Endpoint:
        """What the connection leads to, before its extra is looked at."""
        from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint

        if connection.conn_type == self.conn_type:
            return Endpoint(connection.host or "", api_key=connection.password or "")
        if not is_of_common_ai(connection):
            raise InvalidConnectionError(
                self.llm_conn_id,
                f"type {connection.conn_type!r} is neither {self.conn_type} nor one of common-ai's (pydanticai…)",
            )
        address = address_in(connection)
        return Endpoint(address, api_key=connection.password or "") if address else endpoint_of(connection)

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


def _extra_of(connection: Connection) -> dict[str, Any]:
    """The extra; Airflow would pass over one that is no JSON, and so over where it says that the key belongs."""
    try:
        is_object = isinstance(json.loads(connection.extra or "{}"), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise InvalidConnectionError(connection.conn_id, "its extra is no JSON object; correct or empty it")
    return connection.extra_dejson


def _checked(connection: Connection, given: str) -> str:
    address = given.strip()
    refuse_userinfo(address if "://" in address else f"https://{address}")
    if not _is_address(address):
        shown = re.split("[?#]", address)[0].rpartition("@")[2]  # what stands around it may be a key
        raise InvalidConnectionError(
            connection.conn_id,
            f"host {shown!r} is no address of an endpoint; expected https://host[:port]/v1, without query or spaces",
        )
    return address.rstrip("/")


def _is_address(url: str) -> bool:
    if any(character.isspace() for character in url):
        return False
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment


def _headers(connection: Connection, of_platform: Mapping[str, str], of_extra: object) -> dict[str, str]:
    if not isinstance(of_extra, dict):
        raise InvalidConnectionError(connection.conn_id, "extra.headers is no JSON object")
    headers = {**of_platform, **of_extra}
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

"""Where a connection of the official common-ai provider leads: its host says so, else that provider's own hook."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException
from airflow.sdk.log import mask_secret

from airflow_provider_autoglm.exceptions import InvalidConnectionError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint

_ANY_PLATFORM = "pydanticai"
_AZURE = "pydanticai_azure"
_OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_PREFIXES = ("openai", "openai-chat", "openai-responses")
_ADVICE = "make a connection of type autoglm_llm with the address of an OpenAI-compatible endpoint"
_OF_THE_CLIENT = ("accept", "api-key", "authorization", "content-type", "user-agent")


def is_of_common_ai(connection: Connection) -> bool:
    """Whether a connection is of that provider, or of one whose hook derives from its hooks (Snowflake's)."""
    return (connection.conn_type or "").startswith(_ANY_PLATFORM)


def address_in(connection: Connection) -> str:
    """The address that a connection names itself; empty if only the provider's hook can tell where it leads.

    The generic type takes its host as it is, whatever platform its model begins with. Azure's host is an address of
    OpenAI's kind only up to a version.
    """
    host = (connection.host or "").strip()
    is_address = connection.conn_type == _ANY_PLATFORM or (
        connection.conn_type == _AZURE and host.rstrip("/").endswith("/v1")
    )
    return host if is_address else ""


def endpoint_of(connection: Connection) -> Endpoint:
    """Ask the provider's hook for the endpoint; nothing is sent. Keys may come from the worker's environment.

    :raises InvalidConnectionError: if the hook cannot be had, or leads to no OpenAI-compatible endpoint.
    """
    from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint

    hook = None
    try:
        hook = _hook_of(connection)
        client = getattr(getattr(hook and hook.get_conn(), "provider", None), "client", None)
    except Exception as error:
        if hook is not None and isinstance(error, ImportError) and find_spec("openai"):
            raise _other_interface(connection) from None  # what is missing is the package of another interface
        raise InvalidConnectionError(
            connection.conn_id, f"the common-ai provider cannot use it ({error}); correct it, or {_ADVICE}"
        ) from error
    if hook is None:
        return Endpoint(_openai_or_none(connection), api_key=connection.password or "")
    return _endpoint_of_client(connection, client)


def _hook_of(connection: Connection) -> Any:
    """The hook of the connection's type; None if no installed provider has one."""
    params = {"model_id": _model_in(connection), "fallback_conn_ids": []}  # labels come from one model: no fallbacks
    try:
        return connection.get_hook(hook_params=params)  # type: ignore[no-untyped-call]
    except AirflowException:
        return None


def _model_in(connection: Connection) -> str:
    """The model, with its platform; the hook needs one to know the platform, and its name is not used."""
    model = str(connection.extra_dejson.get("model") or "any")
    return f"openai:{model}" if connection.conn_type == _ANY_PLATFORM and ":" not in model else model


def _openai_or_none(connection: Connection) -> str:
    if connection.conn_type == _ANY_PLATFORM and _model_in(connection).partition(":")[0] in _OPENAI_PREFIXES:
        return _OPENAI_URL
    raise InvalidConnectionError(
        connection.conn_id,
        f"only the hook of type {connection.conn_type} knows where it leads, and the provider package that brings it "
        f"(apache-airflow-providers-common-ai) is not installed on this worker; install it, or {_ADVICE}",
    )


def _endpoint_of_client(connection: Connection, client: Any) -> Endpoint:
    from airflow_provider_autoglm.labeling.llm.endpoint import BEARER, Endpoint

    openai: Any = import_module("openai") if type(client).__module__.partition(".")[0] == "openai" else None
    # A subclass may sign its requests in a way of its own.
    if openai is None or type(client) not in (openai.AsyncOpenAI, openai.AsyncAzureOpenAI):
        raise _other_interface(connection)
    mask_secret(client.api_key)
    return Endpoint(
        str(client.base_url),
        api_key=client.api_key,
        headers=_headers_of(client.default_headers),
        api_key_header=BEARER if BEARER in client.auth_headers else "api-key",
        query={name: str(value) for name, value in client.default_query.items()},
        has_deployments=isinstance(client, openai.AsyncAzureOpenAI) and "/deployments" not in client.base_url.path,
    )


def _other_interface(connection: Connection) -> InvalidConnectionError:
    return InvalidConnectionError(
        connection.conn_id,
        f"the common-ai provider asks {_model_in(connection)} by another interface than OpenAI's; {_ADVICE}",
    )


def _headers_of(headers: Mapping[str, Any]) -> dict[str, str]:
    """The headers that are meant for the platform, not those that tell about the client or carry its key."""
    return {
        name: value
        for name, value in headers.items()
        if isinstance(value, str) and name.lower() not in _OF_THE_CLIENT and not name.lower().startswith("x-stainless")
    }

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import redact

from airflow_provider_autoglm.exceptions import InvalidConnectionError, UnsafeUriError
from airflow_provider_autoglm.hooks.llm import LlmHook
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from tests.labeling.llm.server import API_KEY, LlmServer, refused, running
from tests.mlflow_server import free_port

Connect = Callable[..., None]

ADDRESS = "https://llm.example.org/v1"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define the connection ``autoglm_llm`` as users do: by its environment variable."""

    def define(conn_type: str = "autoglm_llm", **fields: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_LLM", json.dumps({"conn_type": conn_type, **fields}))

    return define


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with running() as server:
        yield server


def test_the_connection_names_the_endpoint_and_its_key(connect: Connect) -> None:
    connect(host=f"{ADDRESS}/", password=f" {API_KEY}\n")

    assert LlmHook().get_conn() == Endpoint(ADDRESS, api_key=API_KEY, conn_id="autoglm_llm")


def test_the_extra_names_further_headers_and_the_one_of_the_key(connect: Connect) -> None:
    extra = {"api_key_header": "api-key", "headers": {"X-Team": "news", "X-Number": 7}}
    connect(host=ADDRESS, password=API_KEY, extra=extra)

    endpoint = LlmHook().get_endpoint()
    assert endpoint.authorization == {"api-key": API_KEY}
    assert endpoint.headers == {"X-Team": "news", "X-Number": "7"}


def test_a_server_may_need_no_key(connect: Connect) -> None:
    connect(host="http://vllm:8000/v1", extra={"api_key_header": None, "headers": None})

    assert LlmHook().get_endpoint().authorization == {}


def test_a_connection_may_be_written_as_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_LLM", f"autoglm-llm://:{API_KEY}@https%3A%2F%2Fllm.example.org%2Fv1")

    assert LlmHook("my_llm").get_endpoint() == Endpoint(ADDRESS, api_key=API_KEY, conn_id="my_llm")


def test_a_connection_of_another_type_is_refused(connect: Connect) -> None:
    connect("postgres", host=ADDRESS)

    with pytest.raises(InvalidConnectionError, match="type 'postgres' is neither autoglm_llm nor one of common-ai's"):
        LlmHook().get_endpoint()


@pytest.mark.parametrize(
    "host",
    [
        "",
        "llm.example.org",
        "llm.example.org/v1",
        "ftp://llm/v1",
        "https://",
        "https://llm/v1?a=1",
        "https://llm/v1\nX: y",
        "http://llm:x",
    ],
)
def test_a_host_that_is_no_address_is_refused(connect: Connect, host: str) -> None:
    connect(host=host)

    with pytest.raises(InvalidConnectionError, match=r"connection autoglm_llm: .*expected https://host\[:port\]/v1"):
        LlmHook().get_endpoint()


@pytest.mark.parametrize("host", [f"https://me:{API_KEY}@llm/v1", f"me:{API_KEY}@llm/v1"])
def test_credentials_in_the_host_are_refused_and_not_repeated(connect: Connect, host: str) -> None:
    connect(host=host)

    with pytest.raises(UnsafeUriError) as raised:
        LlmHook().get_endpoint()
    assert API_KEY not in str(raised.value)


@pytest.mark.parametrize("conn_type", ["autoglm_llm", "pydanticai"])
@pytest.mark.parametrize("host", [f"{ADDRESS}?key={API_KEY}", f"{ADDRESS}#{API_KEY}", f"//me:{API_KEY}@llm/v1"])
def test_a_key_around_the_address_in_the_host_is_not_repeated(connect: Connect, conn_type: str, host: str) -> None:
    connect(conn_type, host=host)

    with pytest.raises(InvalidConnectionError, match="is no address of an endpoint") as raised:
        LlmHook().get_endpoint()
    assert API_KEY not in str(raised.value)


def test_white_space_that_was_pasted_around_the_host_is_taken_off(connect: Connect) -> None:
    connect(host=f" {ADDRESS}\n")

    assert LlmHook().get_endpoint().base_url == ADDRESS


@pytest.mark.parametrize("conn_type", ["autoglm_llm", "pydanticai"])
@pytest.mark.parametrize("extra", ['{"model": "deepseek:chat"', "[1]", '"openai:gpt-5"'])
def test_an_extra_that_is_no_json_object_is_refused_rather_than_passed_over(
    connect: Connect, conn_type: str, extra: str
) -> None:
    connect(conn_type, password=API_KEY, extra=extra, **({"host": ADDRESS} if conn_type == "autoglm_llm" else {}))

    assert LlmHook().test_connection() == (
        False,
        "connection autoglm_llm: its extra is no JSON object; correct or empty it",
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"password": f"{API_KEY}\u2019"}, "password holds characters that no header can carry"),
        ({"password": f"{API_KEY}\nX"}, "password holds characters that no header can carry"),
        ({"extra": {"headers": {"X-Key": f"{API_KEY}\u2019"}}}, "extra.headers.X-Key holds characters"),
        ({"extra": {"headers": [API_KEY]}}, "extra.headers is no JSON object"),
    ],
)
def test_what_no_header_can_carry_is_refused_and_not_repeated(
    connect: Connect, fields: dict[str, object], problem: str
) -> None:
    connect(host=ADDRESS, **fields)

    with pytest.raises(InvalidConnectionError, match=problem) as raised:
        LlmHook().get_endpoint()
    assert API_KEY not in str(raised.value)


def test_test_connection_tells_a_server_in_trouble(connect: Connect, server: LlmServer) -> None:
    connect(host=server.url, password=API_KEY)
    server.models = None
    server.trouble = refused(503)

    works, message = LlmHook().test_connection()
    assert not works
    assert message.endswith(": 503")


def test_a_missing_connection_is_named() -> None:
    with pytest.raises(AirflowNotFoundException, match="no_such_connection"):
        LlmHook("no_such_connection").get_endpoint()


def test_test_connection_says_that_the_endpoint_answers_and_pays_nothing(connect: Connect, server: LlmServer) -> None:
    connect(host=server.url, password=API_KEY)

    assert LlmHook().test_connection() == (
        True,
        f"the endpoint {server.url} (connection autoglm_llm) answers and has 2 models",
    )
    assert server.requests == []


def test_test_connection_tells_what_is_wrong(connect: Connect, server: LlmServer) -> None:
    connect(host=server.url, password="wrong")
    works, message = LlmHook().test_connection()
    assert not works
    assert "answered 401" in message

    address = f"http://127.0.0.1:{free_port()}/v1"
    connect(host=address)
    said = f"the endpoint {address} (connection autoglm_llm): the connection failed (ConnectionError)"
    assert LlmHook().test_connection() == (False, said)

    connect(host="llm.example.org")
    works, message = LlmHook().test_connection()
    assert not works
    assert "no address of an endpoint" in message


def test_header_values_that_are_keys_are_masked_in_logs(connect: Connect) -> None:
    connect(host=ADDRESS, extra={"headers": {"X-API-Key": "x-marked-key", "X-Team": "news-team"}})
    LlmHook().get_endpoint()

    assert redact("given: x-marked-key news-team") == "given: *** news-team"


def test_the_key_is_in_no_environment_variable_no_repr_and_no_log(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    server: LlmServer,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    connect(host=server.url, password=API_KEY)
    hook = LlmHook()
    hook.test_connection()
    endpoint = hook.get_endpoint()
    monkeypatch.delenv("AIRFLOW_CONN_AUTOGLM_LLM")

    logged = caplog.text + "".join(capsys.readouterr())
    for written in [str(dict(os.environ)), repr(hook), repr(vars(hook)), repr(endpoint), logged]:
        assert API_KEY not in written

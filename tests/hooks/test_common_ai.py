"""Connections of the official common-ai provider."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from airflow.sdk.log import redact

from airflow_provider_autoglm.exceptions import InvalidConnectionError, UnsafeUriError
from airflow_provider_autoglm.hooks.llm import LlmHook
from airflow_provider_autoglm.labeling.llm.client import ChatClient
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from tests.labeling.llm.server import API_KEY

Connect = Callable[..., None]

ADDRESS = "https://llm.example.org/v1"
AZURE = "https://news.openai.azure.com"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define the connection ``autoglm_llm`` as users do, on a worker whose environment knows no platform."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "AZURE_", "DEEPSEEK_"))]:
        monkeypatch.delenv(name)

    def define(conn_type: str = "pydanticai", **fields: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_LLM", json.dumps({"conn_type": conn_type, **fields}))

    return define


class Recorder:
    """A server that takes chat requests at any path, and remembers path, key and model of each."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str | None, str]] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                keys = self.headers["Authorization"], self.headers["api-key"]
                recorder.asked.append((self.path, *keys, body["model"]))
                message = {"role": "assistant", "content": "football"}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                kind = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"]}
                answer = json.dumps({**kind, "choices": [choice]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    thread = threading.Thread(target=recorder.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield recorder
    recorder.server.shutdown()
    recorder.server.server_close()


@pytest.mark.parametrize("model", [None, "gpt-5", "openai:gpt-5", "deepseek:deepseek-chat", "mistral:mistral-large"])
def test_the_host_of_the_generic_type_is_the_address_whatever_the_model_is(connect: Connect, model: str | None) -> None:
    connect(host=f"{ADDRESS}/", password=API_KEY, extra={"model": model})

    assert LlmHook().get_endpoint() == Endpoint(ADDRESS, api_key=API_KEY, conn_id="autoglm_llm")


def test_an_azure_address_up_to_the_version_is_taken_as_it_is(connect: Connect) -> None:
    connect("pydanticai_azure", host=f"{AZURE}/openai/v1/", password=API_KEY, extra={"model": "gpt-5"})

    assert LlmHook().get_endpoint() == Endpoint(f"{AZURE}/openai/v1", api_key=API_KEY, conn_id="autoglm_llm")


@pytest.mark.parametrize("extra", [{}, {"model": "openai:gpt-5"}, {"model": "gpt-5"}, {"model": "openai-chat:gpt-5"}])
def test_without_a_host_the_generic_type_leads_to_openai(connect: Connect, extra: dict[str, str]) -> None:
    connect(password=API_KEY, extra=extra)

    openai = Endpoint("https://api.openai.com/v1", api_key=API_KEY, conn_id="autoglm_llm")
    assert LlmHook().get_endpoint() == openai


def test_headers_of_the_extra_are_sent_too(connect: Connect) -> None:
    connect(password=API_KEY, extra={"model": "openai:gpt-5", "headers": {"X-Team": "news"}})

    assert LlmHook().get_endpoint().headers == {"X-Team": "news"}


@pytest.mark.parametrize(
    ("conn_type", "extra"),
    [
        ("pydanticai", {"model": "mistral:mistral-large-latest"}),
        ("pydanticai", {"model": "anthropic:claude-sonnet-5"}),
        ("pydanticai_azure", {"model": "gpt-5"}),
        ("pydanticai_bedrock", {"model": "us.amazon.nova-pro-v1:0", "region_name": "us-east-1"}),
        ("pydanticai_vertex", {"model": "gemini-2.5-flash"}),
    ],
)
def test_a_connection_that_leads_to_no_openai_compatible_endpoint_says_what_to_do(
    connect: Connect, conn_type: str, extra: dict[str, str]
) -> None:
    connect(conn_type, password=API_KEY, extra=extra)

    with pytest.raises(
        InvalidConnectionError, match="make a connection of type autoglm_llm with the address"
    ) as raised:
        LlmHook().get_endpoint()
    assert API_KEY not in str(raised.value)


def test_a_type_that_no_installed_provider_has_is_named(connect: Connect) -> None:
    connect("pydanticai_nobody", password=API_KEY)

    with pytest.raises(
        InvalidConnectionError, match=r"type pydanticai_nobody knows .* is not installed on this worker"
    ):
        LlmHook().get_endpoint()


def test_credentials_in_a_host_are_refused_and_not_repeated(connect: Connect) -> None:
    connect(host=f"https://me:{API_KEY}@llm/v1")

    with pytest.raises(UnsafeUriError) as raised:
        LlmHook().get_endpoint()
    assert API_KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("deepseek:deepseek-chat", "https://api.deepseek.com"),
        ("openrouter:openai/gpt-5", "https://openrouter.ai/api/v1"),
        ("together:meta-llama/Llama-4", "https://api.together.xyz/v1"),
    ],
)
def test_the_provider_knows_the_addresses_of_platforms(connect: Connect, model: str, address: str) -> None:
    connect(password=API_KEY, extra={"model": model})

    assert LlmHook().get_endpoint() == Endpoint(address, api_key=API_KEY, conn_id="autoglm_llm")


def test_headers_that_a_platform_wants_are_sent(connect: Connect) -> None:
    connect(password=API_KEY, extra={"model": "github-copilot:gpt-5", "headers": {"editor-version": "mine"}})

    headers = LlmHook().get_endpoint().headers
    assert headers["copilot-integration-id"] == "vscode-chat"
    assert headers["editor-version"] == "mine"
    assert not {name.lower() for name in headers} & {"authorization", "user-agent", "content-type"}


def test_a_key_of_the_workers_environment_is_used_and_masked(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(extra={"model": "openai:gpt-5"})
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-worker")

    assert LlmHook().get_endpoint().authorization == {"Authorization": "Bearer sk-of-the-worker"}
    assert redact("given: sk-of-the-worker") == "given: ***"


@pytest.mark.parametrize(
    ("conn_type", "fields", "problem"),
    [
        ("pydanticai", {"extra": {"model": "openai:gpt-5"}}, "OPENAI_API_KEY"),
        ("pydanticai_azure", {"host": AZURE, "extra": {"model": "gpt-5"}}, "api_version"),
        ("pydanticai_azure", {"extra": {"model": "gpt-5", "api_version": "2024-10-21"}}, "azure_endpoint"),
        ("pydanticai_bedrock", {"extra": {"model": "us.amazon.nova-pro-v1:0"}}, "by another interface than OpenAI's"),
        ("pydanticai", {"extra": {"model": "cohere:command-a"}}, "asks cohere:command-a by another interface"),
        ("pydanticai", {"extra": {"model": "openi:gpt-5"}}, "'openi' is not a provider"),
    ],
)
def test_what_the_provider_says_of_a_connection_that_it_cannot_use_is_passed_on(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, conn_type: str, fields: dict[str, Any], problem: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    connect(conn_type, **({"password": API_KEY} if "azure" in conn_type else {}), **fields)

    with pytest.raises(InvalidConnectionError, match=problem):
        LlmHook().get_endpoint()


def test_the_fallbacks_of_a_connection_are_neither_asked_nor_needed(connect: Connect) -> None:
    connect(password=API_KEY, extra={"model": "deepseek:deepseek-chat", "fallback_conn_ids": ["no_such_connection"]})

    assert LlmHook().get_endpoint().base_url == "https://api.deepseek.com"


@pytest.mark.parametrize(
    ("conn_type", "path", "extra"),
    [
        ("pydanticai", "/v1", {"model": "openai-chat:gpt-5"}),
        ("pydanticai", "/v1/", {"model": "openai-chat:gpt-5"}),
        ("pydanticai", "", {"model": "openai-chat:gpt-5"}),
        ("pydanticai", "/v1", {"model": "ollama:gpt-5"}),
        ("pydanticai_azure", "", {"model": "azure:gpt-5", "api_version": "2024-10-21"}),
        ("pydanticai_azure", "/", {"model": "gpt-5", "api_version": "2024-10-21"}),
        ("pydanticai_azure", "/openai/v1/", {"model": "gpt-5"}),
        ("pydanticai_azure", "/openai/deployments/own", {"model": "gpt-5", "api_version": "2024-10-21"}),
    ],
)
def test_a_model_is_asked_where_and_with_the_key_that_the_providers_own_hook_asks_it(
    connect: Connect, recorder: Recorder, conn_type: str, path: str, extra: dict[str, str]
) -> None:
    connect(conn_type, host=f"{recorder.url}{path}", password=API_KEY, extra=extra)
    own_hook = LlmHook.get_hook("autoglm_llm")
    assert own_hook.create_agent(instructions="Name a label.").run_sync("A text.").output == "football"

    client = ChatClient(LlmHook().get_endpoint(), timeout_s=20, connections=1)
    client.complete({"model": "gpt-5", "messages": [{"role": "user", "content": "A text."}]})

    theirs, ours = recorder.asked
    assert ours == theirs


def test_a_provider_that_cannot_be_imported_is_told_from_a_platform_of_another_interface(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(password=API_KEY, extra={"model": "openai:gpt-5"})
    monkeypatch.setitem(sys.modules, "airflow.providers.common.ai.hooks.pydantic_ai", None)

    with pytest.raises(InvalidConnectionError, match=r"the common-ai provider cannot use it .*pydantic_ai"):
        LlmHook().get_endpoint()

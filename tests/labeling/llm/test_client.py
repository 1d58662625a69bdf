from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.exceptions import EndpointRefusedError
from airflow_provider_autoglm.labeling.llm.client import ChatClient, TextRefusedError, TransientError, check_access
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from tests.labeling.llm.server import API_KEY, LlmServer, Reaction, refused
from tests.mlflow_server import free_port

QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "system"}, {"content": "sports"}]}


def client_of(endpoint: Endpoint, timeout_s: float = 5.0) -> ChatClient:
    return ChatClient(endpoint, timeout_s=timeout_s, connections=2)


def failure(endpoint: Endpoint, timeout_s: float = 5.0) -> TransientError:
    with pytest.raises(TransientError) as raised:
        client_of(endpoint, timeout_s).complete(QUESTION)
    return raised.value


def test_the_key_and_the_headers_of_the_connection_are_sent(server: LlmServer, endpoint: Endpoint) -> None:
    client_of(replace(endpoint, headers={"X-Team": "news"})).complete(QUESTION)

    assert server.headers[-1]["Authorization"] == f"Bearer {API_KEY}"
    assert server.headers[-1]["X-Team"] == "news"


def test_the_key_may_have_a_header_of_its_own(server: LlmServer, endpoint: Endpoint) -> None:
    client_of(replace(endpoint, api_key_header="api-key")).complete(QUESTION)

    assert server.headers[-1]["api-key"] == API_KEY
    assert "Authorization" not in server.headers[-1]


def test_a_netrc_file_is_not_looked_at(
    server: LlmServer, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    client_of(endpoint).complete(QUESTION)
    with pytest.raises(EndpointRefusedError):
        client_of(replace(endpoint, api_key="")).complete(QUESTION)
    assert "Authorization" not in server.headers[-1]


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_a_server_in_trouble_may_be_asked_again(server: LlmServer, endpoint: Endpoint, status: int) -> None:
    server.always = refused(status, "overloaded")

    found = failure(endpoint)
    assert (found.cause, found.pause_s, found.is_perhaps_paid) == (f"{status} (overloaded)", None, False)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_the_pause_that_a_server_asks_for_is_told(
    server: LlmServer, endpoint: Endpoint, retry_after: str, seconds: float | None
) -> None:
    server.always = refused(429, Retry_After=retry_after)

    assert failure(endpoint).pause_s == seconds


@pytest.mark.parametrize("has_zone", [True, False])
def test_a_pause_may_be_told_by_the_time_it_ends(server: LlmServer, endpoint: Endpoint, *, has_zone: bool) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    server.always = refused(429, Retry_After=format_datetime(end if has_zone else end.replace(tzinfo=None)))

    assert failure(endpoint).pause_s == pytest.approx(3_600, abs=60)


def test_a_connection_that_breaks_off_within_an_answer_has_perhaps_cost_something(
    server: LlmServer, endpoint: Endpoint
) -> None:
    server.always = Reaction(sent=0.5)

    found = failure(endpoint)
    assert found.cause.startswith("the connection failed")
    assert found.is_perhaps_paid


def test_a_connection_that_is_reset_or_refused_may_be_tried_again(server: LlmServer, endpoint: Endpoint) -> None:
    server.always = Reaction(is_reset=True)

    assert not failure(endpoint).is_perhaps_paid
    assert "the connection failed" in failure(replace(endpoint, base_url=f"http://127.0.0.1:{free_port()}/v1")).cause


def test_no_answer_in_time_is_told(server: LlmServer, endpoint: Endpoint) -> None:
    server.is_open.clear()

    assert failure(endpoint, timeout_s=0.2).cause == "no answer within 0.2 s"


def test_white_space_that_keeps_a_connection_open_is_no_answer(server: LlmServer, endpoint: Endpoint) -> None:
    server.always = Reaction(trickles=True)

    assert failure(endpoint, timeout_s=0.2).cause == "no answer within 0.2 s"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_text_that_is_refused_is_told_by_the_servers_word_alone(
    server: LlmServer, endpoint: Endpoint, status: int
) -> None:
    server.reactions["sports"] = [refused(status, "content_filter"), refused(status), refused(status, "no word")]

    for code in ("content_filter", str(status), str(status)):
        with pytest.raises(TextRefusedError, match=f"^{code}$"):
            client_of(endpoint).complete(QUESTION)


@pytest.mark.parametrize(
    ("reaction", "advice"),
    [
        (refused(401, "invalid_api_key"), r"answered 401 \(invalid_api_key\); the key is missing, wrong or without"),
        (refused(403), "answered 403; the key is missing"),
        (refused(404, "model_not_found"), r"answered 404 \(model_not_found\); correct label\.model, or the address"),
        (
            refused(429, "insufficient_quota"),
            r"answered 429 \(insufficient_quota\); the account of the key has no credit",
        ),
        (refused(402), "answered 402; correct the address in the connection, or look into the account"),
        (refused(302, Location="http://127.0.0.1:1/"), "answered 302; correct the address"),
    ],
)
def test_an_endpoint_that_takes_nothing_is_named_with_its_connection(
    server: LlmServer, endpoint: Endpoint, reaction: Reaction, advice: str
) -> None:
    server.always = reaction

    with pytest.raises(
        EndpointRefusedError, match=rf"the endpoint http://.*/v1 \(connection my_llm\): {advice}"
    ) as raised:
        client_of(endpoint).complete(QUESTION)
    assert API_KEY not in str(raised.value)


@pytest.mark.parametrize("key", ["line\nbreak", "smart\u2019quote"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(endpoint: Endpoint, key: str) -> None:
    with pytest.raises(EndpointRefusedError, match="no request can be made of the connection's fields") as raised:
        client_of(replace(endpoint, api_key=f"{API_KEY}{key}")).complete(QUESTION)
    assert API_KEY not in f"{raised.value!r}{raised.value.__cause__}"


def test_an_answer_without_end_is_not_read_to_its_end(server: LlmServer, endpoint: Endpoint) -> None:
    server.always = Reaction(body=b" " * 20_000_000)

    assert len(client_of(endpoint).complete(QUESTION)) < 9_000_000


def test_a_check_costs_nothing_and_counts_the_models(server: LlmServer, endpoint: Endpoint) -> None:
    assert check_access(endpoint) == f"the endpoint {server.url} (connection my_llm) answers and has 2 models"
    server.models = Reaction(body=b"[]")
    assert check_access(endpoint).endswith("answers")
    assert server.requests == []


def test_a_server_without_a_list_of_models_is_asked_an_empty_question(server: LlmServer, endpoint: Endpoint) -> None:
    server.models = None

    assert check_access(endpoint) == f"the endpoint {server.url} (connection my_llm) answers"
    assert server.requests == []


def test_a_check_tells_a_wrong_key_a_wrong_address_and_a_server_in_trouble(
    server: LlmServer, endpoint: Endpoint
) -> None:
    with pytest.raises(
        EndpointRefusedError,
        match="answered 401; the key is missing, wrong or without rights: correct it in the connection",
    ):
        check_access(replace(endpoint, api_key="wrong"))
    server.models = None
    with pytest.raises(EndpointRefusedError, match=r"answered 404; correct label\.model, or the address"):
        check_access(replace(endpoint, base_url=server.url.removesuffix("/v1")))
    with pytest.raises(TransientError, match="the connection failed"):
        check_access(replace(endpoint, base_url=f"http://127.0.0.1:{free_port()}"))


def test_the_key_is_in_no_repr(endpoint: Endpoint) -> None:
    client = client_of(replace(endpoint, headers={"X-Other": API_KEY}))

    assert API_KEY not in f"{endpoint!r}{client!r}{vars(client)!r}"

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import EndpointRefusedError, EndpointUnavailableError
from airflow_provider_autoglm.labeling.llm.answers import Answer, Answers
from airflow_provider_autoglm.labeling.llm.asking import Asker
from airflow_provider_autoglm.labeling.llm.budget import Budget
from airflow_provider_autoglm.labeling.llm.client import ChatClient
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from airflow_provider_autoglm.labeling.llm.prompt import Prompt
from airflow_provider_autoglm.labeling.llm.usage import Usage
from airflow_provider_autoglm.settings.llm import LlmSettings
from tests.labeling.llm.conftest import llm_settings
from tests.labeling.llm.server import API_KEY, LlmServer, Reaction, refused

TEXT = "sports on Sunday"
USED = Usage(requests=1, sent=90, received=10)
SPORTS = Answer(outcome="label", label="sports", usage=USED)

Ask = Callable[..., Answer | None]


@pytest.fixture
def budget() -> Budget:
    return Budget(LlmSettings(), Storage.local(), "")


@pytest.fixture
def asker(endpoint: Endpoint, budget: Budget, tmp_path: Path) -> Asker:
    return Asker(
        endpoint,
        ChatClient(endpoint, timeout_s=2, connections=4),
        "small",
        Prompt.of(llm_settings()),
        Answers(Storage.local(), tmp_path.as_uri(), lease_s=60),
        budget,
        max_attempts=4,
        first_pause_s=0.01,
    )


def ask(asker: Asker, text: str = TEXT) -> Answer | None:
    return asker.answer(text.encode().hex(), text, threading.Event())


def test_an_answer_comes_after_all_that_can_go_wrong_before(server: LlmServer, asker: Asker) -> None:
    server.reactions[TEXT] = [refused(500), Reaction(is_reset=True), refused(429, Retry_After="0.01")]

    assert ask(asker) == SPORTS
    assert server.asked[TEXT] == 4


def test_half_an_answer_and_a_page_of_a_proxy_are_asked_again_and_counted(
    server: LlmServer, asker: Asker, budget: Budget
) -> None:
    server.reactions[TEXT] = [Reaction(sent=0.5), Reaction(body=b"<html>please log in</html>")]

    assert ask(asker) == SPORTS
    assert budget.spent.requests == 3


def test_an_endpoint_that_is_down_ends_the_task_after_all_attempts(server: LlmServer, asker: Asker) -> None:
    server.always = refused(503)

    with pytest.raises(EndpointUnavailableError, match=r"\(connection my_llm\) gave no answer in 4 attempts, .*: 503"):
        ask(asker)
    assert server.asked[TEXT] == 4
    server.always = None
    assert ask(asker) == SPORTS


def test_a_server_that_wants_to_be_left_alone_for_long_is(server: LlmServer, asker: Asker) -> None:
    server.always = refused(429, Retry_After="3600")

    with pytest.raises(EndpointUnavailableError, match="429, to be asked again in 3600 s"):
        ask(asker)
    assert server.asked[TEXT] == 1


def test_words_that_name_no_label_are_asked_again_with_a_reminder(server: LlmServer, asker: Asker) -> None:
    server.reactions[TEXT] = [Reaction(content="Well, football"), Reaction(content='{"label": "football"}')]

    answer = ask(asker)
    assert answer == SPORTS.model_copy(update={"usage": USED + USED + USED})
    assert [len(request["messages"]) for request in server.requests] == [2, 3, 3]


def test_a_model_that_never_names_a_label_is_asked_three_times_in_all(server: LlmServer, asker: Asker) -> None:
    server.always = Reaction(content="Well, football")

    assert ask(asker) == Answer(outcome="unusable", usage=USED + USED + USED)
    assert ask(asker) == Answer(outcome="unusable", usage=USED + USED + USED)
    assert server.asked[TEXT] == 3


@pytest.mark.parametrize(
    "reaction",
    [
        Reaction(content="", message={"refusal": "I must not."}),
        Reaction(content="", choice={"finish_reason": "content_filter"}),
    ],
)
def test_a_model_that_refuses_is_not_asked_again(server: LlmServer, asker: Asker, reaction: Reaction) -> None:
    server.always = reaction

    assert ask(asker) == Answer(outcome="unusable", usage=USED)
    assert ask(asker) == Answer(outcome="unusable", usage=USED)
    assert server.asked[TEXT] == 1


def test_a_text_that_the_endpoint_refuses_is_asked_anew_by_a_later_task(server: LlmServer, asker: Asker) -> None:
    assert ask(asker, "weather first") is not None
    server.reactions[TEXT] = [refused(400, "content_filter")]

    assert ask(asker) == Answer(outcome="unusable")
    assert server.asked[TEXT] == 1
    assert ask(asker) == SPORTS


@pytest.mark.parametrize(
    ("known", "requests", "last"),
    [
        ({"temperature", "json_schema"}, 2, {"temperature": 0, "type": "json_schema"}),
        ({"temperature", "json_object"}, 3, {"temperature": 0, "type": "json_object"}),
        ({"temperature"}, 4, {"temperature": 0, "type": None}),
        ({"json_schema"}, 5, {"temperature": None, "type": "json_schema"}),
        (set(), 7, {"temperature": None, "type": None}),
    ],
)
def test_a_server_is_asked_in_the_way_that_it_understands(
    server: LlmServer, asker: Asker, known: set[str], requests: int, last: dict[str, Any]
) -> None:
    server.knows = {"model", "messages"} | known

    assert ask(asker) == SPORTS
    assert ask(asker, "weather next") is not None
    assert len(server.requests) == requests + 1
    found = server.requests[-1]
    assert {"temperature": found.get("temperature"), "type": found.get("response_format", {}).get("type")} == last


def test_an_endpoint_that_refuses_every_text_ends_the_task(server: LlmServer, asker: Asker) -> None:
    server.always = refused(400, "unknown_model")

    for number in range(19):
        assert ask(asker, f"sports {number}") == Answer(outcome="unusable")
    with pytest.raises(EndpointRefusedError, match=r"refuses every text \(unknown_model\); check label\.model"):
        ask(asker)


def test_texts_that_are_refused_at_the_end_of_a_resumed_run_do_not_end_it(
    server: LlmServer, asker: Asker, endpoint: Endpoint, budget: Budget, tmp_path: Path
) -> None:
    ask(asker)
    server.always = refused(400, "content_filter")
    answers = Answers(Storage.local(), tmp_path.as_uri(), lease_s=60)
    client = ChatClient(endpoint, timeout_s=2, connections=1)
    resumed = Asker(endpoint, client, "small", Prompt.of(llm_settings()), answers, budget, max_attempts=1)

    assert ask(resumed) == SPORTS
    assert {ask(resumed, f"sports {number}") for number in range(25)} == {Answer(outcome="unusable")}


def test_what_another_task_asks_for_is_left_to_it(server: LlmServer, asker: Asker, tmp_path: Path) -> None:
    other = Answers(Storage.local(), tmp_path.as_uri(), lease_s=60)
    other.claim(TEXT.encode().hex())

    assert ask(asker) is None
    other.keep(TEXT.encode().hex(), SPORTS)
    assert ask(asker) == SPORTS
    assert server.asked[TEXT] == 0


def test_nothing_is_asked_once_the_task_is_to_stop(server: LlmServer, asker: Asker) -> None:
    stop = threading.Event()
    stop.set()

    assert asker.answer("00", TEXT, stop) is None
    assert server.requests == []


def test_neither_texts_nor_keys_are_logged(server: LlmServer, asker: Asker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.reactions[TEXT] = [refused(500), Reaction(content=TEXT), Reaction(content=TEXT), Reaction(content=TEXT)]
    server.reactions["politics now"] = [refused(400, "content_filter")] * 7
    ask(asker)
    ask(asker, "politics now")

    assert "got no usable answer" in caplog.text
    assert "is refused: content_filter" in caplog.text
    for secret in (TEXT, "politics now", API_KEY):
        assert secret not in caplog.text

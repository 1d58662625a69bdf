from __future__ import annotations

import json
import math

import pytest

from airflow_provider_autoglm.labeling.llm.answer import Choice, Reply, UnreadableReplyError, choice_of, read_reply
from airflow_provider_autoglm.labeling.llm.prompt import Prompt
from airflow_provider_autoglm.labeling.llm.usage import Usage
from airflow_provider_autoglm.settings import LabelSettings

_LABELS = [{"name": name} for name in ("sports", "US politics", "Wetter & Klima", "Go", "GO")]
PROMPT = Prompt.of(LabelSettings.parse({"kind": "llm", "model": "m", "labels": _LABELS}))


def chosen(content: str, *tokens: tuple[str, float]) -> Choice | None:
    return choice_of(Reply(content, Usage(), tokens), PROMPT)


@pytest.mark.parametrize(
    "content",
    [
        '{"label": "sports"}',
        '  {"label": " Sports "}\n',
        '```json\n{"label": "sports"}\n```',
        'Here you are:\n```\n{"label": "sports", "why": "{}"}\n```\nAnything else?',
        'The answer is {"label": "sports"}, since {it} is about a match.',
        '<think>{"label": "Go"}? No.</think>\n{"label": "sports"}',
        '{"label": "sports"} {"label": "sports"}',
        '"sports"',
        "Sports.",
        "**sports**",
    ],
)
def test_a_label_is_found_in_what_models_write_around_it(content: str) -> None:
    assert chosen(content) == Choice("sports", None)


@pytest.mark.parametrize(
    ("content", "label"),
    [('{"label": "us  POLITICS"}', "US politics"), ('{"label": "Go"}', "Go"), ('{"label": "GO"}', "GO")],
)
def test_a_label_may_be_spelled_differently_if_it_is_clear_which_one_is_meant(content: str, label: str) -> None:
    assert chosen(content) == Choice(label, None)


@pytest.mark.parametrize("content", ['{"label": "none"}', '{"label": "None"}', '{"label": null}', "none", '"none"'])
def test_none_of_the_labels_is_an_answer(content: str) -> None:
    assert chosen(content) == Choice(None, None)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "I cannot tell.",
        "The label is sports",
        '{"label": "football"}',
        '{"label": ["sports"]}',
        '{"label": "go"}',
        '{"label": "sports"} or {"label": "Go"}',
        '{"label": "spor',
        '{"class": "sports"}',
        "[" * 100_000,
        "{" * 100_000,
        '{"label": ""}',
        "<think>sports",
    ],
)
def test_nothing_is_guessed(content: str) -> None:
    assert chosen(content) is None


def test_the_probability_is_that_of_the_tokens_that_spell_the_label() -> None:
    tokens = [('{"', -0.5), ("label", -0.5), ('":', -0.5), (' "US', -0.2), (" politics", -0.1), ('"}', -0.5)]
    choice = chosen('{"label": "US politics"}', *tokens)

    assert choice is not None
    assert choice.probability == pytest.approx(math.exp(-0.3))


@pytest.mark.parametrize("tokens", [[("something", -0.1)], [("sports", float("-inf"))], [("sports", float("nan"))]])
def test_a_probability_that_cannot_be_told_is_left_out(tokens: list[tuple[str, float]]) -> None:
    assert chosen('{"label": "sports"}', *tokens) == Choice("sports", None)


def body(message: object, **whole: object) -> bytes:
    return json.dumps({"choices": [{"message": message}], **whole}).encode()


def test_a_reply_is_read_with_its_usage_and_its_tokens() -> None:
    logprobs = {"content": [{"token": "sports", "logprob": -0.1, "bytes": []}]}
    whole = {
        "choices": [{"message": {"content": "sports"}, "finish_reason": "stop", "logprobs": logprobs}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }

    expected = Reply("sports", Usage(requests=1, sent=7, received=3), (("sports", -0.1),))
    assert read_reply(json.dumps(whole).encode(), "asked") == expected


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "7", "completion_tokens": 3}, {"prompt_tokens": 7}])
def test_tokens_are_estimated_if_the_server_does_not_count_them(usage: object) -> None:
    reply = read_reply(body({"content": "sports"}, usage=usage), "足球比赛" * 100)

    assert reply.usage == Usage(requests=1, sent=420, received=2)


def test_content_may_come_in_parts_or_not_at_all() -> None:
    parts = [{"type": "text", "text": "spo"}, {"type": "image"}, {"type": "text", "text": "rts"}]

    assert read_reply(body({"content": parts}), "").content == "sports"
    assert read_reply(body({"content": None}), "").content == ""


@pytest.mark.parametrize("logprobs", [{"content": None}, {"content": [{"token": "x"}]}, {"content": [1]}, [], None])
def test_logprobs_of_an_unknown_form_are_ignored(logprobs: object) -> None:
    whole = {"choices": [{"message": {"content": "sports"}, "logprobs": logprobs}]}

    assert read_reply(json.dumps(whole).encode(), "").tokens == ()


@pytest.mark.parametrize(
    "choice", [{"message": {"refusal": "No."}}, {"message": {}, "finish_reason": "content_filter"}]
)
def test_a_refusal_of_the_model_is_told(choice: object) -> None:
    assert read_reply(json.dumps({"choices": [choice]}).encode(), "").is_refused


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"\xff",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{"message": "x"}]}',
        b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"content": ["x"]}}]}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_chat_completion_is_told(content: bytes) -> None:
    with pytest.raises(UnreadableReplyError):
        read_reply(content, "")

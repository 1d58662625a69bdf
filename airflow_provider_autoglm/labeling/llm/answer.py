"""Which label an answer names. Nothing is guessed: an answer that names no label, or several, is of no use."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.labeling.llm.prompt import FIELD, Prompt, folded
from airflow_provider_autoglm.labeling.llm.usage import Usage, estimated_usage

_END_OF_THOUGHT = "</think>"
_FENCE = re.compile(r"```\w*\n?(.*?)```", re.DOTALL)
_AROUND_A_NAME = " \t\r\n\"'`*.。"
_MOST_OBJECTS = 20
_REFUSALS = ("content_filter", "refusal")


@dataclass(frozen=True)
class Reply:
    """What a server sent back.

    :param content: the model's words; empty if there are none.
    :param tokens: the model's tokens with their logarithmic probabilities, if the server tells them.
    :param is_refused: whether the model, or a filter, refuses to answer this text.
    """

    content: str
    usage: Usage
    tokens: tuple[tuple[str, float], ...] = ()
    is_refused: bool = False


@dataclass(frozen=True)
class Choice:
    """The label that an answer names, None for none of them.

    ``probability`` is that of the words that name it, None if the server does not tell.
    """

    label: str | None
    probability: float | None


class UnreadableReplyError(Exception):
    """The body of an answer is not what an OpenAI-compatible server sends."""


def read_reply(body: bytes, asked: str) -> Reply:
    """Take an answer apart; ``asked`` is what was sent, to estimate its tokens if the server does not count.

    :raises UnreadableReplyError: if it is no JSON, or JSON of something else.
    """
    try:
        whole = json.loads(body)
        choice = whole["choices"][0]
        message = choice["message"]
        content = _words(message.get("content"))
        refused = bool(message.get("refusal")) or choice.get("finish_reason") in _REFUSALS
        return Reply(content, _usage(whole.get("usage"), asked, content), _tokens(choice.get("logprobs")), refused)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableReplyError(type(error).__name__) from None


def choice_of(reply: Reply, prompt: Prompt) -> Choice | None:
    """The label that a reply names, None if it names none that is known, or more than one."""
    content = reply.content.rpartition(_END_OF_THOUGHT)[2].strip()
    named = list(_named_in(content))
    if not named:
        named = [content.strip(_AROUND_A_NAME)]
    found = {_label_of(name, prompt) for name in named}
    if len(found) != 1:
        return None
    label = found.pop()
    if label == "":
        return None
    return Choice(label, _probability(reply, named[-1]) if label is not None else None)


def _label_of(name: object, prompt: Prompt) -> str | None:
    """The label, None for none of them, an empty string for an answer that is not allowed."""
    if name is None or (isinstance(name, str) and name == prompt.nothing):
        return None
    if not isinstance(name, str):
        return ""
    return name if name in prompt.names else prompt.choices.get(folded(name), "")


def _named_in(content: str) -> Iterator[object]:
    """The values of the key ``label`` in JSON objects, wherever they stand in ``content``."""
    for text in (content, *_FENCE.findall(content)):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, str):
            yield found
            return
        if isinstance(found, dict) and FIELD in found:
            yield found[FIELD]
            return
    yield from _named_in_prose(content)


def _named_in_prose(content: str) -> Iterator[object]:
    decoder = json.JSONDecoder()
    position = content.find("{")
    for _ in range(_MOST_OBJECTS):
        if position < 0:
            return
        try:
            found, end = decoder.raw_decode(content, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            if FIELD in found:
                yield found[FIELD]
        position = content.find("{", end)


def _probability(reply: Reply, name: object) -> float | None:
    """The product of the probabilities of the tokens that spell the label.

    Where it was the only choice a token has probability one, so those that decide remain.
    """
    spelled = "".join(token for token, _ in reply.tokens)
    first = spelled.rfind(name) if isinstance(name, str) and name else -1
    if first < 0:
        return None
    assert isinstance(name, str)
    total, start = 0.0, 0
    for token, logarithm in reply.tokens:
        end = start + len(token)
        if start < first + len(name) and end > first:
            total += min(logarithm, 0.0)
        start = end
    return math.exp(total) if math.isfinite(total) else None


def _words(content: object) -> str:
    """The text of a message: a string, nothing, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TypeError
    return "".join(str(part.get("text") or "") for part in content)


def _usage(told: Any, asked: str, content: str) -> Usage:
    if isinstance(told, Mapping):
        sent, received = told.get("prompt_tokens"), told.get("completion_tokens")
        if isinstance(sent, int) and isinstance(received, int) and sent >= 0 and received >= 0:
            return Usage(requests=1, sent=sent, received=received)
    return estimated_usage(asked, content)


def _tokens(told: Any) -> tuple[tuple[str, float], ...]:
    content = told.get("content") if isinstance(told, Mapping) else None
    if not isinstance(content, list):
        return ()
    try:
        return tuple((str(each["token"]), float(each["logprob"])) for each in content)
    except (LookupError, TypeError, ValueError):
        return ()

"""Asking for the label of one text, until there is an answer or no hope of one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Literal

from airflow_provider_autoglm.exceptions import EndpointRefusedError, EndpointUnavailableError
from airflow_provider_autoglm.labeling.llm.answer import Reply, UnreadableReplyError, choice_of, read_reply
from airflow_provider_autoglm.labeling.llm.answers import Answer, Answers
from airflow_provider_autoglm.labeling.llm.budget import Budget
from airflow_provider_autoglm.labeling.llm.client import ChatClient, TextRefusedError, TransientError
from airflow_provider_autoglm.labeling.llm.dialect import DIALECTS, Dialect
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from airflow_provider_autoglm.labeling.llm.prompt import Message, Prompt
from airflow_provider_autoglm.labeling.llm.usage import Usage, estimated_usage

log = logging.getLogger(__name__)

_MOST_USELESS_ANSWERS = 3
_MOST_REFUSALS = 20
_LONGEST_PAUSE_S = 60.0
_LONGEST_WISH_S = 300.0
_RANDOM = SystemRandom()


@dataclass
class _Question:
    """A text, and what asking for its label has come to so far."""

    key: str
    text: str
    failures: int = 0
    useless: int = 0
    usage: Usage = field(default_factory=Usage)


@dataclass(eq=False)
class Asker:
    """Asks for labels, from several threads, and keeps each answer before it returns it.

    :param max_attempts: requests for a text that may fail in a row.
    :param first_pause_s: after the first failure; doubled with each further one, to a minute at most.
    """

    endpoint: Endpoint
    client: ChatClient
    model: str
    prompt: Prompt
    answers: Answers
    budget: Budget
    max_attempts: int
    first_pause_s: float = 1.0
    _dialect: Dialect | None = field(default=None, init=False)
    _has_answered: bool = field(default=False, init=False)
    _refusals: int = field(default=0, init=False)
    _quiet_until: float = field(default=0.0, init=False)

    def answer(self, key: str, text: str, stop: threading.Event) -> Answer | None:
        """The answer to ``text``; None if another task is asking for it now, or ``stop`` was set.

        :raises EndpointUnavailableError: if no attempt got an answer.
        :raises EndpointRefusedError: if the endpoint refuses whatever it is asked.
        :raises LimitReachedError: if the budget has no room for the next request.
        """
        question = _Question(key, text)
        is_claimed = False
        try:
            while not stop.wait(self._quiet_until - time.monotonic()):
                found = self.answers.read(key)
                self._has_answered = self._has_answered or found is not None
                if found is None:
                    is_claimed = self.answers.claim(key)
                    if not is_claimed:
                        return None
                    # Once more: who had the claim before may have left an answer between the first look and this.
                    found = self.answers.read(key) or self._turn(question, stop)
                if found is not None:
                    return found
            return None
        finally:
            if is_claimed:
                self.answers.release(key)

    def _turn(self, question: _Question, stop: threading.Event) -> Answer | None:
        """Ask once; None if that has to be done again."""
        try:
            reply = self._request(question)
        except TransientError as failure:
            self._pause(question, failure, stop)
            return None
        except TextRefusedError as refusal:
            return self._refused(question, refusal)
        self._has_answered = True
        question.failures = 0
        question.usage += reply.usage
        choice = choice_of(reply, self.prompt)
        if choice is not None:
            outcome: Literal["label", "none"] = "none" if choice.label is None else "label"
            answer = Answer(outcome=outcome, label=choice.label, probability=choice.probability, usage=question.usage)
            return self.answers.keep(question.key, answer)
        question.useless += 1
        if question.useless < _MOST_USELESS_ANSWERS and not reply.is_refused:
            return None
        log.warning("a text of %d characters got no usable answer", len(question.text))
        return self.answers.keep(question.key, Answer(outcome="unusable", usage=question.usage))

    def _request(self, question: _Question) -> Reply:
        messages = self.prompt.messages(question.text, again=question.useless > 0)
        asked = "".join(message["content"] for message in messages)
        estimate = estimated_usage(asked)
        with self.budget.request(estimate) as book:
            try:
                reply = self._in_a_dialect(messages, asked)
            except TransientError as failure:
                if failure.is_perhaps_paid:
                    book(estimate)
                raise
            book(reply.usage)
            return reply

    def _in_a_dialect(self, messages: Sequence[Message], asked: str) -> Reply:
        """Ask in the way that the server is known to understand, or find one out: refused requests cost nothing."""
        refusal: TextRefusedError | None = None
        for dialect in DIALECTS if self._dialect is None else (self._dialect,):
            try:
                content = self.client.complete(dialect.body(self.model, messages, self.prompt.schema))
                reply = read_reply(content, asked)
            except TextRefusedError as error:
                refusal = error
            except UnreadableReplyError:
                raise TransientError("the answer is no chat completion", is_perhaps_paid=True) from None
            else:
                self._dialect = self._dialect or dialect
                return reply
        assert refusal is not None
        raise refusal

    def _refused(self, question: _Question, refusal: TextRefusedError) -> Answer:
        """What becomes of a text that the endpoint does not take. It is not kept: nothing was paid."""
        self._refusals += 1
        if self._refusals >= _MOST_REFUSALS and not self._has_answered:
            raise EndpointRefusedError(
                self.endpoint.label,
                f"refuses every text ({refusal.code}); check label.model, and whether this is a chat model",
            )
        log.warning("a text of %d characters is refused: %s", len(question.text), refusal.code)
        return Answer(outcome="unusable")

    def _pause(self, question: _Question, failure: TransientError, stop: threading.Event) -> None:
        """Wait before the next request: longer each time, of random length, as long as the server wishes.

        :raises EndpointUnavailableError: if there is to be no next one.
        """
        question.failures += 1
        wish = failure.pause_s or 0.0
        if wish > _LONGEST_WISH_S:
            cause = f"{failure.cause}, to be asked again in {wish:.0f} s"
            raise EndpointUnavailableError(self.endpoint.label, cause, question.failures)
        if question.failures >= self.max_attempts:
            raise EndpointUnavailableError(self.endpoint.label, failure.cause, question.failures)
        # What the server wishes holds for all threads.
        self._quiet_until = max(self._quiet_until, time.monotonic() + wish)
        longest = min(_LONGEST_PAUSE_S, self.first_pause_s * 2 ** (question.failures - 1))
        pause = wish + longest * _RANDOM.uniform(0.5, 1.0)
        log.info("%s: %s; asking again in %.1f s", self.endpoint.label, failure.cause, pause)
        stop.wait(pause)

"""Labels by a language model that is asked for each text."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.exceptions import BudgetSpentError, SettingsError
from airflow_provider_autoglm.labeling.embedding import name_of
from airflow_provider_autoglm.labeling.labels import Labels, Vectors
from airflow_provider_autoglm.labeling.llm.answers import Answer, Answers
from airflow_provider_autoglm.labeling.llm.asking import Asker
from airflow_provider_autoglm.labeling.llm.budget import Budget, LimitReachedError
from airflow_provider_autoglm.labeling.llm.client import ChatClient
from airflow_provider_autoglm.labeling.llm.prompt import Prompt, sendable
from airflow_provider_autoglm.labeling.llm.spending import spending_folder
from airflow_provider_autoglm.labeling.llm.usage import Usage
from airflow_provider_autoglm.labeling.llm.workers import work_off
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.settings.label import LabelSettings

log = logging.getLogger(__name__)

PROBABILITY_UNTOLD = 0.9
"""Of the label, where the server tells none: what a model says of its own certainty is worth nothing."""

_LARGEST_PROBABILITY = 0.9999
_LEAD_OVER_CHANCE = 1.01
_POLL_S = 1.0


@dataclass(frozen=True)
class LlmLabeler:
    """The label that a model names in a structured answer; a text of which it says that none fits abstains.

    Its probability is that of the tokens that spell the label, else :data:`PROBABILITY_UNTOLD`; the others share the
    rest. What it names wins, so its probability is never below theirs. The same text is asked once, and never again
    once there is an answer in ``resources.answers``.
    """

    name: str
    names: tuple[str, ...]
    model: str
    prompt: Prompt
    asker: Asker
    budget: Budget
    concurrency: int
    max_characters: int

    @classmethod
    def load(cls, settings: LabelSettings, *, language: str | None = None, resources: Resources) -> Self:
        """Prepare the question; nothing is asked yet.

        :raises SettingsError: if there is no endpoint.
        """
        llm, endpoint = settings.llm, resources.endpoint
        if endpoint is None:
            raise SettingsError(
                [
                    "label.kind = 'llm' needs an endpoint: create the Airflow connection "
                    f"{llm.conn_id!r} of type autoglm_llm, or name yours in label.llm.conn_id"
                ]
            )
        model, prompt = settings.model_for(language), Prompt.of(settings)
        work = resources.work
        answers = Answers(
            resources.storage,
            resources.answers or (f"{work}/_answers" if work else ""),
            lease_s=2 * llm.timeout_s,
        )
        budget = Budget(llm, resources.storage, spending_folder(resources))
        client = ChatClient(endpoint, timeout_s=llm.timeout_s, connections=llm.concurrency)
        return cls(
            name=name_of(settings, model),
            names=prompt.names,
            model=model,
            prompt=prompt,
            asker=Asker(endpoint, client, model, prompt, answers, budget, max_attempts=llm.max_attempts),
            budget=budget,
            concurrency=llm.concurrency,
            max_characters=llm.max_characters,
        )

    @property
    def spent(self) -> Usage:
        """What this task has paid for so far."""
        return self.budget.spent

    def predict(self, texts: Sequence[str]) -> Labels:
        """Label ``texts``, in their order; the row of a text without usable answer is not finite.

        A text without any character but white space abstains without being asked.

        :raises EndpointUnavailableError: if no attempt got an answer.
        :raises EndpointRefusedError: if the endpoint refuses the key, the model or everything.
        :raises BudgetSpentError: if the run may not spend what the next text needs.
        """
        sent = [sendable(text, self.max_characters) for text in texts]
        keys = [digest_of(self.model, self.prompt.digest, text) if text.strip() else "" for text in sent]
        questions = {key: text for key, text in zip(keys, sent, strict=True) if key}
        answers: dict[str, Answer] = {}
        before = self.budget.spent
        try:
            self._ask(questions, answers)
        except LimitReachedError as error:
            raise BudgetSpentError(error.setting, error.limit, error.spent, len(questions) - len(answers)) from None
        finally:
            self.budget.flush()
            self._tell(before, len(questions), len(answers))
        return self._labels([answers.get(key, Answer(outcome="none")) for key in keys])

    def _ask(self, questions: Mapping[str, str], answers: dict[str, Answer]) -> None:
        """Collect the answers; what another task asks for just now is waited for."""
        stop = threading.Event()

        def ask(key: str) -> None:
            answer = self.asker.answer(key, questions[key], stop)
            if answer is not None:
                answers[key] = answer

        while open_keys := [key for key in questions if key not in answers]:
            work_off(open_keys, ask, threads=self.concurrency, stop=stop)
            if len(answers) < len(questions):
                stop.wait(_POLL_S)

    def _tell(self, before: Usage, texts: int, answered: int) -> None:
        now = self.budget.spent
        log.info(
            "%s: %d of %d different texts answered; %d requests answered, %d tokens sent, %d received, cost %.4g",
            self.name,
            answered,
            texts,
            now.requests - before.requests,
            now.sent - before.sent,
            now.received - before.received,
            self.budget.cost(now) - self.budget.cost(before),
        )

    def _labels(self, answers: Sequence[Answer]) -> Labels:
        chance = 1 / len(self.names)
        probabilities: Vectors = np.full((len(answers), len(self.names)), chance, np.float32)
        for row, answer in zip(probabilities, answers, strict=True):
            if answer.outcome == "unusable":
                row[:] = np.nan
            elif answer.label is not None:
                told = PROBABILITY_UNTOLD if answer.probability is None else answer.probability
                named = min(max(told, chance * _LEAD_OVER_CHANCE), _LARGEST_PROBABILITY)
                row[:] = (1 - named) / (len(self.names) - 1)
                row[self.names.index(answer.label)] = named
        abstained = np.array([answer.outcome == "none" for answer in answers], np.bool_)
        return Labels(self.names, probabilities, abstained=abstained)

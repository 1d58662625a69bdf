"""What a server may not understand of a request, and what is asked of one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from airflow_provider_autoglm.labeling.llm.prompt import FIELD, Message

AnswerFormat = Literal["json_schema", "json_object", "text"]


@dataclass(frozen=True)
class Dialect:
    """The options of a request beside model and messages."""

    answer_format: AnswerFormat
    is_cold: bool
    with_probabilities: bool

    def body(self, model: str, messages: Sequence[Message], schema: dict[str, Any]) -> dict[str, Any]:
        """The request."""
        body: dict[str, Any] = {"model": model, "messages": list(messages)}
        if self.is_cold:
            body["temperature"] = 0
        if self.with_probabilities:
            body["logprobs"] = True
        if self.answer_format == "json_schema":
            named = {"name": FIELD, "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        elif self.answer_format == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body


_FORMATS: tuple[AnswerFormat, ...] = ("json_schema", "json_object", "text")

DIALECTS = (
    Dialect("json_schema", is_cold=True, with_probabilities=True),
    *(Dialect(form, is_cold, with_probabilities=False) for is_cold, form in product((True, False), _FORMATS)),
)
"""From all that is wished for to what every server takes.

Probabilities are given up first, the temperature last: only reasoning models refuse to be cold, and without it others
answer differently each time.
"""

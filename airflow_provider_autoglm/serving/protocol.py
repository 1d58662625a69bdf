"""What is read from requests and written into answers: MLflow's scoring formats, feedback, request ids."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from airflow_provider_autoglm.serving.model_host import Answer

MAX_LABEL_CHARACTERS = 200
_REQUEST_ID = re.compile(r"[\x20-\x7e]{1,200}")
_LOGGED_ID = re.compile(r"[\x20-\x7e]{1,210}")  # that of a further text ends in its position
_SURROGATE = re.compile("[\ud800-\udfff]")
_FEEDBACK_KEYS = ("request_id", "label", "is_correct", "text")
_EXPECTED = (
    'expected one of {"inputs": ["…"]}, {"inputs": {"text": ["…"]}}, {"instances": ["…"]}, '
    '{"dataframe_records": [{"text": "…"}]}, {"dataframe_split": {"columns": ["text"], "data": [["…"]]}}'
)


class BadRequestError(ValueError):
    """A request that cannot be answered; the message says what was expected and never what was sent."""


@dataclass(frozen=True)
class FeedbackRequest:
    """What was sent to ``/feedback``; of ``label`` and ``is_correct`` at least one is there."""

    request_id: str
    label: str | None
    is_correct: bool | None
    text: str | None


def request_id_of(header: str | None) -> str:
    """The id that the client gave if it is 1 to 200 printable ASCII characters, else a new one."""
    return header if header is not None and _REQUEST_ID.fullmatch(header) else uuid.uuid4().hex


def read_texts(body: bytes, *, max_texts: int) -> tuple[str, ...]:
    """The texts of a scoring request, in MLflow's formats.

    :raises BadRequestError: if there are none, too many, or they are no texts.
    """
    request = _read_object(body, _EXPECTED)
    formats = [name for name in _READERS if name in request]
    if len(formats) != 1:
        raise BadRequestError(_EXPECTED)
    (name,) = formats
    texts = _READERS[name](request[name])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequestError(f"{name}: not a list of texts; {_EXPECTED}")
    if not 1 <= len(texts) <= max_texts:
        raise BadRequestError(f"{name}: {len(texts)} texts; expected 1 to {max_texts}")
    for position, text in enumerate(texts):
        _check_characters(f"{name}, text {position}", text)
    return tuple(texts)


def read_feedback(body: bytes) -> FeedbackRequest:
    """A feedback.

    :raises BadRequestError: if it is not one.
    """
    expected = 'expected {"request_id": "…", "label": "…" and/or "is_correct": true or false, "text": "…" if wanted}'
    request = _read_object(body, expected)
    unknown = len(request.keys() - set(_FEEDBACK_KEYS))
    if unknown:
        raise BadRequestError(f"{unknown} unknown keys; known are {', '.join(_FEEDBACK_KEYS)}; {expected}")
    request_id, label, is_correct, text = (request.get(key) for key in _FEEDBACK_KEYS)
    if not isinstance(request_id, str) or not _LOGGED_ID.fullmatch(request_id):
        raise BadRequestError(f"request_id: not the x-request-id of an answer; {expected}")
    if label is None and is_correct is None:
        raise BadRequestError(f"neither label nor is_correct; {expected}")
    if not isinstance(is_correct, bool | None):
        raise BadRequestError(f"is_correct: neither true nor false; {expected}")
    if not isinstance(text, str | None):
        raise BadRequestError(f"text: not a text; {expected}")
    _check_characters("text", text or "")
    return FeedbackRequest(request_id, _read_label(label), is_correct, text)


def answer_body(answer: Answer) -> dict[str, Any]:
    """MLflow's answer: a prediction a text, in the order of the request."""
    return {"predictions": [{"label": label, "score": score} for label, score in predictions_in(answer)]}


def predictions_in(answer: Answer) -> list[tuple[str, float]]:
    """The likeliest label of each text, and its probability by softmax."""
    logits = answer.logits.astype(np.float64)
    scores = 1.0 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    labels = [answer.labels[place] for place in logits.argmax(axis=1)]
    return list(zip(labels, scores.tolist(), strict=True))


def error_body(message: str, **details: Any) -> dict[str, Any]:
    """How every error looks."""
    return {"error": {"message": message, **details}}


def _read_object(body: bytes, expected: str) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        # What the parser says could quote the request.
        raise BadRequestError(f"the body is not JSON; {expected}") from None
    if not isinstance(request, dict):
        raise BadRequestError(f"the body is not a JSON object; {expected}")
    return request


def _inputs(value: Any) -> Any:
    return value.get("text") if isinstance(value, dict) else value


def _records(value: Any) -> Any:
    if not isinstance(value, list):
        return None
    return [row.get("text") if isinstance(row, dict) else row for row in value]


def _split(value: Any) -> Any:
    columns, rows = (value.get("columns"), value.get("data")) if isinstance(value, dict) else (None, None)
    if not isinstance(columns, list) or not isinstance(rows, list) or "text" not in columns:
        return None
    place = columns.index("text")
    return [row[place] if isinstance(row, list) and len(row) == len(columns) else None for row in rows]


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "inputs": _inputs,
    "instances": _records,
    "dataframe_records": _records,
    "dataframe_split": _split,
}


def _read_label(label: Any) -> str | None:
    if label is None:
        return None
    if not isinstance(label, str) or not 1 <= len(label) <= MAX_LABEL_CHARACTERS:
        raise BadRequestError(f"label: expected a text of 1 to {MAX_LABEL_CHARACTERS} characters")
    _check_characters("label", label)
    return label


def _check_characters(where: str, text: str) -> None:
    if _SURROGATE.search(text):
        raise BadRequestError(f"{where}: holds half of a surrogate pair, which is no character")

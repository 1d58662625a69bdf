"""Formats of requests and answers."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.serving.model_host import Answer
from airflow_provider_autoglm.serving.protocol import (
    BadRequestError,
    answer_body,
    error_body,
    read_feedback,
    read_texts,
    request_id_of,
)

SECRET = "the-text-nobody-may-repeat"


def texts_of(request: object, max_texts: int = 3) -> tuple[str, ...]:
    return read_texts(json.dumps(request).encode(), max_texts=max_texts)


@pytest.mark.parametrize(
    "request_body",
    [
        {"inputs": ["a", "b"]},
        {"inputs": {"text": ["a", "b"]}},
        {"instances": ["a", "b"]},
        {"instances": [{"text": "a"}, {"text": "b"}]},
        {"dataframe_records": [{"text": "a", "id": 1}, {"text": "b", "id": 2}]},
        {"dataframe_split": {"columns": ["id", "text"], "data": [[1, "a"], [2, "b"]], "index": [0, 1]}},
        {"inputs": ["a", "b"], "params": {}},
    ],
)
def test_every_format_of_mlflow_gives_the_same_texts(request_body: object) -> None:
    assert texts_of(request_body) == ("a", "b")


@pytest.mark.parametrize(
    "request_body",
    [
        SECRET,
        [SECRET],
        {},
        {"input": [SECRET]},
        {"inputs": [SECRET], "instances": [SECRET]},
        {"inputs": SECRET},
        {"inputs": {"sentence": [SECRET]}},
        {"inputs": {"text": SECRET}},
        {"inputs": [SECRET, 1]},
        {"inputs": [SECRET, None]},
        {"instances": {"text": [SECRET]}},
        {"dataframe_records": [{"sentence": SECRET}]},
        {"dataframe_records": [[SECRET]]},
        {"dataframe_split": {"columns": ["sentence"], "data": [[SECRET]]}},
        {"dataframe_split": {"columns": ["text", "id"], "data": [[SECRET]]}},
        {"dataframe_split": {"columns": ["text"], "data": SECRET}},
        {"dataframe_split": [[SECRET]]},
    ],
)
def test_another_shape_is_refused_with_what_was_expected_and_not_what_was_sent(request_body: object) -> None:
    with pytest.raises(BadRequestError, match=r'expected one of {"inputs"') as refused:
        texts_of(request_body)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "body", [b"", SECRET.encode(), b'{"inputs": ["' + SECRET.encode(), b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="not JSON") as refused:
        read_texts(body, max_texts=1)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("count", [0, 4])
def test_the_number_of_texts_is_bounded(count: int) -> None:
    with pytest.raises(BadRequestError, match=f"inputs: {count} texts; expected 1 to 3"):
        texts_of({"inputs": ["a"] * count})


def test_half_of_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(BadRequestError, match="inputs, text 1: holds half"):
        read_texts(b'{"inputs": ["a", "\\ud800"]}', max_texts=2)


def test_a_pair_and_a_nul_are_text() -> None:
    assert read_texts(b'{"inputs": ["\\ud83d\\ude00 \\u0000"]}', max_texts=1) == ("\U0001f600 \0",)


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200))
def test_a_printable_id_of_the_client_is_kept(request_id: str) -> None:
    assert request_id_of(request_id) == request_id


@pytest.mark.parametrize("header", [None, "", "x" * 201, "tab\there", "caf\xe9", "line\n"])
def test_another_id_is_replaced_by_a_new_one(header: str | None) -> None:
    first, second = request_id_of(header), request_id_of(header)
    assert first != second
    assert len(first) == 32
    assert int(first, 16) >= 0


def test_an_answer_has_the_likeliest_label_and_its_probability() -> None:
    logits = np.array([[0.0, math.log(3)], [1000.0, -1000.0]], np.float32)
    answer = Answer(("web", "tables"), logits, np.zeros((2, 4), np.float32))

    first, second = answer_body(answer)["predictions"]

    assert first == {"label": "tables", "score": pytest.approx(0.75, rel=1e-6)}
    assert second == {"label": "web", "score": 1.0}


def test_an_error_has_a_message_and_details() -> None:
    assert error_body("no", status="crash") == {"error": {"message": "no", "status": "crash"}}


def test_feedback_has_a_label_a_judgement_or_both() -> None:
    feedback = read_feedback(b'{"request_id": "r.63", "label": "web", "is_correct": false, "text": "t"}')
    assert (feedback.request_id, feedback.label, feedback.is_correct, feedback.text) == ("r.63", "web", False, "t")
    assert read_feedback(b'{"request_id": "r", "is_correct": true}').label is None
    assert read_feedback(b'{"request_id": "r", "label": "web"}').is_correct is None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"label": "web"}, "request_id"),
        ({"request_id": 1, "label": "web"}, "request_id"),
        ({"request_id": "", "label": "web"}, "request_id"),
        ({"request_id": "x" * 211, "label": "web"}, "request_id"),
        ({"request_id": "r"}, "neither label nor is_correct"),
        ({"request_id": "r", "is_correct": "yes"}, "is_correct: neither true nor false"),
        ({"request_id": "r", "is_correct": 1}, "is_correct: neither true nor false"),
        ({"request_id": "r", "is_correct": True, "text": ["t"]}, "text: not a text"),
        ({"request_id": "r", "is_correct": True, "text": "\ud800"}, "text: holds half"),
        ({"request_id": "r", "label": ""}, "label: expected a text of 1 to 200"),
        ({"request_id": "r", "label": "x" * 201}, "label: expected a text of 1 to 200"),
        ({"request_id": "r", "label": 1}, "label: expected a text of 1 to 200"),
        ({"request_id": "r", "label": "\ud800"}, "label: holds half"),
        ({"request_id": "r", "label": "web", SECRET: 1}, "1 unknown keys; known are request_id, label"),
        ([SECRET], "not a JSON object"),
    ],
)
def test_other_feedback_is_refused(values: object, problem: str) -> None:
    with pytest.raises(BadRequestError, match=problem) as refused:
        read_feedback(json.dumps(values).encode())
    assert SECRET not in str(refused.value)

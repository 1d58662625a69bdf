from __future__ import annotations

from airflow_provider_autoglm.labeling.llm.dialect import DIALECTS

_MESSAGES = [{"role": "user", "content": "text"}]


def test_the_first_one_asks_for_everything_and_the_last_one_for_nothing() -> None:
    assert DIALECTS[0].body("m", _MESSAGES, {"type": "object"}) == {
        "model": "m",
        "messages": _MESSAGES,
        "temperature": 0,
        "logprobs": True,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "label", "strict": True, "schema": {"type": "object"}},
        },
    }
    assert DIALECTS[-1].body("m", _MESSAGES, {}) == {"model": "m", "messages": _MESSAGES}


def test_the_temperature_is_given_up_last() -> None:
    assert [dialect.is_cold for dialect in DIALECTS] == [True] * 4 + [False] * 3
    assert [dialect.answer_format for dialect in DIALECTS[1:]] == ["json_schema", "json_object", "text"] * 2

from __future__ import annotations

import json

import pytest

from airflow_provider_autoglm.labeling.llm.prompt import Prompt, sendable
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.llm.conftest import llm_settings


def prompt_for(*names: str) -> Prompt:
    return Prompt.of(LabelSettings.parse({"kind": "llm", "model": "m", "labels": [{"name": name} for name in names]}))


def test_the_model_is_told_the_labels_their_phrases_and_the_instructions() -> None:
    prompt = Prompt.of(llm_settings(instructions="Cricket is sports."))

    system, user = prompt.messages("{a text}")
    assert '- "sports": matches; athletes\n- "politics"\n' in system["content"]
    assert "\nCricket is sports.\n" in system["content"]
    assert user == {"role": "user", "content": "{a text}"}


def test_an_answer_that_was_no_use_is_followed_by_the_allowed_ones() -> None:
    reminder = prompt_for("a", "b").messages("text", again=True)[-1]

    assert json.dumps(["a", "b", "none"]) in reminder["content"]


def test_the_schema_allows_the_labels_and_none() -> None:
    assert prompt_for("a", "ü").schema["properties"]["label"]["enum"] == ["a", "ü", "none"]


@pytest.mark.parametrize(
    ("names", "nothing"),
    [
        (("a", "b"), "none"),
        (("None", "b"), "none of these"),
        (("none", "None of  these", "none of these labels"), "none 2"),
    ],
)
def test_the_answer_for_no_label_is_no_label(names: tuple[str, ...], nothing: str) -> None:
    assert prompt_for(*names).nothing == nothing


def test_a_change_of_what_is_asked_changes_the_digest() -> None:
    prompts = [
        Prompt.of(llm_settings()),
        Prompt.of(llm_settings(instructions="Cricket is sports.")),
        prompt_for("sports", "politics", "weather"),
        prompt_for("politics", "sports", "weather"),
    ]
    assert len({prompt.digest for prompt in prompts}) == 4
    assert Prompt.of(llm_settings(concurrency=9)).digest == prompts[0].digest


def test_a_long_text_is_cut_and_bytes_that_were_no_utf8_are_replaced() -> None:
    text = b"caf\xe9 au lait".decode("utf-8", "surrogateescape")

    assert sendable(text, 7) == "caf\N{REPLACEMENT CHARACTER} au"

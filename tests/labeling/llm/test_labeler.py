from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_provider_autoglm.exceptions import BudgetSpentError, EndpointUnavailableError, SettingsError
from airflow_provider_autoglm.labeling import labelers
from airflow_provider_autoglm.labeling.labels import Labels
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from airflow_provider_autoglm.labeling.llm.labeler import LlmLabeler
from airflow_provider_autoglm.labeling.resources import Resources
from tests.conftest import REPOSITORY
from tests.labeling.llm.conftest import NAMES, LoadLabeler, llm_settings
from tests.labeling.llm.server import API_KEY, LlmServer, Reaction, refused
from tests.labeling.llm.task import texts_of


def named(labels: Labels) -> list[str | None]:
    """The label of each row; None where it abstains, an empty string where there is none."""
    assert labels.abstained is not None
    found: list[str | None] = []
    for row, abstained in zip(labels.probabilities, labels.abstained, strict=True):
        label = labels.names[int(row.argmax())] if np.isfinite(row).all() else ""
        found.append(None if abstained else label)
    return found


def told_with(label: str, logarithm: float) -> Reaction:
    """An answer with a logarithmic probability."""
    tokens = [{"token": '{"label": "', "logprob": -2.0}, {"token": label, "logprob": logarithm}]
    return Reaction(content=f'{{"label": "{label}"}}', choice={"logprobs": {"content": tokens}})


def test_texts_are_labelled_in_their_order(load: LoadLabeler) -> None:
    labels = load().predict(texts_of(50))

    assert labels.names == NAMES
    assert named(labels) == [text.split()[0] for text in texts_of(50)]
    assert labels.probabilities.dtype == np.float32
    assert labels.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert labels.probabilities.max(axis=1) == pytest.approx(0.9)


def test_the_labeler_is_built_from_settings_and_shows_kind_and_model(endpoint: Endpoint) -> None:
    labeler = labelers.build(llm_settings(model="org/small"), resources=Resources(endpoint=endpoint))

    assert isinstance(labeler, LlmLabeler)
    assert labeler.name.startswith("llm/small@")


def test_without_an_endpoint_the_connection_to_create_is_named() -> None:
    with pytest.raises(SettingsError, match="create the Airflow connection 'my_llm' of type autoglm_llm"):
        labelers.build(llm_settings(conn_id="my_llm"))


def test_no_text_is_no_question(load: LoadLabeler, server: LlmServer) -> None:
    labels = load().predict([])

    assert labels.probabilities.shape == (0, 3)
    assert server.requests == []


def test_the_same_text_is_asked_once(load: LoadLabeler, server: LlmServer) -> None:
    assert named(load().predict(["sports", "weather", "sports"] * 4)) == ["sports", "weather", "sports"] * 4
    assert server.asked == {"sports": 1, "weather": 1}


def test_a_text_of_none_of_the_labels_abstains_and_a_blank_one_is_not_asked(
    load: LoadLabeler, server: LlmServer
) -> None:
    labels = load().predict(["none of it", "", " \n\t", "sports"])

    assert named(labels) == [None, None, None, "sports"]
    assert np.isfinite(labels.probabilities).all()
    assert server.asked == {"none of it": 1, "sports": 1}


def test_a_text_without_usable_answer_alone_has_no_label(load: LoadLabeler, server: LlmServer) -> None:
    server.reactions = {
        "sports filtered": [refused(400, "content_filter")] * 7,
        "sports confused": [Reaction(content="Hm.")] * 3,
    }
    labels = load().predict(["sports filtered", "politics", "sports confused"])

    assert named(labels) == ["", "politics", ""]


def test_nasty_texts_are_sent_as_they_can_be(load: LoadLabeler, server: LlmServer) -> None:
    texts = ["sports \ud83d", "weather " + "x" * 1_000_000, "politics 🎉 比赛", "sports \x00"]

    assert named(load(max_characters=100).predict(texts)) == ["sports", "weather", "politics", "sports"]
    assert max(map(len, server.asked)) == 100
    assert "sports \N{REPLACEMENT CHARACTER}" in server.asked


@pytest.mark.parametrize(
    ("told", "expected"),
    [(np.log(0.7), [0.7, 0.15, 0.15]), (np.log(0.01), [0.3367, 0.3317, 0.3317]), (0.0, [0.9999, 0.00005, 0.00005])],
)
def test_what_is_named_wins_with_the_probability_of_its_tokens(
    load: LoadLabeler, server: LlmServer, told: float, expected: list[float]
) -> None:
    server.always = told_with("sports", told)

    assert load().predict(["a text"]).probabilities[0] == pytest.approx(expected, abs=1e-4)


def test_answers_are_kept_for_later_tasks(load: LoadLabeler, server: LlmServer) -> None:
    load().predict(["sports", "none at all"])

    assert named(load(concurrency=2, timeout_s=9).predict(["none at all", "sports"])) == [None, "sports"]
    assert sum(server.asked.values()) == 2


def test_answers_in_a_folder_of_their_own_serve_other_runs(
    load: LoadLabeler, server: LlmServer, tmp_path: Path
) -> None:
    answers = f"{tmp_path.as_uri()}/answers"
    load(work=f"{tmp_path.as_uri()}/run1", answers=answers).predict(["sports"])
    load(work=f"{tmp_path.as_uri()}/run2", answers=answers).predict(["sports"])

    assert server.asked == {"sports": 1}


@pytest.mark.parametrize("change", [{"model": "large"}, {"instructions": "Chess is sports."}])
def test_another_model_or_other_instructions_are_asked_anew(
    load: LoadLabeler, server: LlmServer, change: dict[str, Any]
) -> None:
    load().predict(["sports"])
    load(**change).predict(["sports"])

    assert server.asked == {"sports": 2}


def test_without_a_folder_every_task_asks(load: LoadLabeler, server: LlmServer) -> None:
    load(work="").predict(["sports"])
    load(work="").predict(["sports"])

    assert server.asked == {"sports": 2}


def test_neither_texts_nor_the_key_are_in_the_files(load: LoadLabeler, server: LlmServer, tmp_path: Path) -> None:
    load().predict(["sports in private"])

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        assert "private" not in f"{path}{path.read_text()}"
        assert API_KEY not in f"{path}{path.read_text()}"


def test_what_was_answered_before_the_endpoint_went_down_is_kept(load: LoadLabeler, server: LlmServer) -> None:
    server.reactions["politics 7"] = [refused(503)]
    labeler = load(concurrency=1, max_attempts=1)

    with pytest.raises(EndpointUnavailableError):
        labeler.predict([*texts_of(7), "politics 7", "weather 8"])
    assert labeler.spent.requests == 7
    assert named(load().predict([*texts_of(7), "politics 7"]))[-1] == "politics"
    assert max(server.asked[text] for text in texts_of(7)) == 1


def test_a_spent_budget_says_what_was_used_and_which_key_to_raise(load: LoadLabeler, server: LlmServer) -> None:
    limited = load(concurrency=1, max_tokens_total=1_000)

    with pytest.raises(BudgetSpentError, match=r"used \d+ tokens, .* label\.llm\.max_tokens_total = 1000") as raised:
        limited.predict(texts_of(30))
    spent = sum(server.asked.values())
    assert 0 < spent < 10
    assert raised.value.texts == 30 - spent
    assert not raised.value.retry_can_help


def test_a_retry_has_the_same_budget_and_a_higher_one_goes_on(load: LoadLabeler, server: LlmServer) -> None:
    for _ in range(2):
        with pytest.raises(BudgetSpentError):
            load(max_tokens_total=1_000).predict(texts_of(30))
        asked = server.asked.total()
        assert asked < 10

    load(max_tokens_total=100_000).predict(texts_of(30))
    assert set(server.asked.values()) == {1}


def start_task(server: LlmServer, folder: Path, count: int, timeout_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.labeling.llm.task", server.url, folder.as_uri(), str(count), str(timeout_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)


def test_a_killed_task_is_resumed_and_pays_for_no_answer_twice(
    load: LoadLabeler, server: LlmServer, tmp_path: Path
) -> None:
    server.holds_after = 20
    with start_task(server, tmp_path, 40, 1.5) as killed:
        server.wait_for_requests(20)
        killed.kill()
    newest = {request["messages"][1]["content"] for request in server.requests[-8:]}
    server.is_open.set()

    assert named(load().predict(texts_of(40))) == [text.split()[0] for text in texts_of(40)]
    twice = {text for text, times in server.asked.items() if times > 1}
    assert twice <= newest
    assert len(twice) <= 4  # that were under way
    assert list(tmp_path.rglob("*.asked")) == []


def test_two_tasks_at_once_pay_for_no_text_twice(server: LlmServer, tmp_path: Path) -> None:
    server.is_open.clear()
    with start_task(server, tmp_path, 40, 20) as first, start_task(server, tmp_path, 40, 20) as second:
        server.wait_for_requests(8)
        server.is_open.set()
        said = [first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]]

    assert said == [f"{' '.join(str(number % 3) for number in range(40))}\n"] * 2
    assert server.asked == dict.fromkeys(texts_of(40), 1)


def test_texts_are_asked_at_once(load: LoadLabeler, server: LlmServer) -> None:
    server.is_open.clear()
    asking = threading.Thread(target=load(concurrency=6).predict, args=[texts_of(12)])
    asking.start()
    server.wait_for_requests(6)
    server.is_open.set()
    asking.join()

    assert server.asked.total() == 12

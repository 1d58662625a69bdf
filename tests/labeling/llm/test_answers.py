from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.llm.answers import Answer, Answers
from airflow_provider_autoglm.labeling.llm.usage import Usage

KEY = "ab" * 16
SPORTS = Answer(outcome="label", label="sports", probability=0.75, usage=Usage(requests=1, sent=90, received=10))
POLITICS = Answer(outcome="label", label="politics")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "answers"


def of_a_task(folder: Path, lease_s: float = 60.0) -> Answers:
    return Answers(Storage.local(), folder.as_uri(), lease_s=lease_s)


def test_an_answer_is_read_by_every_later_task(folder: Path) -> None:
    assert of_a_task(folder).read(KEY) is None
    assert of_a_task(folder).keep(KEY, SPORTS) == SPORTS
    assert of_a_task(folder).read(KEY) == SPORTS


def test_the_first_answer_stays(folder: Path) -> None:
    of_a_task(folder).keep(KEY, SPORTS)

    assert of_a_task(folder).keep(KEY, POLITICS) == SPORTS


def test_a_damaged_answer_is_none_and_is_replaced(folder: Path) -> None:
    of_a_task(folder).keep(KEY, SPORTS)
    (folder / "ab" / f"{KEY}.json").write_text('{"outcome": "perhaps"}')

    assert of_a_task(folder).read(KEY) is None
    assert of_a_task(folder).keep(KEY, POLITICS) == POLITICS
    assert of_a_task(folder).read(KEY) == POLITICS


def test_of_two_tasks_one_may_ask(folder: Path) -> None:
    first, second = of_a_task(folder), of_a_task(folder)

    assert first.claim(KEY)
    assert not second.claim(KEY)
    assert first.claim(KEY)


def test_what_is_given_back_may_be_asked_by_another_task(folder: Path) -> None:
    first, second = of_a_task(folder), of_a_task(folder)
    first.claim(KEY)
    second.release(KEY)
    assert not second.claim(KEY)

    first.release(KEY)
    assert second.claim(KEY)
    second.release(KEY)
    assert os.listdir(folder / "ab") == []
    second.release(KEY)


def test_the_claim_of_a_killed_task_runs_out(folder: Path) -> None:
    killed = of_a_task(folder, lease_s=0.05)
    killed.claim(KEY)
    threading.Event().wait(0.06)

    assert of_a_task(folder).claim(KEY)


def test_a_damaged_claim_holds_nobody_back(folder: Path) -> None:
    of_a_task(folder).claim(KEY)
    (folder / "ab" / f"{KEY}.asked").write_text("")

    assert of_a_task(folder).claim(KEY)


def test_without_a_folder_nothing_is_kept() -> None:
    answers = Answers(Storage.local(), "", lease_s=60)

    assert answers.claim(KEY)
    assert answers.keep(KEY, SPORTS) == SPORTS
    assert answers.read(KEY) is None
    answers.release(KEY)

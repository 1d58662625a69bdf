from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.llm.budget import Budget, LimitReachedError
from airflow_provider_autoglm.labeling.llm.usage import Usage
from airflow_provider_autoglm.settings.llm import LlmSettings

SMALL = Usage(requests=1, sent=90, received=10)


def of_a_task(folder: Path | None, **settings: Any) -> Budget:
    return Budget(LlmSettings(**settings), Storage.local(), "" if folder is None else folder.as_uri())


def spend(budget: Budget, times: int) -> None:
    for _ in range(times):
        with budget.request(SMALL) as book:
            book(SMALL)


def test_requests_stay_within_the_tokens() -> None:
    budget = of_a_task(None, max_tokens_total=250)
    spend(budget, 2)

    with pytest.raises(LimitReachedError, match=r"200 tokens of label\.llm\.max_tokens_total = 250"):
        spend(budget, 1)
    assert budget.spent == SMALL + SMALL


def test_requests_stay_within_the_cost() -> None:
    budget = of_a_task(None, max_cost=0.002, price_per_million_input=10.0, price_per_million_output=10.0)
    spend(budget, 2)

    with pytest.raises(LimitReachedError, match=r"0\.002 of label\.llm\.max_cost = 0\.002"):
        spend(budget, 1)


def test_a_limit_of_cost_needs_prices() -> None:
    with pytest.raises(ValueError, match="max_cost needs price_per_million_input and price_per_million_output"):
        LlmSettings(max_cost=1)


def test_requests_under_way_are_counted_until_they_end() -> None:
    budget = of_a_task(None, max_tokens_total=150)

    with budget.request(SMALL), pytest.raises(LimitReachedError, match="0 tokens"):
        spend(budget, 1)
    spend(budget, 1)


def test_a_failed_request_takes_nothing() -> None:
    budget = of_a_task(None, max_tokens_total=100)

    with pytest.raises(ConnectionError), budget.request(SMALL):
        raise ConnectionError
    spend(budget, 1)


def test_what_other_tasks_have_used_counts_too(tmp_path: Path) -> None:
    killed = of_a_task(tmp_path)
    spend(killed, 1)
    other = of_a_task(tmp_path, max_tokens_total=1_000)
    spend(other, 2)
    other.flush()
    (tmp_path / "damaged.json").write_text("{")
    (tmp_path / "note.txt").write_text("")

    budget = of_a_task(tmp_path, max_tokens_total=450)
    spend(budget, 1)
    with pytest.raises(LimitReachedError, match="400 tokens"):
        spend(budget, 1)


def test_a_file_a_task_tells_what_it_has_used(tmp_path: Path) -> None:
    of_a_task(tmp_path).flush()
    assert list(tmp_path.iterdir()) == []

    budget = of_a_task(tmp_path)
    spend(budget, 3)
    budget.flush()
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text()) == {"requests": 3, "sent": 270, "received": 30}

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.routes import Model, read_routes, write_routes
from airflow_provider_autoglm.state.served import Served, newest_served, texts_of
from airflow_provider_autoglm.tracking.registry import model_digest
from demo.models import ask_labels
from demo.processes import Processes
from demo.serving_stack import ServingStack
from demo.traffic import Question, Traffic, count
from demo.weights import WeightSampler, changes
from tests.packaged import write_tiny_model

_TEXTS = ["a web page", "two tables", "neither"]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("logs")) as processes:
        yield processes


@pytest.fixture(scope="module")
def serving(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> ServingStack:
    stack = ServingStack(tmp_path_factory.mktemp("serving"), processes, "docs")
    stack.launch("http://127.0.0.1:1")
    stack.wait_listening()
    return stack


def _deploy(serving: ServingStack, *, lease_s: float | None = None, **changes: object) -> None:
    with serving.database.transaction() as connection:
        write_routes(connection, read_routes(serving.database, "docs"), lease_s=lease_s, **changes)


def _model(folder: Path, version: str, **options: object) -> Model:
    path = write_tiny_model(folder / version, **options)  # type: ignore[arg-type]
    return Model(version, f"file://{path}", model_digest(path))


def _wait(processes: Processes, what: str, condition: Callable[[], bool]) -> None:
    processes.wait_until(what, condition, timeout_s=120, every_s=0.05)


def test_clients_see_no_champion_then_a_champion_and_never_the_nan_of_a_challenger(
    serving: ServingStack, processes: Processes, tmp_path: Path
) -> None:
    good, bad = _model(tmp_path, "1"), _model(tmp_path, "2", answer="nan")
    with WeightSampler(serving.url) as sampler, Traffic(serving.url, _questions(), per_second=40) as traffic:
        _wait(processes, "an answer", lambda: bool(traffic.answers()))
        assert {(answer.status, answer.is_good) for answer in traffic.answers()} == {(503, False)}

        _deploy(serving, champion=good)
        _wait(processes, "the champion", lambda: traffic.answers()[-1].status == 200)
        began = time.time()
        assert ask_labels(serving.url, [{"url": str(number), "text": text} for number, text in enumerate(_TEXTS)]) == {
            "0": "web",
            "1": "tables",
            "2": "web",
        }

        _wait(processes, "its sample", lambda: {"1": 100} in [dict(sample.weights) for sample in sampler.samples()])
        _deploy(serving, lease_s=600, challenger=bad, challenger_weight=50, rollout_id=7)
        _wait(processes, "the breaker", lambda: "breaker" in _kinds_of_events(serving))
        _wait(processes, "its weight", lambda: {"1": 100, "2": 0} in [dict(s.weights) for s in sampler.samples()][-1:])
    figures = count(traffic.answers(began))
    assert figures.requests > 0
    assert figures.errors == 0
    assert list(figures.answers) == ["1"]
    assert [sample.weights for sample in changes(sampler.samples())][:2] == [{}, {"1": 100}]


def test_what_clients_ask_and_tell_stands_in_the_log_with_text_and_label(
    serving: ServingStack, processes: Processes, tmp_path: Path
) -> None:
    _deploy(serving, champion=_model(tmp_path, "8"), challenger=None, challenger_weight=0, rollout_id=None)

    def served() -> list[Served]:
        return newest_served(serving.database, "docs", "8", limit=10_000)

    with Traffic(serving.url, _questions("tables"), per_second=40):
        _wait(processes, "a label that was told", lambda: any(row.given_label == "tables" for row in served()))
    assert set(texts_of(serving.database, [row.id for row in served()]).values()) <= set(_TEXTS)
    assert all(row.has_text for row in served())


def _questions(feedback: str | None = None) -> Iterator[Question]:
    return (Question(text, feedback) for text in itertools.cycle(_TEXTS))


def _kinds_of_events(serving: ServingStack) -> list[str]:
    return [event.kind for event in read_events(serving.database, "docs")]

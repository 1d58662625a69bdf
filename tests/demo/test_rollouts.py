from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import Event, record_event
from airflow_provider_autoglm.state.predictions import Counts, Prediction, Status, log_predictions
from airflow_provider_autoglm.state.rollouts import Transition, move_rollout, start_rollout, take_over
from airflow_provider_autoglm.state.routes import Model
from demo.rollouts import read_figures, rollout_lines

_PIPELINE = "docs"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    database.migrate()
    return database


def _rollout(database: Database, *transitions: Transition) -> int:
    rollout = start_rollout(
        database, _PIPELINE, Model("3", "file:///m", "sha256:0"), started_by="docs/v3", settings={"tick_s": 1}
    )
    token = take_over(database, rollout.id)
    for transition in transitions:
        with database.transaction() as connection:
            rollout = move_rollout(connection, rollout, token, transition)
    return rollout.id


def _judged(state: str, reason: str, requests: int) -> Transition:
    steps = [{"canary_requests": 5}, {"canary_requests": requests}]
    return Transition(state, reason=reason, detail={"judgement": {"steps": steps}})  # type: ignore[arg-type]


def test_a_promoted_rollout_shows_its_transitions_and_the_requests_it_was_judged_on(database: Database) -> None:
    rollout_id = _rollout(
        database,
        Transition("step", reason="it gets 50 % of requests"),
        _judged("promoting", "the last step is passed", 212),
        Transition("done", reason="version 3 is the champion"),
    )
    figures = read_figures(database, _PIPELINE, rollout_id)
    assert (figures.version, figures.champion, figures.state) == ("3", None, "done")
    assert figures.judged_requests == 212
    assert [step.state for step in figures.transitions] == ["pending", "step", "promoting", "done"]
    assert [step.at_s for step in figures.transitions] == sorted(step.at_s for step in figures.transitions)
    assert figures.seconds == figures.ended_at - figures.began_at >= 0
    text = "\n".join(rollout_lines(figures))
    assert "Rollout 1: version 3 without a champion: done after" in text
    assert "promoting     the last step is passed" in text
    assert "judged on 212 requests of its own" in text


def test_a_rollout_that_was_taken_back_names_the_breaker_and_what_each_version_failed(database: Database) -> None:
    rollout_id = _rollout(
        database,
        Transition("rolling_back", reason="invalid_output"),
        Transition("rolled_back", reason="invalid_output"),
    )
    statuses: list[Status] = ["ok", "invalid_output"]
    with database.transaction() as connection:
        record_event(
            connection,
            Event(
                _PIPELINE,
                f"rollout/{rollout_id}/breaker/3/gw",
                "breaker",
                rollout_id=rollout_id,
                version="3",
                detail={"reason": "invalid_output", "gateway_id": "gw"},
            ),
        )
        log_predictions(
            connection,
            [
                Prediction(_PIPELINE, status, 0, version, status, "gw", at=1.0, rollout_id=rollout_id)
                for version, status in zip(("2", "3"), statuses, strict=True)
            ],
        )
    figures = read_figures(database, _PIPELINE, rollout_id)
    assert [(breaker.gateway_id, breaker.reason) for breaker in figures.breakers] == [("gw", "invalid_output")]
    assert figures.requests == {"2": Counts(1, 0), "3": Counts(1, 1)}
    assert figures.judged_requests == 0
    text = "\n".join(rollout_lines(figures))
    assert "breaker       of gw opened: invalid_output" in text
    assert "version 2 1 (0 failed), version 3 1 (1 failed)" in text
    assert "judged on" not in text

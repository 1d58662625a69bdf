from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_autoglm.exceptions import FencedError, PipelineFrozenError, RolloutInProgressError
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.freeze import freeze, lift_freeze
from airflow_provider_autoglm.state.rollouts import (
    TERMINAL_STATES,
    Rollout,
    RolloutState,
    Transition,
    active_rollout,
    check_token,
    latest_rollout,
    move_rollout,
    read_rollout,
    rollout_started_by,
    start_rollout,
    take_over,
)
from airflow_provider_autoglm.state.routes import Model, Routes, write_routes
from tests.state.conftest import CONTENDERS, ONE, THREE, TWO, kinds, race


def start(database: Database, started_by: str = "run 1", model: Model = TWO, pipeline: str = "news") -> Rollout:
    return start_rollout(database, pipeline, model, started_by=started_by, settings={"alpha": 0.01, "steps": (5, 50)})


def move(database: Database, seen: Rollout, token: int, state: RolloutState, **values: object) -> Rollout:
    with database.transaction() as connection:
        return move_rollout(connection, seen, token, Transition(state, **values))  # type: ignore[arg-type]


def end(database: Database, rollout: Rollout) -> Rollout:
    return move(database, rollout, take_over(database, rollout.id), "done")


def test_a_rollout_starts_pending_with_what_it_replaces_and_an_event(database: Database) -> None:
    with database.transaction() as connection:
        write_routes(connection, Routes("news"), champion=ONE)

    rollout = start(database)

    assert rollout.created_at <= rollout.entered_at <= rollout.now
    assert rollout == Rollout(
        id=rollout.id,
        pipeline="news",
        model=TWO,
        champion_version="1",
        started_by="run 1",
        settings={"alpha": 0.01, "steps": [5, 50]},
        state="pending",
        step=0,
        holds=0,
        reason="",
        fencing_token=0,
        created_at=rollout.created_at,
        entered_at=rollout.entered_at,
        heartbeat_at=rollout.heartbeat_at,
        now=rollout.now,
    )
    assert not rollout.is_terminal
    (event,) = read_events(database, "news", rollout_id=rollout.id)
    assert (event.kind, event.version) == ("transition", "2")
    assert event.detail == {"state": "pending", "step": 0, "reason": "started by run 1"}


def test_without_a_champion_there_is_nothing_to_replace(database: Database) -> None:
    assert start(database).champion_version is None


def test_a_retry_finds_the_rollout_it_has_started_as_it_is_now(database: Database) -> None:
    first = start(database)
    moved = move(database, first, take_over(database, first.id), "validating")

    again = start(database)
    assert (again.id, again.state) == (first.id, "validating")

    end(database, moved)
    assert start(database).state == "done"
    assert len(read_events(database, "news")) == 3


def test_a_second_rollout_of_the_pipeline_has_to_wait(database: Database) -> None:
    first = start(database)

    with pytest.raises(RolloutInProgressError, match=f"rollout {first.id} of news version 2 is pending") as raised:
        start(database, "run 2", THREE)
    assert raised.value.retry_can_help

    assert start(database, "run 2", THREE, pipeline="support").id != first.id
    end(database, first)
    assert start(database, "run 3", THREE).state == "pending"


def test_a_failed_rollback_keeps_its_place(database: Database) -> None:
    first = start(database)
    move(database, first, take_over(database, first.id), "rollback_failed")

    with pytest.raises(RolloutInProgressError, match="rollback_failed"):
        start(database, "run 2")


def test_a_frozen_pipeline_starts_none_but_gives_back_what_runs(database: Database) -> None:
    freeze(database, "news", reason="incident 7")
    with pytest.raises(PipelineFrozenError, match=r"frozen \(incident 7\); lift it with: airflow autoglm freeze news"):
        start(database)
    assert latest_rollout(database, "news") is None

    lift_freeze(database, "news")
    first = start(database)
    freeze(database, "news", reason="incident 8")
    assert start(database).id == first.id


def test_of_many_runs_that_start_at_once_one_rollout_is_active(database: Database, url: str) -> None:
    results = race(url, lambda own, number: start(own, f"run {number}"))

    assert kinds(results) == ["Rollout"] + ["RolloutInProgressError"] * (CONTENDERS - 1)
    active = active_rollout(database, "news")
    assert active is not None
    assert active.id in [result.id for result in results if isinstance(result, Rollout)]


def test_one_run_that_starts_many_times_at_once_starts_one_rollout(database: Database, url: str) -> None:
    results = race(url, lambda own, _: start(own).id)

    assert kinds(results) == ["int"] * CONTENDERS
    assert len(set(results)) == 1
    assert len(read_events(database, "news")) == 1


def test_a_freeze_and_a_start_at_once_leave_no_rollout_that_began_frozen(database: Database, url: str) -> None:
    def contend(own: Database, number: int) -> object:
        return start(own) if number % 2 else freeze(own, "news", reason="incident 7")

    results = race(url, contend)

    events = [event.kind for event in read_events(database, "news")]
    assert events in (["freeze"], ["transition", "freeze"]), results


def test_rollouts_are_found_by_id_run_pipeline_and_version(database: Database) -> None:
    first = end(database, start(database))
    second = start(database, "run 2", THREE)

    def id_of(found: Rollout | None) -> int | None:
        return found.id if found else None

    assert read_rollout(database, first.id).state == "done"
    assert id_of(active_rollout(database, "news")) == second.id
    assert id_of(rollout_started_by(database, "run 1")) == first.id
    assert id_of(latest_rollout(database, "news")) == second.id
    assert id_of(latest_rollout(database, "news", "2")) == first.id
    for nothing in (
        active_rollout(database, "support"),
        rollout_started_by(database, "run 3"),
        latest_rollout(database, "support"),
        latest_rollout(database, "news", "9"),
    ):
        assert nothing is None


def test_a_rollout_that_is_not_there_is_told(database: Database) -> None:
    for use in (read_rollout, take_over):
        with pytest.raises(LookupError, match="no rollout 77"):
            use(database, 77)
    with pytest.raises(FencedError), database.transaction() as connection:
        check_token(connection, 77, 1)


def test_a_rollout_moves_and_remembers_when_and_why(database: Database) -> None:
    rollout = start(database)
    token = take_over(database, rollout.id)

    moved = move(database, rollout, token, "step", step=1, holds=1, reason="enough", detail={"canary": {"errors": 0}})

    assert (moved.state, moved.step, moved.holds, moved.reason) == ("step", 1, 1, "enough")
    assert moved.entered_at > rollout.entered_at
    assert moved.created_at == rollout.created_at
    assert read_events(database, "news")[-1].detail == {
        "state": "step",
        "step": 1,
        "reason": "enough",
        "canary": {"errors": 0},
    }


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_a_rollout_at_its_end_is_not_active(database: Database, state: RolloutState) -> None:
    rollout = start(database)

    assert move(database, rollout, take_over(database, rollout.id), state).is_terminal
    assert active_rollout(database, "news") is None


def test_the_same_state_again_and_again_is_an_event_each_time(database: Database) -> None:
    rollout = start(database)
    token = take_over(database, rollout.id)

    for _ in range(20):
        rollout = move(database, rollout, token, "rollback_failed", reason="MLflow is away")

    assert len({event.key for event in read_events(database, "news")}) == 21
    assert rollout.transitions == 20


def test_who_saw_an_older_state_cannot_move_it(database: Database) -> None:
    seen = start(database)
    token = take_over(database, seen.id)
    held = move(database, seen, token, "held", step=1)
    step = move(database, held, token, "step", step=1)
    move(database, step, token, "held", step=1)

    for outdated in (seen, held, replace(step, state="held")):
        with pytest.raises(FencedError):
            move(database, outdated, token, "rolling_back")
    assert read_rollout(database, seen.id).transitions == 3


def test_taking_over_outdates_all_earlier_holders(database: Database) -> None:
    rollout = start(database)
    first = take_over(database, rollout.id)
    second = take_over(database, rollout.id)
    assert second > first > rollout.fencing_token

    with pytest.raises(FencedError, match="another process has taken over"):
        move(database, rollout, first, "validating")
    with pytest.raises(FencedError), database.transaction() as connection:
        check_token(connection, rollout.id, first)

    assert read_rollout(database, rollout.id).state == "pending"
    assert move(database, rollout, second, "validating").state == "validating"


def test_many_that_take_over_at_once_get_a_token_each(database: Database, url: str) -> None:
    rollout = start(database)

    tokens = race(url, lambda own, _: take_over(own, rollout.id))

    assert sorted(tokens, key=str) == list(range(1, CONTENDERS + 1))


def test_of_many_that_move_with_one_token_one_does(database: Database, url: str) -> None:
    rollout = start(database)
    token = take_over(database, rollout.id)

    results = race(url, lambda own, _: move(own, rollout, token, "validating"))

    assert kinds(results) == ["FencedError"] * (CONTENDERS - 1) + ["Rollout"]
    assert len(read_events(database, "news")) == 2


def test_a_fenced_writer_changes_nothing_however_late_it_comes(database: Database, url: str) -> None:
    """Each contender takes over, then writes routes under its token: only writes of newest holders come through."""
    rollout = start(database)

    def act(own: Database, number: int) -> int:
        token = take_over(own, rollout.id)
        for _ in range(10):
            with own.transaction() as connection:
                check_token(connection, rollout.id, token)
                connection.exec_driver_sql(f"update rollouts set reason = reason || '{number}'")
        return number

    results = race(url, act)

    finished = [result for result in results if isinstance(result, int)]
    written = read_rollout(database, rollout.id).reason
    assert set(kinds(results)) <= {"FencedError", "int"}
    assert finished
    for number in finished:
        assert written.count(str(number)) == 10
    runs = [digit for digit, before in zip(written, " " + written, strict=False) if digit != before]
    assert len(runs) == len(set(runs)), "no holder wrote again after another had taken over"

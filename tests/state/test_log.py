"""Events, replicas, predictions and feedback."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType

import pytest
import sqlalchemy as sa

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import Event, read_events, record_event
from airflow_provider_autoglm.state.insert import insert_new
from airflow_provider_autoglm.state.pipelines import known_pipelines
from airflow_provider_autoglm.state.predictions import (
    Counts,
    Feedback,
    Prediction,
    count_requests,
    log_feedback,
    log_predictions,
)
from airflow_provider_autoglm.state.replicas import (
    FRESH_S,
    Replica,
    VersionStatus,
    forget_replica,
    read_replicas,
    report_replica,
)
from airflow_provider_autoglm.state.routes import Routes, write_routes
from airflow_provider_autoglm.state.tables import checks, feedback, predictions
from tests.state.conftest import CONTENDERS, ONE, race

FIRST = Prediction(
    pipeline="news",
    request_id="r0",
    position=0,
    assigned_version="2",
    assigned_status="ok",
    gateway_id="gateway-1",
    at=1_000.25,
    rollout_id=7,
    assigned_ms=12.5,
    served_version="2",
    label="sport",
    score=0.75,
    embedding=bytes(range(256)) * 3,
    text="Überraschung: 2:1 ⚽",
    text_sha256="0" * 64,
)


def log(database: Database, *batch: Prediction) -> int:
    with database.transaction() as connection:
        return log_predictions(connection, batch)


def say(database: Database, *batch: Feedback) -> None:
    with database.transaction() as connection:
        log_feedback(connection, batch)


def rows_of(database: Database, table: sa.Table) -> list[dict[str, object]]:
    with database.reading() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.request_id)).mappings()
        return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def record(database: Database, event: Event) -> bool:
    with database.transaction() as connection:
        return record_event(connection, event)


def report(database: Database, replica: Replica) -> None:
    with database.transaction() as connection:
        report_replica(connection, replica)


# Events


def test_an_event_is_written_once_for_its_key(database: Database) -> None:
    event = Event("news", "rollout/7/breaker/2/g1", "breaker", rollout_id=7, version="2", detail={"reason": "crash"})

    assert record(database, event)
    assert not record(database, replace(event, detail={"reason": "timeout"}))
    assert record(database, replace(event, pipeline="support"))

    (found,) = read_events(database, "news")
    assert abs(found.at - database.now()) < 60
    assert found == replace(event, at=found.at)


def test_events_are_read_oldest_first_the_latest_ones_and_by_rollout(database: Database) -> None:
    for number in range(5):
        record(database, Event("news", f"key {number}", "judgement", rollout_id=number % 2, generation=number))

    def keys(**chosen: int) -> list[str]:
        return [event.key[-1] for event in read_events(database, "news", **chosen)]

    assert keys() == ["0", "1", "2", "3", "4"]
    assert keys(limit=2) == ["3", "4"]
    assert keys(rollout_id=1) == ["1", "3"]


def test_an_event_that_many_write_at_once_is_new_to_one(database: Database, url: str) -> None:
    results = race(url, lambda own, _: record(own, Event("news", "routes/3/lease_lost", "lease_lost")))

    assert sorted(map(str, results)) == ["False"] * (CONTENDERS - 1) + ["True"]


def test_details_come_back_as_json_from_both_databases(database: Database) -> None:
    detail = MappingProxyType(
        {
            "evidence": MappingProxyType({"p": math.nan, "ratio": math.inf, "rate": 0.1}),
            "steps": (1, 2),
            "text": "a\0b \ud800 ü",
            "flags": [True, None],
            "count": 2**40,
        }
    )

    record(database, Event("news", "key", "judgement", detail=detail))

    assert read_events(database, "news")[0].detail == {
        "evidence": {"p": None, "ratio": None, "rate": 0.1},
        "steps": [1, 2],
        "text": "a\ufffdb ? ü",
        "flags": [True, None],
        "count": 2**40,
    }


# Replicas


def test_a_replica_is_what_it_last_said(database: Database) -> None:
    first = Replica("news", "gateway-2", 3, {"1": VersionStatus("loading")})
    report(database, first)
    second = replace(
        first,
        generation=4,
        versions={"1": VersionStatus("ready"), "2": VersionStatus("failed", is_breaker_open=True, reason="crash")},
        log_text="hash",
    )
    report(database, second)
    report(database, Replica("news", "gateway-1", 4))
    report(database, Replica("support", "gateway-1", 1))

    found = read_replicas(database, "news")
    assert [replica.gateway_id for replica in found] == ["gateway-1", "gateway-2"]
    assert found[1] == replace(second, age_s=found[1].age_s)
    assert found[1].is_fresh
    assert 0 <= found[1].age_s < 60


def test_a_replica_that_is_silent_is_not_fresh(database: Database) -> None:
    report(database, Replica("news", "gateway-1", 3))
    with database.transaction() as connection:
        connection.exec_driver_sql(f"update replicas set heartbeat_at = heartbeat_at - {FRESH_S + 1}")

    (found,) = read_replicas(database, "news")
    assert found.age_s > FRESH_S
    assert not found.is_fresh


def test_a_replica_that_says_goodbye_is_forgotten(database: Database) -> None:
    report(database, Replica("news", "gateway-1", 3))
    report(database, Replica("news", "gateway-2", 3))
    with database.transaction() as connection:
        forget_replica(connection, "news", "gateway-1")

    assert [replica.gateway_id for replica in read_replicas(database, "news")] == ["gateway-2"]


def test_pipelines_are_known_by_their_routes_and_their_gateways(database: Database) -> None:
    assert known_pipelines(database) == []
    with database.transaction() as connection:
        write_routes(connection, Routes("support"), champion=ONE)
    report(database, Replica("news", "gateway-1", 0))
    report(database, Replica("support", "gateway-2", 1))

    assert known_pipelines(database) == ["news", "support"]


# Predictions


def test_a_prediction_comes_back_as_it_was_logged(database: Database) -> None:
    failed = Prediction("news", "r1", 0, "2", "crash", "gateway-1", 1_001.5)

    assert log(database, FIRST, failed) == 2

    assert rows_of(database, predictions) == [vars(FIRST), vars(failed)]


def test_a_batch_that_is_written_again_adds_what_is_new(database: Database) -> None:
    batch = [replace(FIRST, request_id=f"r{number}") for number in range(2_500)]
    assert log(database) == 0
    assert log(database, *batch[:1_500]) == 1_500
    assert log(database, *batch, batch[-1]) == 1_000
    assert log(database, *batch) == 0

    assert len(rows_of(database, predictions)) == 2_500


def test_gateways_that_replay_the_same_batch_at_once_write_it_once(database: Database, url: str) -> None:
    batch = [replace(FIRST, request_id=f"r{number}") for number in range(200)]

    results = race(url, lambda own, _: log(own, *batch))

    assert sum(int(str(result)) for result in results) == 200


def test_what_a_database_cannot_hold_is_replaced_and_keeps_no_batch_out(database: Database) -> None:
    log(database, replace(FIRST, request_id="x" * 300, text="a\0b\ud800", label="y" * 300))

    (found,) = rows_of(database, predictions)
    assert (found["request_id"], found["text"], found["label"]) == ("x" * 250, "a\ufffdb?", "y" * 250)
    assert log(database, replace(FIRST, request_id="x" * 300)) == 0, "it is found by the same name"


def test_requests_of_a_rollout_are_counted_by_the_version_they_were_given_to(database: Database) -> None:
    def logged(request_id: str, version: str, status: str = "ok", **changes: object) -> Prediction:
        given = {"request_id": request_id, "assigned_version": version, "assigned_status": status}
        return replace(FIRST, **(given | changes))  # type: ignore[arg-type]

    log(
        database,
        logged("a", "1"),
        logged("b", "1", "timeout"),
        logged("c", "2"),
        logged("c.1", "2", "error", position=1),
        *(logged(f"d{number}", "2", status) for number, status in enumerate(["invalid_output", "error", "crash"])),
        logged("e", "2", "unavailable", at=999.0),
        logged("f", "2", rollout_id=8),
        logged("g", "2", rollout_id=None),
    )

    assert count_requests(database, 7, 1_000.25) == {"1": Counts(2, 1), "2": Counts(4, 3)}
    assert count_requests(database, 7, 0.0)["2"] == Counts(5, 4)
    assert count_requests(database, 7, 2_000.0) == {}


# Feedback


def test_of_two_on_one_request_the_later_feedback_stays_in_whatever_order_they_come(database: Database) -> None:
    early = Feedback("news", "r1", at=10.0, is_correct=False)
    late = Feedback("news", "r1", at=20.0, label="sport", is_correct=True, text="2:1")

    say(database, late, early)
    say(database, early, Feedback("news", "r2", at=5.0))

    assert rows_of(database, feedback) == [vars(late), vars(Feedback("news", "r2", at=5.0))]


def test_people_may_change_their_mind(database: Database) -> None:
    say(database, Feedback("news", "r1", at=10.0, is_correct=False, text="why"))
    say(database, Feedback("news", "r1", at=11.0, is_correct=True))

    assert rows_of(database, feedback) == [vars(Feedback("news", "r1", at=11.0, is_correct=True))]


def test_feedback_that_many_gateways_write_at_once_does_not_lock_them_out(database: Database, url: str) -> None:
    def send(own: Database, number: int) -> None:
        batch = [Feedback("news", f"r{request}", at=float(number)) for request in range(100)]
        say(own, *(batch if number % 2 else reversed(batch)))

    assert race(url, send) == [None] * CONTENDERS
    assert {row["at"] for row in rows_of(database, feedback)} == {CONTENDERS - 1.0}


# Checks


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_check_is_one_row_a_pipeline_kind_and_run(database: Database, is_confirmed: bool) -> None:
    row = {
        "pipeline": "news",
        "kind": "drift",
        "run": "scheduled__1",
        "state": "drifted",
        "is_confirmed": is_confirmed,
        "score": 0.4,
        "report": {"top": ["a"]},
        "at": 10.5,
    }
    with database.transaction() as connection:
        assert insert_new(connection, checks, [row, {**row, "state": "ok"}, {**row, "kind": "feedback"}]) == 2
        found = connection.execute(sa.select(checks).order_by(checks.c.id)).mappings().all()

    assert [found[0][name] for name in row] == list(row.values())
    assert found[0]["is_confirmed"] is is_confirmed
    assert found[0]["new_rows"] == 0

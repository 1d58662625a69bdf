"""The sensors of checks, through ``dag.test()``, on a real state."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_autoglm.sensors.check import ConfirmedCheckSensor
from airflow_provider_autoglm.sensors.drift import DriftSensor
from airflow_provider_autoglm.sensors.feedback import FeedbackSensor
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, CheckKind, record_check
from tests.dags.running import states_after
from tests.gateway import wait_until

PIPELINE = "watched"
Results = list[dict[str, Any]]


@pytest.fixture
def database(airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    url = f"sqlite:///{tmp_path}/state.db"
    monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_STATE", json.dumps({"conn_type": "autoglm_state", "host": url}))
    made = Database(url)
    made.migrate()
    return made


def record(database: Database, run: str, *, kind: CheckKind = "drift", is_confirmed: bool = True) -> Check:
    measured = Check(PIPELINE, kind, run, "drifted", is_confirmed=is_confirmed, score=0.5, report={"learnable": True})
    return record_check(database, measured, lambda check, _earlier, _now: check)


def waiting_dag(sensor: type[ConfirmedCheckSensor], results: Results, *, confirm: Any = None) -> DAG:
    """The sensor, after ``confirm`` where it is given; ``results`` takes what it returns."""

    def keep(found: dict[str, Any]) -> None:
        results.append(found)

    with DAG(f"waits_for_{sensor.kind}", schedule=None) as dag:
        wait = sensor(task_id="wait", pipeline=PIPELINE, poke_interval=0.1, timeout=60)
        kept = task(keep)(wait.output)
        if confirm is not None:
            task(lambda: bool(confirm()), task_id="confirm")() >> wait >> kept
    return dag


def is_deferred(home: Path, dag: DAG) -> bool:
    query = "select 1 from task_instance where dag_id = ? and task_id = 'wait' and state = 'deferred'"
    with closing(sqlite3.connect(f"file:{home}/airflow.db?mode=ro", uri=True)) as connection:
        return connection.execute(query, (dag.dag_id,)).fetchone() is not None


@pytest.mark.parametrize(("sensor", "kind"), [(DriftSensor, "drift"), (FeedbackSensor, "feedback")])
def test_a_check_confirmed_since_the_run_began_is_returned_at_once(
    database: Database, sensor: type[ConfirmedCheckSensor], kind: CheckKind
) -> None:
    results: Results = []
    dag = waiting_dag(sensor, results, confirm=lambda: record(database, "during the run", kind=kind))
    assert states_after(dag)["wait"] == "success"
    (found,) = results
    assert (found["kind"], found["state"], found["score"], found["learnable"]) == (kind, "drifted", 0.5, True)


def test_older_unconfirmed_and_other_checks_are_waited_past(database: Database, airflow_home: Path) -> None:
    record(database, "before the run")
    results: Results = []
    dag = waiting_dag(DriftSensor, results)

    def confirm() -> None:
        wait_until("the sensor is deferred", lambda: is_deferred(airflow_home, dag))
        record(database, "not confirmed", is_confirmed=False)
        record(database, "of another kind", kind="feedback")
        record(database, "while it waited")

    thread = threading.Thread(target=confirm)
    thread.start()
    assert states_after(dag)["wait"] == "success"
    thread.join()
    assert [found["check"] for found in results] == [4]

"""The sensors of checks, through ``dag.test()``, on a real state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_autoglm.sensors.check import ConfirmedCheckSensor
from airflow_provider_autoglm.sensors.drift import DriftSensor
from airflow_provider_autoglm.sensors.feedback import FeedbackSensor
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, CheckKind, record_check
from airflow_provider_autoglm.triggers.check import ConfirmedCheckTrigger
from tests.dags.running import states_after

PIPELINE = "watched"
Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def database(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One state for all tests, in which checks add up."""
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('state')}/state.db")
    made.migrate()
    with pytest.MonkeyPatch.context() as environment:
        connection = {"conn_type": "autoglm_state", "host": made.name}
        environment.setenv("AIRFLOW_CONN_AUTOGLM_STATE", json.dumps(connection))
        yield made
    made.close()


def record(database: Database, run: str, *, kind: CheckKind = "drift", is_confirmed: bool = True) -> Check:
    measured = Check(PIPELINE, kind, run, "drifted", is_confirmed=is_confirmed, score=0.5, report={"learnable": True})
    return record_check(database, measured, lambda check, _earlier, _now: check)


def waiting_dag(sensor: type[ConfirmedCheckSensor], results: Results, *, confirm: Any = None) -> DAG:
    """The sensor, after ``confirm`` where it is given; ``results`` takes what it returns."""

    def keep(found: dict[str, Any]) -> None:
        results.append(found)

    with DAG(f"waits_for_{sensor.kind}{'' if confirm is None else '_in_the_run'}", schedule=None) as dag:
        wait = sensor(task_id="wait", pipeline=PIPELINE, poke_interval=0.1, timeout=60)
        kept = task(keep)(wait.output)
        if confirm is not None:
            task(lambda: bool(confirm()), task_id="confirm")() >> wait >> kept
    return dag


@pytest.mark.parametrize(("sensor", "kind"), [(DriftSensor, "drift"), (FeedbackSensor, "feedback")])
def test_a_check_confirmed_since_the_run_began_is_returned_at_once(
    database: Database, sensor: type[ConfirmedCheckSensor], kind: CheckKind
) -> None:
    results: Results = []
    dag = waiting_dag(sensor, results, confirm=lambda: record(database, f"during the run of {kind}", kind=kind))
    assert states_after(dag)["wait"] == "success"
    (found,) = results
    assert (found["kind"], found["state"], found["score"], found["learnable"]) == (kind, "drifted", 0.5, True)


def test_older_unconfirmed_and_other_checks_are_waited_past(database: Database) -> None:
    record(database, "before the run")
    began = datetime.now(UTC)
    record(database, "not confirmed", is_confirmed=False)
    record(database, "of another kind", kind="feedback")
    sensor = DriftSensor(task_id="wait", pipeline=PIPELINE, poke_interval=0.02)
    context: Any = {"dag_run": SimpleNamespace(run_after=began)}
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context)
    awaited = record(database, "while it waited")
    path, arguments = deferred.value.trigger.serialize()
    assert path.endswith(".ConfirmedCheckTrigger")

    async def first_event() -> dict[str, Any]:
        async with asyncio.timeout(60):
            return dict((await anext(ConfirmedCheckTrigger(**arguments).run())).payload)

    found = sensor.execute_complete(context, asyncio.run(first_event()))
    assert (found["check"], found["kind"]) == (awaited.id, "drift")

"""The trigger of a rollout in an event loop of its own: real state, real registry, gateways as the state knows them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.settings import RolloutSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.rollouts import Rollout, read_rollout, start_rollout, take_over
from airflow_provider_autoglm.state.routes import Model, read_routes, write_routes
from airflow_provider_autoglm.tracking.registry import Registry
from airflow_provider_autoglm.triggers import rollout as trigger_module
from airflow_provider_autoglm.triggers.rollout import RolloutTrigger
from tests.mlflow_server import MlflowServer
from tests.rollout.gateways import Gateways

SETTINGS = RolloutSettings.parse(
    {"steps": [{"weight_percent": 50, "bake_s": 0}], "min_requests": 100, "tick_s": 0.2, "lease_s": 20}
)


@pytest.fixture(autouse=True)
def no_supervisor_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No task waits for the event here, so it need not come late."""
    monkeypatch.setattr(trigger_module, "_EARLIEST_EVENT_S", 0.2)


@pytest.fixture
def pipeline(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A pipeline with versions 1 and 2 in the registry."""
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_server.uri}))
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "autoglm")
    name = request.node.name[:60]
    registry = Registry(MlflowClient(tracking_uri=mlflow_server.uri), name)
    experiment = registry.client.create_experiment(name)
    for number in (1, 2):
        registry.register(registry.client.create_run(experiment).info.run_id, "model", f"sha256:{number}", {})
    return name


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/state.db")
    made.migrate()
    connection = {"conn_type": "autoglm_state", "host": f"sqlite:///{tmp_path}/state.db"}
    monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_STATE", json.dumps(connection))
    yield made
    made.close()


@pytest.fixture
def rollout(database: Database, pipeline: str) -> Rollout:
    """Version 2 beside the champion 1."""
    with database.transaction() as connection:
        write_routes(connection, read_routes(database, pipeline), champion=Model("1", "runs:/1/model", "sha256:1"))
    model = Model("2", "runs:/2/model", "sha256:2")
    return start_rollout(database, pipeline, model, started_by="dag/run", settings=SETTINGS.model_dump(mode="json"))


def trigger(rollout: Rollout) -> RolloutTrigger:
    run = {"pipeline": rollout.pipeline, "dag_id": "dag", "run_id": "run", "root": "file:///r", "folder": "file:///r/f"}
    return RolloutTrigger(rollout_id=rollout.id, run=run, tick_s=SETTINGS.tick_s, lease_s=SETTINGS.lease_s)


async def events_of(*triggers: RolloutTrigger) -> list[TriggerEvent]:
    async def first_event(one: RolloutTrigger) -> TriggerEvent:
        (event,) = [event async for event in one.run()]
        return event

    return list(await asyncio.gather(*(first_event(one) for one in triggers)))


def states(database: Database, rollout: Rollout) -> list[str]:
    events = read_events(database, rollout.pipeline, rollout_id=rollout.id)
    return [event.detail["state"] for event in events if event.kind == "transition"]


def test_it_drives_the_rollout_to_its_end_and_says_once_where_it_is(database: Database, rollout: Rollout) -> None:
    with Gateways(database, rollout.pipeline).running(requests=5):
        (event,) = asyncio.run(events_of(trigger(rollout)))
    assert event.payload == {"rollout_id": rollout.id, "state": "done"}
    champion = read_routes(database, rollout.pipeline).champion
    assert champion is not None
    assert champion.version == "2"


def test_it_is_rebuilt_from_what_it_serializes(database: Database, rollout: Rollout) -> None:
    path, arguments = trigger(rollout).serialize()
    assert path == "airflow_provider_autoglm.triggers.rollout.RolloutTrigger"
    again: Any = RolloutTrigger(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)


def test_of_two_triggers_one_acts_and_both_tell_the_end(database: Database, rollout: Rollout) -> None:
    with Gateways(database, rollout.pipeline).running(requests=5):
        events = asyncio.run(events_of(trigger(rollout), trigger(rollout)))
    assert [event.payload["state"] for event in events] == ["done", "done"]
    assert states(database, rollout) == ["pending", "validating", "warming", "step", "promoting", "done"]


def test_a_challenger_that_fails_is_rolled_back(database: Database, rollout: Rollout) -> None:
    with Gateways(database, rollout.pipeline, failing={"2": 2}).running(requests=5):
        (event,) = asyncio.run(events_of(trigger(rollout)))
    assert event.payload["state"] == "rolled_back"
    assert read_routes(database, rollout.pipeline).challenger is None


def test_it_waits_for_a_state_that_is_away(
    database: Database, rollout: Rollout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, elsewhere = tmp_path / "state.db", tmp_path / "away.db"

    async def drive() -> list[TriggerEvent]:
        database.close()
        file.rename(elsewhere)
        driving = asyncio.create_task(events_of(trigger(rollout)))
        while "trying again" not in capsys.readouterr().out:
            assert not driving.done()
            await asyncio.sleep(0.05)
        elsewhere.rename(file)
        return await driving

    with Gateways(database, rollout.pipeline).running(requests=5):
        (event,) = asyncio.run(drive())
    assert event.payload["state"] == "done"


def test_it_takes_over_from_a_person_who_has_fallen_silent(database: Database, rollout: Rollout) -> None:
    """A rollback that was killed between taking over and taking back must not leave the rollout to nobody."""
    driving = trigger(rollout)
    driving.lease_s = 1.0

    async def drive() -> list[TriggerEvent]:
        events = asyncio.create_task(events_of(driving))
        while read_rollout(database, rollout.id).state == "pending":
            await asyncio.sleep(0.05)
        take_over(database, rollout.id)
        return await events

    with Gateways(database, rollout.pipeline).running(requests=5):
        (event,) = asyncio.run(drive())
    assert event.payload["state"] in ("done", "rolled_back")

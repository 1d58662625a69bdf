"""What passes between a gateway and the state beside requests; the rest of it is in test_app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_autoglm.serving.database_clock import DatabaseClock
from airflow_provider_autoglm.serving.fleet import Fleet
from airflow_provider_autoglm.serving.poller import Poller
from airflow_provider_autoglm.settings import ServingSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.replicas import read_replicas
from airflow_provider_autoglm.state.routes import Model
from tests.gateway import PIPELINE, deploy
from tests.serving.hosts import until


def poll(database: Database, folder: Path, condition: Callable[[Poller], object], *, breaker: Model | None) -> Poller:
    """Poll until the condition holds; a breaker opens once the routes are read."""
    settings = ServingSettings(pipeline=PIPELINE, gateway_id="east", poll_s=0.02, cache_dir=str(folder / "cache"))

    async def scenario() -> Poller:
        clock = DatabaseClock()
        fleet = Fleet(settings, on_breaker_open=lambda model, reason: None)
        poller = Poller(settings, database=database, fleet=fleet, clock=clock, champion=lambda: None)
        running = asyncio.create_task(poller.run())
        await until(lambda: poller.table is not None)
        if breaker is not None:
            poller.note_breaker(breaker, "crash")
            poller.note_breaker(breaker, "crash")
        await until(lambda: condition(poller))
        assert clock.now() == pytest.approx(database.now(), abs=30)
        await poller.stop(running)
        await fleet.close()
        return poller

    return asyncio.run(scenario())


def test_a_breaker_outside_of_a_rollout_is_an_event_of_the_routes(tmp_path: Path, state: Database) -> None:
    two = Model("2", f"file://{tmp_path}/absent", "sha256:" + "0" * 64)
    deploy(state, challenger=two)

    poll(state, tmp_path, lambda _: read_events(state, PIPELINE), breaker=two)

    (event,) = read_events(state, PIPELINE)
    assert (event.key, event.kind, event.version, event.rollout_id) == ("routes/1/breaker/2/east", "breaker", "2", None)
    assert event.detail == {"reason": "crash", "gateway_id": "east"}
    assert read_replicas(state, PIPELINE) == []  # it has said goodbye


def test_polling_outlives_what_nobody_thought_of(
    tmp_path: Path, state_url: str, state: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Database):
        def reading(self):  # type: ignore[no-untyped-def]
            reads.append(1)
            if len(reads) == 4:
                raise RuntimeError("no error of a database")
            return super().reading()

    reads: list[int] = []
    database = Failing(state_url)
    poller = poll(database, tmp_path, lambda poller: len(reads) > 6 and not poller.problem, breaker=None)
    database.close()
    assert poller.problem == ""
    assert "the state cannot be used, the last routes stay: RuntimeError" in caplog.text

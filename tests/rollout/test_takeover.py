"""Several drivers of one rollout at the same time, on SQLite and on PostgreSQL: the newest acts, no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_autoglm.exceptions import FencedError, RouteChangedError
from airflow_provider_autoglm.rollout.driver import RolloutDriver
from airflow_provider_autoglm.rollout.rollback import roll_back
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.freeze import freeze
from airflow_provider_autoglm.state.rollouts import Rollout, check_token, take_over
from airflow_provider_autoglm.state.routes import read_routes, write_routes
from tests.postgres_server import PostgresServer, running
from tests.rollout.conftest import ONE, PIPELINE, TWO, driver_of, quick, start, states
from tests.rollout.gateways import Gateways

_LONG = [{"weight_percent": weight, "bake_s": 0} for weight in range(10, 100, 20)]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running(PostgresServer(tmp_path_factory.mktemp("postgres"))) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A state that several processes may share."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/state.db"
    else:
        url = request.getfixturevalue("postgres").create_database()
    database = Database(url)
    database.migrate()
    yield database
    database.close()


def test_the_older_of_two_drivers_is_fenced_and_never_acts(shared: Database) -> None:
    rollout = start(shared)
    older, newer = driver_of(shared, rollout), driver_of(shared, rollout)
    with pytest.raises(FencedError):
        older.tick()
    assert older.look().state == "pending"
    assert newer.tick().state == "warming"
    with pytest.raises(FencedError):
        older.heartbeat()


def test_a_driver_that_lost_its_token_between_decision_and_act_does_not_act(shared: Database) -> None:
    rollout = start(shared)
    driver = driver_of(shared, rollout)
    token, seen = driver.take_over(), read_routes(shared, PIPELINE)
    take_over(shared, rollout.id)
    with pytest.raises(FencedError), shared.transaction() as connection:  # noqa: PT012
        check_token(connection, rollout.id, token)
        write_routes(connection, seen, challenger=TWO)
    assert read_routes(shared, PIPELINE) == seen


def test_routes_are_changed_by_whoever_read_them_last(shared: Database) -> None:
    start(shared)
    seen = read_routes(shared, PIPELINE)
    freeze(shared, PIPELINE, reason="incident 12")
    with pytest.raises(RouteChangedError), shared.transaction() as connection:
        write_routes(connection, seen, challenger=TWO)
    assert read_routes(shared, PIPELINE).frozen_reason == "incident 12"


def test_drivers_that_take_over_from_each_other_bring_a_rollout_to_its_end_once(shared: Database) -> None:
    rollout = start(shared, quick(steps=_LONG, min_requests=2))
    failures: list[BaseException] = []

    def drive() -> None:
        driver = RolloutDriver(shared, rollout.id)
        try:
            while not driver.look().is_terminal:
                driver.take_over()
                try:
                    driver.tick()
                    driver.heartbeat()
                except FencedError:
                    continue
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=drive) for _ in range(3)]
    with Gateways(shared, PIPELINE).running(requests=60, every_s=0.02):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert failures == []
    steps = ["step"] * len(_LONG)
    assert states(shared, rollout) == ["pending", "validating", "warming", *steps, "promoting", "done"]
    assert [event.detail["step"] for event in step_events(shared, rollout)] == list(range(len(_LONG)))
    routes = read_routes(shared, PIPELINE)
    assert (routes.champion, routes.previous, routes.challenger) == (TWO, ONE, None)


def test_a_rollback_beside_a_running_driver_wins(shared: Database) -> None:
    rollout = start(shared, quick(min_requests=10**6))
    driver = driver_of(shared, rollout)
    baking, fenced = threading.Event(), threading.Event()

    def drive() -> None:
        try:
            while True:
                if driver.tick().state == "step":
                    baking.set()
        except FencedError:
            fenced.set()

    thread = threading.Thread(target=drive)
    with Gateways(shared, PIPELINE).running(requests=10):
        thread.start()
        assert baking.wait(60)
        outcome = roll_back(shared, PIPELINE, reason="it is slow")
        thread.join(60)
    assert fenced.is_set()
    assert (outcome.champion, outcome.withdrawn, outcome.problems) == (ONE, TWO, ())
    assert driver.look().state == "rolled_back"
    assert states(shared, rollout)[-2:] == ["rolling_back", "rolled_back"]


def step_events(database: Database, rollout: Rollout) -> list:  # type: ignore[type-arg]
    events = read_events(database, PIPELINE, rollout_id=rollout.id)
    return [event for event in events if event.kind == "transition" and event.detail["state"] == "step"]

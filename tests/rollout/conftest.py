"""A migrated state with a champion, and rollouts of a challenger in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.rollout.driver import RolloutDriver
from airflow_provider_autoglm.settings.rollout import RolloutSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.rollouts import Rollout, start_rollout
from airflow_provider_autoglm.state.routes import Model, Routes, read_routes, write_routes

PIPELINE = "docs"
ONE = Model("1", "runs:/1/model", "sha256:1")
TWO = Model("2", "runs:/2/model", "sha256:2")
THREE = Model("3", "runs:/3/model", "sha256:3")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "state.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite state."""
    folder = tmp_path / "state"
    folder.mkdir()
    shutil.copy(migrated_file, folder)
    database = Database(f"sqlite:///{folder}/state.db")
    yield database
    database.close()


def quick(**changes: Any) -> RolloutSettings:
    """Settings of one step of 50 % that is passed as soon as 20 requests are judged."""
    steps = [{"weight_percent": 50, "bake_s": 0}]
    return RolloutSettings.parse({"steps": steps, "min_requests": 20, "lease_s": 60, **changes})


def write(database: Database, *, lease_s: float | None = None, **changes: Any) -> Routes:
    """Change the routes as a person with access would."""
    seen = read_routes(database, PIPELINE)
    with database.transaction() as connection:
        return write_routes(connection, seen, lease_s=lease_s, **changes)


def start(
    database: Database,
    settings: RolloutSettings | None = None,
    *,
    champion: Model | None = ONE,
    challenger: Model = TWO,
    started_by: str = "run 1",
) -> Rollout:
    """Make ``champion`` the champion, and start a rollout."""
    if read_routes(database, PIPELINE).champion != champion:
        write(database, champion=champion)
    chosen = settings or quick()
    return start_rollout(database, PIPELINE, challenger, started_by=started_by, settings=chosen.model_dump(mode="json"))


def driver_of(database: Database, rollout: Rollout, **options: Any) -> RolloutDriver:
    """A driver that has taken over."""
    driver = RolloutDriver(database, rollout.id, **options)
    driver.take_over()
    return driver


def states(database: Database, rollout: Rollout) -> list[str]:
    """The states that the rollout went through, as its events say."""
    events = read_events(database, rollout.pipeline, rollout_id=rollout.id)
    return [event.detail["state"] for event in events if event.kind == "transition"]


def kinds(database: Database, rollout: Rollout, kind: str) -> list[dict[str, Any]]:
    """The details of the rollout's events of a kind."""
    events = read_events(database, rollout.pipeline, rollout_id=rollout.id)
    return [dict(event.detail) for event in events if event.kind == kind]

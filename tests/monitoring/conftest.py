"""A migrated state with a champion, what it served, and a folder of references."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from airflow_provider_autoglm.exceptions import TrackingUnavailableError
from airflow_provider_autoglm.settings import DriftSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.predictions import Feedback, Prediction, log_feedback, log_predictions
from airflow_provider_autoglm.state.routes import Model, read_routes, write_routes

PIPELINE = "docs"
ONE = Model("1", "runs:/1/model", "sha256:1")
TWO = Model("2", "runs:/2/model", "sha256:2")
AREAS = ("web", "tables", "plots")
_DIMENSIONS = 16
_SPREAD = 0.05

Vectors = NDArray[np.float32]


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


@pytest.fixture
def references(tmp_path: Path) -> str:
    return f"{tmp_path.as_uri()}/state/references"


def settings_with(**changes: Any) -> DriftSettings:
    """Settings for which 50 rows are a baseline, and 50 a window."""
    small = {"baseline_rows": 50, "window_rows": 50, "min_rows": 50, "min_new_rows": 0, "cooldown_s": 0}
    return DriftSettings.parse({**small, **changes})


def crown(database: Database, champion: Model) -> None:
    """Make ``champion`` the champion."""
    seen = read_routes(database, PIPELINE)
    with database.transaction() as connection:
        write_routes(connection, seen, champion=champion)


def vectors_of(areas: Sequence[str], *, seed: int = 0) -> Vectors:
    """One embedding a row, near the middle of its area."""
    noise = np.random.default_rng(seed).normal(0, _SPREAD, (len(areas), _DIMENSIONS))
    middles = np.eye(_DIMENSIONS)[[AREAS.index(area) for area in areas]]
    return (middles + noise).astype(np.float32)


def mixed(count: int, *areas: str) -> list[str]:
    """``count`` rows of areas in turn."""
    return [areas[number % len(areas)] for number in range(count)]


def table_of(areas: Sequence[str], *, seed: int = 1) -> pa.Table:
    """What is packed with a model that was trained on these areas."""
    vectors = vectors_of(areas, seed=seed)
    return pa.table(
        {
            "doc_id": [f"{number:032x}" for number in range(len(areas))],
            "label": list(areas),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), _DIMENSIONS),
        }
    )


def web_and_tables(model: Model) -> pa.Table:
    """The package of a model that was trained on two of the areas."""
    return table_of(mixed(80, "web", "tables"))


def unreachable(model: Model) -> pa.Table:
    raise TrackingUnavailableError("http://127.0.0.1:1", f"connection refused ({model.version})")


def never(model: Model) -> pa.Table:
    raise AssertionError("the package is not needed")


def serve(
    database: Database,
    areas: Sequence[str],
    *,
    vectors: Vectors | None = None,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    version: str = "1",
    rollout_id: int | None = None,
    text: str | None = None,
    name: str = "",
    at: float = 1_000.0,
) -> list[str]:
    """Log one answer a row, a second apart; their request ids."""
    vectors = vectors_of(areas, seed=seed) if vectors is None else vectors
    batch = [
        Prediction(
            pipeline=PIPELINE,
            request_id=f"{name or version}-{seed}-{number}",
            position=0,
            assigned_version=version,
            assigned_status="ok",
            gateway_id="gateway-1",
            at=at + number,
            rollout_id=rollout_id,
            served_version=version,
            label=(labels or areas)[number],
            score=0.75,
            embedding=vectors[number].astype("<f2").tobytes(),
            text=text,
        )
        for number in range(len(areas))
    ]
    with database.transaction() as connection:
        assert log_predictions(connection, batch) == len(batch)
    return [prediction.request_id for prediction in batch]


def say(database: Database, request_ids: Sequence[str], **said: Any) -> None:
    """Log one feedback a request."""
    with database.transaction() as connection:
        log_feedback(connection, [Feedback(PIPELINE, request_id, 5_000.0, **said) for request_id in request_ids])

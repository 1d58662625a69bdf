"""What tests of a running gateway share: the process, tiny models, and waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.routes import Model, Routes, read_routes, write_routes
from airflow_provider_autoglm.tracking.registry import model_digest
from demo.gateway import Gateway, GatewayEndedError
from tests.packaged import write_tiny_model

__all__ = ["PIPELINE", "Gateway", "GatewayEndedError", "deploy", "tiny_model", "wait_until"]

PIPELINE = "docs"
_DEADLINE_S = 120.0


def wait_until(what: str, condition: Callable[[], object]) -> None:
    """Return once ``condition`` holds.

    :raises AssertionError: after two minutes, with ``what`` was waited for.
    """
    give_up_at = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up_at, f"{what}: not within {_DEADLINE_S:g} s"
        time.sleep(0.05)


def tiny_model(folder: Path, version: str, **options: object) -> Model:
    """A packaged model as the routes name it; ``options`` are those of ``write_tiny_model``."""
    path = write_tiny_model(folder / version, **options)  # type: ignore[arg-type]
    return Model(version, f"file://{path}", model_digest(path))


def deploy(database: Database, *, lease_s: float | None = None, **changes: object) -> Routes:
    """Change the routes of :data:`PIPELINE`."""
    seen = read_routes(database, PIPELINE)
    with database.transaction() as connection:
        return write_routes(connection, seen, lease_s=lease_s, **changes)

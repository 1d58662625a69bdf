"""What happened to routes and rollouts, each event once whoever writes it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.insert import insert_new
from airflow_provider_autoglm.state.tables import rollout_events

EventKind = Literal["transition", "judgement", "breaker", "lease_lost", "freeze", "alert", "repair"]


@dataclass(frozen=True)
class Event:
    """One event. ``key`` names it within its pipeline; ``at`` is set by the database."""

    pipeline: str
    key: str
    kind: EventKind
    rollout_id: int | None = None
    version: str | None = None
    generation: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0


def record_event(connection: sa.Connection, event: Event) -> bool:
    """Write the event unless one of its key is there; True if it is new."""
    row = {
        "pipeline": event.pipeline,
        "key": event.key,
        "kind": event.kind,
        "rollout_id": event.rollout_id,
        "version": event.version,
        "generation": event.generation,
        "detail": event.detail,
    }
    return insert_new(connection, rollout_events, [row]) == 1


def read_events(database: Database, pipeline: str, *, rollout_id: int | None = None, limit: int = 1_000) -> list[Event]:
    """The latest events of a pipeline, or of one of its rollouts, oldest first."""
    query = sa.select(rollout_events).where(rollout_events.c.pipeline == pipeline)
    if rollout_id is not None:
        query = query.where(rollout_events.c.rollout_id == rollout_id)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(rollout_events.c.id.desc()).limit(limit)).mappings().all()
    return [Event(**{name: value for name, value in row.items() if name != "id"}) for row in reversed(rows)]

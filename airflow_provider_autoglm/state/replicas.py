"""What each gateway says of itself: the versions it has loaded, and that it lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

import sqlalchemy as sa

from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.insert import insert_or_replace
from airflow_provider_autoglm.state.tables import replicas

FRESH_S = 10.0
"""A gateway that has not been heard of for longer is taken for gone."""

VersionState = Literal["loading", "ready", "failed"]


@dataclass(frozen=True)
class VersionStatus:
    """A version in one gateway. ``ready`` means loaded and warm; an open breaker takes it out of traffic."""

    state: VersionState
    is_breaker_open: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Replica:
    """A gateway; ``age_s`` are the seconds since its heartbeat when it was read."""

    pipeline: str
    gateway_id: str
    generation: int
    versions: Mapping[str, VersionStatus] = field(default_factory=dict)
    log_text: str = "none"
    age_s: float = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether it was heard of within :data:`FRESH_S`."""
        return self.age_s <= FRESH_S


def report_replica(connection: sa.Connection, replica: Replica) -> None:
    """Write what the gateway says; this is its heartbeat."""
    row = {
        "pipeline": replica.pipeline,
        "gateway_id": replica.gateway_id,
        "generation": replica.generation,
        "versions": {version: asdict(status) for version, status in replica.versions.items()},
        "log_text": replica.log_text,
        "heartbeat_at": database_now(),
    }
    insert_or_replace(connection, replicas, row, key=("pipeline", "gateway_id"))


def forget_replica(connection: sa.Connection, pipeline: str, gateway_id: str) -> None:
    """Take out a gateway that stops."""
    connection.execute(sa.delete(replicas).where(replicas.c.pipeline == pipeline, replicas.c.gateway_id == gateway_id))


def read_replicas(database: Database, pipeline: str) -> list[Replica]:
    """All gateways that ever reported and did not say goodbye, by their ids; look at ``is_fresh``."""
    query = sa.select(replicas, (database_now() - replicas.c.heartbeat_at).label("age_s"))
    with database.reading() as connection:
        rows = connection.execute(query.where(replicas.c.pipeline == pipeline).order_by("gateway_id")).mappings().all()
    return [
        Replica(
            pipeline=row["pipeline"],
            gateway_id=row["gateway_id"],
            generation=row["generation"],
            versions={version: VersionStatus(**status) for version, status in row["versions"].items()},
            log_text=row["log_text"],
            age_s=float(row["age_s"]),
        )
        for row in rows
    ]

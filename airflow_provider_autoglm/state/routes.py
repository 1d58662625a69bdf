"""What gateways serve: champion, challenger and its weight, changed by compare-and-set on a generation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from airflow_provider_autoglm.exceptions import RouteChangedError
from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.insert import insert_new
from airflow_provider_autoglm.state.tables import routes


@dataclass(frozen=True)
class Model:
    """A registered version, where its files are, and what they have to be."""

    version: str
    model_uri: str
    digest: str


@dataclass(frozen=True)
class Routes:
    """The routes of a pipeline. ``challenger_weight`` is a percentage, above 0 only while a lease runs.

    ``lease_s`` is what was left of the lease when the row was read, by the database's clock: None without a lease,
    negative once it is over. ``is_lease_lost`` says that a gateway has seen it run out at this generation.
    """

    pipeline: str
    generation: int = 0
    champion: Model | None = None
    challenger: Model | None = None
    previous: Model | None = None
    challenger_weight: int = 0
    rollout_id: int | None = None
    lease_s: float | None = None
    is_lease_lost: bool = False
    frozen_reason: str | None = None

    def models(self) -> tuple[Model, ...]:
        """Champion and challenger, those that are there."""
        return tuple(model for model in (self.champion, self.challenger) if model is not None)


def read_routes(database: Database, pipeline: str) -> Routes:
    """The routes; generation 0 without models if there are none yet."""
    with database.reading() as connection:
        return routes_in(connection, pipeline)


def routes_in(connection: sa.Connection, pipeline: str) -> Routes:
    """As :func:`read_routes`, inside a transaction."""
    query = sa.select(routes, (routes.c.lease_expires_at - database_now()).label("lease_s"))
    row = connection.execute(query.where(routes.c.pipeline == pipeline)).mappings().one_or_none()
    return Routes(pipeline) if row is None else _routes(row)


def write_routes(connection: sa.Connection, seen: Routes, *, lease_s: float | None = None, **changes: Any) -> Routes:
    """Change the routes that were read as ``seen``; fields that are not in ``changes`` stay.

    :param lease_s: seconds from now until gateways give all traffic back to the champion; None ends the lease.
    :raises RouteChangedError: if they were changed since.
    """
    wanted = replace(seen, **changes, generation=seen.generation + 1, lease_s=lease_s, is_lease_lost=False)
    values = {
        **_columns("champion", wanted.champion),
        **_columns("challenger", wanted.challenger),
        **_columns("previous", wanted.previous),
        "generation": wanted.generation,
        "challenger_weight": wanted.challenger_weight,
        "rollout_id": wanted.rollout_id,
        "frozen_reason": wanted.frozen_reason,
        "lease_expires_at": None if lease_s is None else database_now() + lease_s,
        "updated_at": database_now(),
    }
    if seen.generation == 0:
        _insert_first(connection, seen.pipeline)
    statement = (
        sa.update(routes)
        .where(routes.c.pipeline == seen.pipeline, routes.c.generation == seen.generation)
        .values(values)
    )
    if connection.execute(statement).rowcount != 1:
        raise RouteChangedError(seen.pipeline, seen.generation)
    return wanted


def extend_lease(connection: sa.Connection, seen: Routes, lease_s: float) -> bool:
    """Let the lease of this generation run ``lease_s`` seconds from now; False if it is lost or the routes changed.

    A lease that has run out is not taken up again: gateways have given the traffic back.
    """
    statement = (
        sa.update(routes)
        .where(
            routes.c.pipeline == seen.pipeline,
            routes.c.generation == seen.generation,
            routes.c.lease_expires_at > database_now(),
            sa.func.coalesce(routes.c.lease_lost_generation, -1) != seen.generation,
        )
        .values(lease_expires_at=database_now() + lease_s)
    )
    return connection.execute(statement).rowcount == 1


def mark_lease_lost(connection: sa.Connection, pipeline: str, generation: int) -> bool:
    """Write down that the lease of ``generation`` ran out; True for the one gateway that was first to see it."""
    statement = (
        sa.update(routes)
        .where(
            routes.c.pipeline == pipeline,
            routes.c.generation == generation,
            routes.c.lease_expires_at <= database_now(),
            sa.func.coalesce(routes.c.lease_lost_generation, -1) != generation,
        )
        .values(lease_lost_generation=generation)
    )
    return connection.execute(statement).rowcount == 1


def lock_routes(connection: sa.Connection, pipeline: str) -> Routes:
    """The routes, which nobody else can change until the end of the transaction."""
    _insert_first(connection, pipeline)
    connection.execute(sa.select(routes.c.generation).where(routes.c.pipeline == pipeline).with_for_update())
    return routes_in(connection, pipeline)


def _insert_first(connection: sa.Connection, pipeline: str) -> None:
    # Of two that come here at once on PostgreSQL, the second waits for the first and finds its row.
    insert_new(connection, routes, [{"pipeline": pipeline, "generation": 0}])


def _columns(role: str, model: Model | None) -> dict[str, str | None]:
    return {
        f"{role}_version": model.version if model else None,
        f"{role}_model_uri": model.model_uri if model else None,
        f"{role}_digest": model.digest if model else None,
    }


def _routes(row: sa.RowMapping) -> Routes:
    return Routes(
        pipeline=row["pipeline"],
        generation=row["generation"],
        champion=_model(row, "champion"),
        challenger=_model(row, "challenger"),
        previous=_model(row, "previous"),
        challenger_weight=row["challenger_weight"],
        rollout_id=row["rollout_id"],
        lease_s=row["lease_s"],
        is_lease_lost=row["lease_lost_generation"] == row["generation"],
        frozen_reason=row["frozen_reason"],
    )


def _model(row: sa.RowMapping, role: str) -> Model | None:
    version = row[f"{role}_version"]
    return None if version is None else Model(version, row[f"{role}_model_uri"], row[f"{role}_digest"])

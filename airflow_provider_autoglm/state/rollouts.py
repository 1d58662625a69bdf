"""Rollouts: one active a pipeline, and every act on it by whoever holds the newest fencing token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from airflow_provider_autoglm.exceptions import FencedError, PipelineFrozenError, RolloutInProgressError
from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.events import Event, record_event
from airflow_provider_autoglm.state.routes import Model, lock_routes
from airflow_provider_autoglm.state.tables import rollouts

RolloutState = Literal[
    "pending",
    "validating",
    "warming",
    "step",
    "held",
    "promoting",
    "done",
    "rolling_back",
    "rolled_back",
    "rollback_failed",
]
TERMINAL_STATES: frozenset[RolloutState] = frozenset({"done", "rolled_back"})


@dataclass(frozen=True)
class Rollout:
    """A rollout as it was read. ``started_by`` names the DAG run, which starts one rollout however often it is retried.

    ``step`` counts from 0, ``holds`` how often it was held undecided; a freeze does not count. ``entered_at`` is when
    ``state`` (and, in steps, ``step``) began, ``now`` when the row was read, both by the database's clock.
    ``transitions`` counts its changes.
    """

    id: int
    pipeline: str
    model: Model
    champion_version: str | None
    started_by: str
    settings: Mapping[str, Any]
    state: RolloutState
    step: int
    holds: int
    reason: str
    fencing_token: int
    created_at: float
    entered_at: float
    heartbeat_at: float = 0.0
    now: float = 0.0
    transitions: int = 0

    @property
    def silent_s(self) -> float:
        """Seconds since somebody last drove it."""
        return self.now - self.heartbeat_at

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in TERMINAL_STATES

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing happens to it by itself: it has ended, or is held for a person."""
        return self.is_terminal or self.state == "held"


@dataclass(frozen=True)
class Transition:
    """What a rollout becomes, and why; ``detail`` is what the decision rests on."""

    state: RolloutState
    step: int = 0
    holds: int = 0
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


def start_rollout(
    database: Database, pipeline: str, model: Model, *, started_by: str, settings: Mapping[str, Any]
) -> Rollout:
    """Create the rollout of ``started_by``, or return it as it is if it was created before.

    :raises PipelineFrozenError: if the pipeline is frozen.
    :raises RolloutInProgressError: if another rollout of the pipeline is active.
    """
    with database.transaction() as connection:
        # The lock makes one of two that start at once wait for the other, also on PostgreSQL.
        routes = lock_routes(connection, pipeline)
        found = _find(connection, rollouts.c.started_by == started_by)
        if found is not None:
            return found
        if routes.frozen_reason is not None:
            raise PipelineFrozenError(pipeline, routes.frozen_reason)
        active = _find(connection, _is_active(pipeline))
        if active is not None:
            raise RolloutInProgressError(pipeline, active.id, active.model.version, active.state)
        row = {
            "pipeline": pipeline,
            "version": model.version,
            "model_uri": model.model_uri,
            "digest": model.digest,
            "champion_version": routes.champion.version if routes.champion else None,
            "started_by": started_by,
            "settings": settings,
            "state": "pending",
            "is_active": True,
            "created_at": database_now(),
            "entered_at": database_now(),
            "heartbeat_at": database_now(),
        }
        (rollout_id,) = connection.execute(sa.insert(rollouts).values(row).returning(rollouts.c.id)).one()
        created = _find(connection, rollouts.c.id == rollout_id)
        assert created is not None
        _record(connection, created, Transition("pending", reason=f"started by {started_by}"))
        return created


def read_rollout(database: Database, rollout_id: int) -> Rollout:
    """A rollout by its id.

    :raises LookupError: if there is none.
    """
    with database.reading() as connection:
        found = _find(connection, rollouts.c.id == rollout_id)
    if found is None:
        raise LookupError(f"there is no rollout {rollout_id} in {database.name}")
    return found


def active_rollout(database: Database, pipeline: str) -> Rollout | None:
    """The pipeline's active rollout, if it has one."""
    with database.reading() as connection:
        return _find(connection, _is_active(pipeline))


def rollout_started_by(database: Database, started_by: str) -> Rollout | None:
    """The rollout that a DAG run has started, if it has."""
    with database.reading() as connection:
        return _find(connection, rollouts.c.started_by == started_by)


def latest_rollout(database: Database, pipeline: str, version: str | None = None) -> Rollout | None:
    """The latest rollout of a pipeline, or of one of its versions."""
    condition = rollouts.c.pipeline == pipeline
    if version is not None:
        condition &= rollouts.c.version == version
    with database.reading() as connection:
        return _find(connection, condition)


def take_over(database: Database, rollout_id: int) -> int:
    """Become the one who acts on the rollout: returns a fencing token, and outdates all earlier ones.

    :raises LookupError: if there is no such rollout.
    """
    statement = (
        sa.update(rollouts)
        .where(rollouts.c.id == rollout_id)
        .values(fencing_token=rollouts.c.fencing_token + 1, heartbeat_at=database_now())
        .returning(rollouts.c.fencing_token)
    )
    with database.transaction() as connection:
        token = connection.execute(statement).scalar_one_or_none()
    if token is None:
        raise LookupError(f"there is no rollout {rollout_id} in {database.name}")
    return int(token)


def check_token(connection: sa.Connection, rollout_id: int, token: int) -> None:
    """Hold the rollout's row for this transaction, so that whatever else it writes is written by the newest holder.

    :raises FencedError: if ``token`` is outdated, or there is no such rollout.
    """
    query = sa.select(rollouts.c.fencing_token).where(rollouts.c.id == rollout_id).with_for_update()
    if connection.execute(query).scalar_one_or_none() != token:
        raise FencedError(rollout_id, token)


def beat(connection: sa.Connection, rollout_id: int, token: int) -> None:
    """Say that somebody drives the rollout.

    :raises FencedError: if ``token`` is outdated, or there is no such rollout.
    """
    is_mine = sa.and_(rollouts.c.id == rollout_id, rollouts.c.fencing_token == token)
    if connection.execute(sa.update(rollouts).where(is_mine).values(heartbeat_at=database_now())).rowcount != 1:
        raise FencedError(rollout_id, token)


def move_rollout(connection: sa.Connection, seen: Rollout, token: int, transition: Transition) -> Rollout:
    """Write a transition down, with its event; call it before acting on it.

    :raises FencedError: if ``token`` is outdated, or the rollout is not as it was seen.
    """
    check_token(connection, seen.id, token)
    statement = (
        sa.update(rollouts)
        .where(rollouts.c.id == seen.id, rollouts.c.transitions == seen.transitions)
        .values(
            transitions=seen.transitions + 1,
            state=transition.state,
            step=transition.step,
            holds=transition.holds,
            reason=transition.reason,
            is_active=transition.state not in TERMINAL_STATES,
            entered_at=database_now(),
            heartbeat_at=database_now(),
        )
    )
    if connection.execute(statement).rowcount != 1:
        raise FencedError(seen.id, token)
    moved = _find(connection, rollouts.c.id == seen.id)
    assert moved is not None
    _record(connection, moved, transition)
    return moved


def _record(connection: sa.Connection, rollout: Rollout, transition: Transition) -> None:
    detail = {"state": transition.state, "step": transition.step, "reason": transition.reason, **transition.detail}
    event = Event(
        rollout.pipeline,
        f"rollout/{rollout.id}/transition/{rollout.transitions}",
        "transition",
        rollout_id=rollout.id,
        version=rollout.model.version,
        detail=detail,
    )
    record_event(connection, event)


def _is_active(pipeline: str) -> sa.ColumnElement[bool]:
    return sa.and_(rollouts.c.pipeline == pipeline, rollouts.c.is_active)


def _find(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Rollout | None:
    query = sa.select(rollouts, database_now().label("now")).where(condition).order_by(rollouts.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    return Rollout(
        id=row["id"],
        pipeline=row["pipeline"],
        model=Model(row["version"], row["model_uri"], row["digest"]),
        champion_version=row["champion_version"],
        started_by=row["started_by"],
        settings=row["settings"],
        state=row["state"],
        step=row["step"],
        holds=row["holds"],
        reason=row["reason"],
        fencing_token=row["fencing_token"],
        created_at=row["created_at"],
        entered_at=row["entered_at"],
        heartbeat_at=row["heartbeat_at"],
        now=float(row["now"]),
        transitions=row["transitions"],
    )

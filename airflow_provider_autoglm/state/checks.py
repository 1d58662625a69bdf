"""Drift and feedback checks: one row a pipeline, kind and run, and which run has answered a confirmed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sqlalchemy as sa

from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.insert import insert_new
from airflow_provider_autoglm.state.routes import lock_routes
from airflow_provider_autoglm.state.tables import checks

CheckKind = Literal["drift", "feedback"]
CheckState = Literal["insufficient_data", "ok", "warning", "drifted", "enough_labels"]

_CONSIDERED = 100
_OWNERS = 20


@dataclass(frozen=True)
class Check:
    """A check as it was measured or read.

    :param run: the DAG run, or the key of an outside monitor's event, that made it; it makes one check however often.
    :param version: the version whose answers were looked at; None if there was none.
    :param new_rows: rows that no earlier confirmed check of its kind counted.
    :param last_prediction_id: the newest row of the prediction log that was looked at; None if there was none.
    :param report: the measurement as JSON types.
    :param answered_by: the DAG run that makes a dataset because of it; None while nobody does.
    :param id: 0 before it is written; ``at`` (seconds since the epoch) is set by the database.
    """

    pipeline: str
    kind: CheckKind
    run: str
    state: CheckState
    is_confirmed: bool = False
    score: float | None = None
    p_value: float | None = None
    version: str | None = None
    new_rows: int = 0
    last_prediction_id: int | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    answered_by: str | None = None
    id: int = 0
    at: float = 0.0


Confirm = Callable[[Check, Sequence[Check], float], Check]
"""Takes a measured check, the earlier ones of its pipeline and kind (newest first; of the distant past the confirmed
ones alone) and the database's time; returns the check with ``is_confirmed``, ``new_rows`` and what is said of both in
``report``."""


def find_check(database: Database, pipeline: str, kind: CheckKind, run: str) -> Check | None:
    """The check that a run has made, if it has."""
    with database.reading() as connection:
        return _find(connection, pipeline, kind, run)


def record_check(database: Database, measured: Check, confirm: Confirm) -> Check:
    """Write a check down once, confirmed or not by what was written before it.

    Checks of a pipeline are written one after the other, so that two at once do not confirm each other. One that the
    run has made before is returned as it is.
    """
    with database.transaction() as connection:
        lock_routes(connection, measured.pipeline)
        found = _find(connection, measured.pipeline, measured.kind, measured.run)
        if found is not None:
            return found
        now = float(connection.execute(sa.select(database_now())).scalar_one())
        earlier = _earlier(connection, _is_of(measured.pipeline, measured.kind))
        decided = confirm(measured, earlier, now)
        row = {column.name: getattr(decided, column.name) for column in checks.columns if column.name != "id"}
        insert_new(connection, checks, [{**row, "at": now}])
        written = _find(connection, measured.pipeline, measured.kind, measured.run)
        assert written is not None
        return written


def read_checks(database: Database, pipeline: str, kind: CheckKind | None = None, *, limit: int = 10) -> list[Check]:
    """The latest checks of a pipeline, or of one kind of it, newest first."""
    with database.reading() as connection:
        return _read(connection, _is_of(pipeline, kind), limit)


def confirmed_checks(
    database: Database, pipeline: str, kind: CheckKind | None = None, *, limit: int = 20
) -> list[Check]:
    """The latest confirmed checks of a pipeline, or of one kind of it, newest first, answered or not."""
    with database.reading() as connection:
        return _read(connection, _is_of(pipeline, kind) & checks.c.is_confirmed, limit)


def checks_of(database: Database, pipeline: str, ids: Sequence[int]) -> list[Check]:
    """Checks of a pipeline by their ids, newest first."""
    with database.reading() as connection:
        return _read(connection, _is_of(pipeline) & checks.c.id.in_(ids), None)


def counted_until(database: Database, pipeline: str, kind: CheckKind) -> int:
    """The newest row of the prediction log that a confirmed check of a kind has counted; 0 if none has."""
    newest = sa.func.coalesce(sa.func.max(checks.c.last_prediction_id), 0)
    with database.reading() as connection:
        query = sa.select(newest).where(_is_of(pipeline, kind), checks.c.is_confirmed)
        return int(connection.execute(query).scalar_one())


def claim_checks(
    database: Database, pipeline: str, answered_by: str, *, has_failed: Callable[[str], bool]
) -> tuple[Check, ...]:
    """Take every confirmed check that nobody answers, for the DAG run ``answered_by``; newest first.

    A check that this run has taken before is among them, and so is one whose run has failed. Of two runs that claim at
    once one gets it.

    :param has_failed: whether a DAG run that has taken a check failed since.
    """
    failed = [owner for owner in _owners(database, pipeline) if owner != answered_by and has_failed(owner)]
    is_owed = checks.c.answered_by.is_(None) | checks.c.answered_by.in_([answered_by, *failed])
    with database.reading() as connection:
        owed = _read(connection, _is_of(pipeline) & checks.c.is_confirmed & is_owed, None)
    return tuple(
        replace(check, answered_by=answered_by)
        for check in owed
        if check.answered_by == answered_by or answer_check(database, check, answered_by)
    )


def answer_check(database: Database, seen: Check, answered_by: str) -> bool:
    """Take a confirmed check over from whoever ``seen`` names, or from nobody; False if somebody else was first."""
    is_as_seen = checks.c.answered_by.is_not_distinct_from(seen.answered_by)
    statement = sa.update(checks).where(checks.c.id == seen.id, checks.c.is_confirmed, is_as_seen)
    with database.transaction() as connection:
        return connection.execute(statement.values(answered_by=answered_by)).rowcount == 1


def _is_of(pipeline: str, kind: CheckKind | None = None) -> sa.ColumnElement[bool]:
    is_of_kind = sa.true() if kind is None else checks.c.kind == kind
    return sa.and_(checks.c.pipeline == pipeline, is_of_kind)


def _owners(database: Database, pipeline: str) -> list[str]:
    """The DAG runs that were the last to take checks."""
    owner = checks.c.answered_by
    query = sa.select(owner).where(_is_of(pipeline), checks.c.is_confirmed, owner.is_not(None)).group_by(owner)
    with database.reading() as connection:
        return list(connection.execute(query.order_by(sa.func.max(checks.c.id).desc()).limit(_OWNERS)).scalars())


def _earlier(connection: sa.Connection, is_of_kind: sa.ColumnElement[bool]) -> list[Check]:
    latest = _read(connection, is_of_kind, _CONSIDERED)
    if len(latest) < _CONSIDERED:
        return latest
    # A cooldown may be longer than that many checks: what was confirmed before them counts all the same.
    is_older = checks.c.id < latest[-1].id
    return latest + _read(connection, is_of_kind & is_older & checks.c.is_confirmed, _CONSIDERED)


def _find(connection: sa.Connection, pipeline: str, kind: CheckKind, run: str) -> Check | None:
    found = _read(connection, _is_of(pipeline, kind) & (checks.c.run == run), 1)
    return found[0] if found else None


def _read(connection: sa.Connection, condition: sa.ColumnElement[bool], limit: int | None) -> list[Check]:
    query = sa.select(checks).where(condition).order_by(checks.c.id.desc()).limit(limit)
    return [Check(**row) for row in connection.execute(query).mappings()]

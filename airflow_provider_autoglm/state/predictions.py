"""The prediction log and the feedback: written in batches, each request once, counted for the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import sqlalchemy as sa

from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.insert import insert_new, insert_or_replace
from airflow_provider_autoglm.state.tables import feedback, predictions

Status = Literal["ok", "invalid_output", "error", "timeout", "crash", "unavailable"]


@dataclass(frozen=True)
class Prediction:
    """One text of one request, as the gateway knows it.

    :param request_id: ``x-request-id`` of the request; of its further texts, ``<x-request-id>.<position>``.
    :param position: place of the text in its request; the judge counts requests, so it looks at position 0.
    :param assigned_version: the version that was to answer; ``assigned_status`` says how it did, ``assigned_ms`` in
        how many milliseconds.
    :param served_version: the version that answered; None if none did.
    :param embedding: float16[d] in little-endian bytes, of the version that answered.
    :param at: seconds since the epoch by the database's clock, as the gateway last saw it.
    """

    pipeline: str
    request_id: str
    position: int
    assigned_version: str
    assigned_status: Status
    gateway_id: str
    at: float
    rollout_id: int | None = None
    assigned_ms: float | None = None
    served_version: str | None = None
    label: str | None = None
    score: float | None = None
    embedding: bytes | None = None
    text: str | None = None
    text_sha256: str | None = None


@dataclass(frozen=True)
class Feedback:
    """What a person said of an answer: the right label, or only whether it was right; ``text`` if they sent it."""

    pipeline: str
    request_id: str
    at: float
    label: str | None = None
    is_correct: bool | None = None
    text: str | None = None


@dataclass(frozen=True)
class Counts:
    """Requests that were assigned to a version, and how many of them it failed."""

    requests: int = 0
    errors: int = 0


def log_predictions(connection: sa.Connection, batch: Sequence[Prediction]) -> int:
    """Write those that are not there yet; returns how many were new."""
    return insert_new(connection, predictions, [asdict(prediction) for prediction in batch])


def log_feedback(connection: sa.Connection, batch: Sequence[Feedback]) -> None:
    """Write the feedback; of two on the same request the later one (by ``at``) stays, in whatever order they come."""
    for item in sorted(batch, key=lambda item: item.request_id):  # one order for all writers: no deadlock
        insert_or_replace(connection, feedback, asdict(item), key=("pipeline", "request_id"), newest_by="at")


def count_requests(database: Database, rollout_id: int, since: float, until: float | None = None) -> dict[str, Counts]:
    """Requests of a rollout from one time to before another, or to now, by the version they were assigned to."""
    failed = sa.case((predictions.c.assigned_status != "ok", 1), else_=0)
    query = (
        sa.select(predictions.c.assigned_version, sa.func.count(), sa.func.sum(failed))
        .where(
            predictions.c.rollout_id == rollout_id,
            predictions.c.at >= since,
            sa.true() if until is None else predictions.c.at < until,
            predictions.c.position == 0,
        )
        .group_by(predictions.c.assigned_version)
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return {version: Counts(int(requests), int(errors)) for version, requests, errors in rows}

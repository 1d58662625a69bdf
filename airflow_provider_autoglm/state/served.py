"""Reading the prediction log: what a version answered, and what people said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.tables import feedback, predictions

_IDS_OF_A_QUERY = 500


@dataclass(frozen=True)
class Served:
    """One answered text. Its text is read on its own, see :func:`texts_of`.

    :param id: rises in the order in which rows were written.
    :param embedding: float16[d] in little-endian bytes, of the version that answered.
    :param at: seconds since the epoch.
    :param given_label: what people said is right: their label, or the answer itself where they said it is right; None
        where they said nothing, or only that it is wrong.
    :param is_judged: whether people said anything of it.
    """

    id: int
    request_id: str
    label: str
    score: float
    embedding: bytes
    at: float
    has_text: bool
    given_label: str | None
    is_judged: bool


def first_served(database: Database, pipeline: str, version: str, *, limit: int, since: float = 0.0) -> list[Served]:
    """The first rows that a version answered outside any rollout: as champion with all requests; oldest first.

    :param since: seconds since the epoch; rows before are left out.
    """
    is_alone = predictions.c.rollout_id.is_(None) & (predictions.c.at >= since)
    return _read(database, _is_served(pipeline, version) & is_alone, predictions.c.id.asc(), limit)


def newest_served(
    database: Database, pipeline: str, version: str, *, limit: int, after_id: int = 0, since: float = 0.0
) -> list[Served]:
    """The newest rows that a version answered, of those after the row ``after_id``; oldest first.

    An ``after_id`` that the log has not come to is of a log that was lost: all rows are later than it.

    :param since: seconds since the epoch; rows before are left out.
    """
    newest = sa.select(sa.func.max(predictions.c.id)).scalar_subquery()
    is_later = (predictions.c.id > after_id) | (newest < after_id)
    condition = _is_served(pipeline, version) & is_later & (predictions.c.at >= since)
    return _read(database, condition, predictions.c.id.desc(), limit)[::-1]


def texts_of(database: Database, ids: Sequence[int]) -> dict[int, str]:
    """The texts of rows of the log by row; those that were not kept are left out."""
    found: dict[int, str] = {}
    for first in range(0, len(ids), _IDS_OF_A_QUERY):
        query = sa.select(predictions.c.id, predictions.c.text).where(
            predictions.c.id.in_(ids[first : first + _IDS_OF_A_QUERY]), predictions.c.text.is_not(None)
        )
        with database.reading() as connection:
            found |= {row.id: row.text for row in connection.execute(query)}
    return found


@dataclass(frozen=True)
class LabelledRows:
    """Rows of the log whose right label is known.

    :param wrong: those of them that were answered otherwise.
    :param texts: those of them whose text was kept, with the answer or with the feedback.
    :param last_id: the newest of them; None if there is none.
    """

    rows: int
    wrong: int
    texts: int
    last_id: int | None


def count_labelled(database: Database, pipeline: str, *, older_than_s: float, after_id: int = 0) -> LabelledRows:
    """Count the labelled rows after the row ``after_id`` that were answered more than ``older_than_s`` seconds ago."""
    has_text = sa.or_(feedback.c.text.is_not(None), predictions.c.text.is_not(None))
    query = (
        sa.select(
            sa.func.count(),
            sa.func.count(sa.case((_given_label() != predictions.c.label, 1))),
            sa.func.count(sa.case((has_text, 1))),
            sa.func.max(predictions.c.id),
        )
        .select_from(predictions.join(feedback, _is_about()))
        .where(
            predictions.c.pipeline == pipeline,
            predictions.c.id > after_id,
            predictions.c.at < database_now() - older_than_s,
            _given_label().is_not(None),
        )
    )
    with database.reading() as connection:
        return LabelledRows(*connection.execute(query).one())


@dataclass(frozen=True)
class Judged:
    """What people said of one answer.

    :param text: the text they sent, else that of the log; None if neither was kept.
    :param given_label: what they said is right; None where they only said that the answer is wrong, or that an answer
        is right which the log does not hold.
    :param at: when it was answered, or when they said it if the log does not hold the answer; seconds since the epoch.
    """

    request_id: str
    text: str | None
    given_label: str | None
    at: float


def read_feedback(database: Database, pipeline: str, *, limit: int) -> list[Judged]:
    """The newest feedback on any version's answers; oldest first."""
    query = (
        sa.select(
            feedback.c.request_id,
            sa.func.coalesce(feedback.c.text, predictions.c.text).label("text"),
            _given_label().label("given_label"),
            sa.func.coalesce(predictions.c.at, feedback.c.at).label("at"),
        )
        .select_from(feedback.outerjoin(predictions, _is_about()))
        .where(feedback.c.pipeline == pipeline)
        .order_by(feedback.c.at.desc(), feedback.c.id.desc())
        .limit(limit)
    )
    with database.reading() as connection:
        return [Judged(**row) for row in connection.execute(query).mappings()][::-1]


def _is_served(pipeline: str, version: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        predictions.c.pipeline == pipeline,
        predictions.c.served_version == version,
        predictions.c.label.is_not(None),
        predictions.c.score.is_not(None),
        predictions.c.embedding.is_not(None),
    )


def _read(
    database: Database, condition: sa.ColumnElement[bool], order: sa.UnaryExpression[int], limit: int
) -> list[Served]:
    query = (
        sa.select(
            *(predictions.c[name] for name in ("id", "request_id", "label", "score", "embedding", "at")),
            predictions.c.text.is_not(None).label("has_text"),
            _given_label().label("given_label"),
            feedback.c.id.is_not(None).label("is_judged"),
        )
        .select_from(predictions.outerjoin(feedback, _is_about()))
        .where(condition)
        .order_by(order)
        .limit(limit)
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return [
        Served(
            id=row.id,
            request_id=row.request_id,
            label=row.label,
            score=row.score,
            embedding=row.embedding,
            at=row.at,
            has_text=bool(row.has_text),
            given_label=row.given_label,
            is_judged=bool(row.is_judged),
        )
        for row in rows
    ]


def _given_label() -> sa.ColumnElement[str | None]:
    return sa.func.coalesce(sa.func.nullif(feedback.c.label, ""), sa.case((feedback.c.is_correct, predictions.c.label)))


def _is_about() -> sa.ColumnElement[bool]:
    return sa.and_(feedback.c.pipeline == predictions.c.pipeline, feedback.c.request_id == predictions.c.request_id)

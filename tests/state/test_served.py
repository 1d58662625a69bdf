"""Reading the prediction log: whose answers, in which order, and what people said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.predictions import Feedback, Prediction, log_feedback, log_predictions
from airflow_provider_autoglm.state.served import (
    LabelledRows,
    Served,
    count_labelled,
    first_served,
    newest_served,
    texts_of,
)
from airflow_provider_autoglm.state.tables import predictions

ANSWER = Prediction(
    pipeline="news",
    request_id="r",
    position=0,
    assigned_version="1",
    assigned_status="ok",
    gateway_id="gateway-1",
    at=1_000.25,
    served_version="1",
    label="sport",
    score=0.75,
    embedding=bytes(range(64)),
)


def log(database: Database, *names: str, **changes: Any) -> None:
    with database.transaction() as connection:
        log_predictions(connection, [replace(ANSWER, request_id=name, **changes) for name in names])


def say(database: Database, request_id: str, **said: Any) -> None:
    with database.transaction() as connection:
        log_feedback(connection, [Feedback("news", request_id, 2_000.0, **said)])


def names(rows: list[Served]) -> list[str]:
    return [row.request_id for row in rows]


@pytest.fixture
def logged(database: Database) -> Database:
    """Answers of version 1 before, during and after a rollout, and what must not be mistaken for them."""
    log(database, "a", "b")
    log(database, "canary", rollout_id=7)
    log(database, "challenger", rollout_id=7, served_version="2")
    log(database, "elsewhere", pipeline="docs")
    log(database, "failed", served_version=None, label=None, score=None, embedding=None, assigned_status="timeout")
    log(database, "no embedding", embedding=None)
    log(database, "c", "d")
    return database


def test_the_first_rows_are_those_outside_rollouts_oldest_first(logged: Database) -> None:
    assert names(first_served(logged, "news", "1", limit=10)) == ["a", "b", "c", "d"]
    assert names(first_served(logged, "news", "1", limit=3)) == ["a", "b", "c"]
    assert first_served(logged, "news", "2", limit=10) == []


def test_the_newest_rows_are_those_of_a_version_oldest_first(logged: Database) -> None:
    everything = newest_served(logged, "news", "1", limit=10)
    assert names(everything) == ["a", "b", "canary", "c", "d"]
    assert names(newest_served(logged, "news", "1", limit=3)) == ["canary", "c", "d"]
    assert names(newest_served(logged, "news", "1", limit=10, after_id=everything[2].id)) == ["c", "d"]
    assert names(newest_served(logged, "news", "2", limit=10)) == ["challenger"]


def test_a_row_of_a_log_that_was_lost_is_before_every_row(logged: Database) -> None:
    everything = newest_served(logged, "news", "1", limit=10)
    assert newest_served(logged, "news", "1", limit=10, after_id=10_000) == everything


def test_rows_before_a_time_can_be_left_out(database: Database) -> None:
    log(database, "before")
    log(database, "then", at=2_000.0)
    log(database, "after", at=3_000.0)
    for read in (first_served, newest_served):
        assert names(read(database, "news", "1", limit=10, since=2_000.0)) == ["then", "after"]


def test_a_row_comes_back_as_it_was_logged(database: Database) -> None:
    log(database, "kept", text="Überraschung")
    log(database, "not kept")
    kept, not_kept = newest_served(database, "news", "1", limit=2)
    assert kept == Served(
        id=kept.id,
        request_id="kept",
        label="sport",
        score=0.75,
        embedding=bytes(range(64)),
        at=1_000.25,
        has_text=True,
        given_label=None,
        is_judged=False,
    )
    assert not not_kept.has_text
    assert kept.id < not_kept.id


@pytest.mark.parametrize(
    ("said", "given_label"),
    [
        ({"label": "politics"}, "politics"),
        ({"is_correct": True}, "sport"),
        ({"is_correct": False}, None),
        ({"label": "politics", "is_correct": False}, "politics"),
    ],
)
def test_what_people_said_is_read_with_the_answer(
    database: Database, said: dict[str, Any], given_label: str | None
) -> None:
    log(database, "r")
    log(database, "r", pipeline="docs")
    say(database, "r", **said)
    (row,) = newest_served(database, "news", "1", limit=5)
    assert (row.given_label, row.is_judged) == (given_label, True)
    (other,) = newest_served(database, "docs", "1", limit=5)
    assert (other.given_label, other.is_judged) == (None, False)


def test_texts_are_read_for_any_number_of_rows(database: Database) -> None:
    log(database, *(f"kept {number}" for number in range(1_100)), text="a text")
    log(database, "not kept")
    ids = [row.id for row in newest_served(database, "news", "1", limit=2_000)]
    assert len(ids) == 1_101
    assert texts_of(database, ids) == dict.fromkeys(ids[:-1], "a text")
    assert texts_of(database, []) == {}


# Counting labels


def test_labels_are_counted_with_the_wrong_answers_and_the_kept_texts(database: Database) -> None:
    log(database, "right", "confirmed", "wrong", "only wrong", "nothing said")
    log(database, "with text", text="a text")
    log(database, "not answered", label=None, score=None, embedding=None, served_version=None)
    say(database, "right", label="sport")
    say(database, "confirmed", is_correct=True, text="sent with the feedback")
    say(database, "wrong", label="politics")
    say(database, "only wrong", is_correct=False, text="not counted")
    say(database, "with text", label="politics")
    say(database, "not answered", label="sport")
    say(database, "of no answer", label="sport")
    log(database, "right", pipeline="docs")

    last_id = newest_served(database, "news", "1", limit=1)[0].id + 1
    assert count_labelled(database, "news", older_than_s=60) == LabelledRows(rows=5, wrong=2, texts=2, last_id=last_id)
    assert count_labelled(database, "docs", older_than_s=60) == LabelledRows(rows=0, wrong=0, texts=0, last_id=None)


def test_labels_are_counted_after_a_row_and_once_they_are_old_enough(database: Database) -> None:
    log(database, "a", "b", "c")
    log(database, "young", at=database.now())
    for name in ("a", "b", "c", "young"):
        say(database, name, label="sport")
    ids = [row.id for row in newest_served(database, "news", "1", limit=10)]

    def rows(**chosen: Any) -> int:
        return count_labelled(database, "news", **chosen).rows

    assert rows(older_than_s=3_600) == 3
    assert rows(older_than_s=3_600, after_id=ids[0]) == 2
    assert rows(older_than_s=3_600, after_id=ids[2]) == 0
    assert rows(older_than_s=-3_600) == 4


def test_ids_go_on_where_every_row_was_deleted(database: Database) -> None:
    log(database, "a", "b")
    before = newest_served(database, "news", "1", limit=9)
    with database.transaction() as connection:
        connection.execute(sa.delete(predictions))
    log(database, "c")
    (after,) = newest_served(database, "news", "1", limit=9, after_id=before[-1].id)
    assert after.request_id == "c"
    assert after.id > before[-1].id


def test_an_answer_without_a_score_is_left_out(database: Database) -> None:
    log(database, "a")
    log(database, "no score", score=None)
    assert names(newest_served(database, "news", "1", limit=9)) == ["a"]
    assert names(first_served(database, "news", "1", limit=9)) == ["a"]

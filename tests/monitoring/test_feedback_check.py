"""Feedback checks: which labels count, once each, and one check a run."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from airflow_provider_autoglm.monitoring.feedback_check import check_feedback
from airflow_provider_autoglm.settings import FeedbackSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, read_checks, record_check
from airflow_provider_autoglm.state.tables import predictions
from tests.monitoring.conftest import ONE, PIPELINE, crown, mixed, say, serve

QUICK = FeedbackSettings(min_rows=10, deadline_s=60, cooldown_s=0)


def check(database: Database, run: str, settings: FeedbackSettings = QUICK) -> Check:
    return check_feedback(database, PIPELINE, settings, run=run)


def test_nothing_said_is_too_little(database: Database) -> None:
    found = check(database, "run")
    assert (found.state, found.is_confirmed, found.version) == ("insufficient_data", False, None)
    assert found.report == {
        "labelled_rows": 0,
        "wrong_rows": 0,
        "learnable": False,
        "texts_kept": 0,
        "confirmation": "Not confirmed: 0 labels are past their deadline and new, feedback.min_rows is 10.",
    }
    assert found.last_prediction_id is None


def test_enough_labels_past_their_deadline_are_confirmed(database: Database) -> None:
    crown(database, ONE)
    sent = serve(database, mixed(30, "web"), text="a secret text")
    say(database, sent[:7], is_correct=True)
    say(database, sent[7:10], label="tables")
    say(database, sent[10:15], is_correct=False)
    found = check(database, "run")
    assert (found.state, found.is_confirmed, found.version) == ("enough_labels", True, "1")
    assert (found.new_rows, found.last_prediction_id) == (10, 10)
    assert found.report == {
        "labelled_rows": 10,
        "wrong_rows": 3,
        "learnable": True,
        "texts_kept": 10,
        "confirmation": "Confirmed: 10 labels are past their deadline and new.",
    }
    assert "a secret text" not in json.dumps(dict(found.report))


def test_labels_of_answers_before_their_deadline_wait(database: Database) -> None:
    old = serve(database, mixed(6, "web"))
    young = serve(database, mixed(6, "web"), at=database.now() - 1_000, name="young")
    say(database, old + young, label="web")
    assert check(database, "early", QUICK.model_copy(update={"deadline_s": 3_600.0})).new_rows == 6
    assert check(database, "late").new_rows == 12


def test_labels_of_all_versions_count(database: Database) -> None:
    crown(database, ONE)
    for version in ("1", "2"):
        say(database, serve(database, mixed(5, "web"), version=version), label="web")
    assert check(database, "run").is_confirmed


def test_a_label_is_counted_by_one_confirmed_check(database: Database) -> None:
    say(database, serve(database, mixed(12, "web")), label="web")
    say(database, serve(database, mixed(7, "web"), seed=1), label="tables")
    first = check(database, "first")
    nothing = check(database, "second")
    say(database, serve(database, mixed(9, "web"), seed=2), label="web")
    too_few = check(database, "third")
    say(database, serve(database, mixed(1, "web"), seed=3), label="web")
    enough = check(database, "fourth")
    assert [found.new_rows for found in (first, nothing, too_few, enough)] == [19, 0, 9, 10]
    assert [found.is_confirmed for found in (first, nothing, too_few, enough)] == [True, False, False, True]
    assert first.report["wrong_rows"] == 7


def test_enough_labels_in_the_cooldown_are_not_confirmed(database: Database) -> None:
    patient = QUICK.model_copy(update={"cooldown_s": 3_600.0})
    say(database, serve(database, mixed(10, "web")), label="web")
    assert check(database, "first", patient).is_confirmed
    say(database, serve(database, mixed(10, "web"), seed=1), label="web")
    found = check(database, "second", patient)
    assert (found.state, found.is_confirmed) == ("enough_labels", False)
    assert "feedback.cooldown_s is 3600" in found.report["confirmation"]


@pytest.mark.parametrize("where", ["with the answer", "with the feedback", "nowhere"])
def test_labels_can_be_learned_from_where_a_text_was_kept(database: Database, where: str) -> None:
    sent = serve(database, mixed(10, "web"), text="a text" if where == "with the answer" else None)
    say(database, sent[:9], label="web")
    say(database, sent[9:], label="web", text="a text" if where == "with the feedback" else None)
    report = check(database, "run").report
    assert report["learnable"] is (where != "nowhere")
    assert report["texts_kept"] == {"with the answer": 10, "with the feedback": 1, "nowhere": 0}[where]


def test_a_run_makes_one_check(database: Database) -> None:
    say(database, serve(database, mixed(10, "web")), label="web")
    first = check(database, "run")
    say(database, serve(database, mixed(10, "web"), seed=1), label="web")
    assert check(database, "run") == first
    assert read_checks(database, PIPELINE, "feedback") == [first]


@pytest.mark.parametrize("runs", [["run"] * 4, ["a", "b", "c", "d"]], ids=["the same run", "four runs"])
def test_of_checks_at_once_one_is_confirmed(database: Database, runs: list[str]) -> None:
    say(database, serve(database, mixed(15, "web")), label="web")
    line = threading.Barrier(len(runs))

    def together(run: str) -> Check:
        line.wait(60)
        return check(database, run)

    with ThreadPoolExecutor(len(runs)) as threads:
        list(threads.map(together, runs))
    found = read_checks(database, PIPELINE, "feedback")
    assert sorted(one.run for one in found) == sorted(set(runs))
    assert [one.is_confirmed for one in found].count(True) == 1


def test_what_was_told_from_outside_takes_no_labels(database: Database) -> None:
    told = Check(PIPELINE, "feedback", "event/1", "enough_labels", is_confirmed=True)
    record_check(database, told, lambda measured, _earlier, _now: measured)
    say(database, serve(database, mixed(10, "web")), label="web")
    found = check(database, "run")
    assert found.is_confirmed
    assert found.new_rows == 10


def test_however_much_was_told_from_outside_labels_are_counted_once(database: Database) -> None:
    say(database, serve(database, mixed(20, "web")), label="web")
    assert check(database, "first").is_confirmed
    for number in range(25):
        told = Check(PIPELINE, "feedback", f"event/{number}", "enough_labels", is_confirmed=True)
        record_check(database, told, lambda measured, _earlier, _now: measured)
    say(database, serve(database, mixed(12, "web"), seed=1), label="web")
    found = check(database, "second")
    assert (found.is_confirmed, found.new_rows) == (True, 12)


def test_labels_are_counted_after_the_whole_log_was_deleted(database: Database) -> None:
    say(database, serve(database, mixed(20, "web")), label="web")
    assert check(database, "first").is_confirmed
    with database.transaction() as connection:
        connection.execute(sa.delete(predictions))
    say(database, serve(database, mixed(12, "web"), seed=1), label="web")
    found = check(database, "second")
    assert (found.is_confirmed, found.new_rows) == (True, 12)

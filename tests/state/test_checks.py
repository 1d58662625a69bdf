"""Checks: one a run, written one after the other, and taken over by one dataset run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import (
    Check,
    answer_check,
    checks_of,
    claim_checks,
    confirmed_checks,
    counted_until,
    find_check,
    read_checks,
    record_check,
)
from airflow_provider_autoglm.state.routes import read_routes
from tests.state.conftest import CONTENDERS, race

DRIFT = Check(
    "news",
    "drift",
    "autoglm_drift_watch_news/run",
    "drifted",
    score=0.5,
    p_value=0.001,
    version="3",
    new_rows=7,
    last_prediction_id=2**40,
    report={"separation": 0.5, "most_novel": [{"request_id": "r1"}], "nothing": math.nan},
)


def as_measured(measured: Check, _earlier: Sequence[Check], _now: float) -> Check:
    return measured


def confirmed_first(measured: Check, earlier: Sequence[Check], _now: float) -> Check:
    """Confirms the first of all."""
    return replace(measured, is_confirmed=not earlier)


def record(database: Database, *checks: Check) -> list[Check]:
    return [record_check(database, check, as_measured) for check in checks]


def confirmed(*runs: str, **changes: object) -> list[Check]:
    return [replace(DRIFT, run=run, is_confirmed=True, **changes) for run in runs]  # type: ignore[arg-type]


def test_a_check_is_read_as_it_was_written_with_its_time(database: Database) -> None:
    (written,) = record(database, DRIFT)
    assert written.id > 0
    assert abs(written.at - database.now()) < 60
    report = {"separation": 0.5, "most_novel": [{"request_id": "r1"}], "nothing": None}
    assert written == replace(DRIFT, id=written.id, at=written.at, report=report)
    assert find_check(database, "news", "drift", DRIFT.run) == written
    assert find_check(database, "news", "feedback", DRIFT.run) is None
    assert find_check(database, "docs", "drift", DRIFT.run) is None


def test_a_check_of_a_pipeline_without_routes_leaves_it_without_a_champion(database: Database) -> None:
    record(database, DRIFT)
    assert read_routes(database, "news").champion is None


def test_a_run_makes_one_check_a_kind_and_the_first_one_stays(database: Database) -> None:
    first, again, other_kind, other_pipeline = record(
        database, DRIFT, replace(DRIFT, score=0.9), replace(DRIFT, kind="feedback"), replace(DRIFT, pipeline="docs")
    )
    assert again == first
    assert len({first.id, other_kind.id, other_pipeline.id}) == 3
    assert read_checks(database, "news") == [other_kind, first]
    assert read_checks(database, "news", "drift") == [first]


def test_the_latest_checks_come_first(database: Database) -> None:
    written = record(database, *(replace(DRIFT, run=str(number)) for number in range(5)))
    assert read_checks(database, "news", limit=3) == written[:1:-1]


def test_confirming_sees_the_earlier_checks_of_the_kind_newest_first_and_the_time(database: Database) -> None:
    one, two = record(database, replace(DRIFT, run="1"), replace(DRIFT, run="2"))
    record(database, replace(DRIFT, kind="feedback"), replace(DRIFT, pipeline="docs"))
    seen: list[object] = []

    def confirm(measured: Check, earlier: Sequence[Check], now: float) -> Check:
        seen.extend([measured, list(earlier), now])
        return replace(measured, is_confirmed=True, new_rows=3)

    written = record_check(database, DRIFT, confirm)
    assert seen == [DRIFT, [two, one], written.at]
    assert (written.is_confirmed, written.new_rows) == (True, 3)


def test_a_confirmed_check_is_seen_however_many_came_after_it(database: Database) -> None:
    long_ago = record(database, *confirmed("first", "second"))
    record(database, replace(DRIFT, run="not confirmed"))
    later = record(database, *(replace(DRIFT, run=f"{number}") for number in range(101)))
    seen: list[Check] = []

    def confirm(measured: Check, earlier: Sequence[Check], _now: float) -> Check:
        seen.extend(earlier)
        return measured

    record_check(database, DRIFT, confirm)
    assert seen == later[:0:-1] + long_ago[::-1]


def test_a_check_that_cannot_be_decided_is_not_written(database: Database) -> None:
    def confirm(_measured: Check, _earlier: Sequence[Check], _now: float) -> Check:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        record_check(database, DRIFT, confirm)
    assert read_checks(database, "news") == []


def test_of_many_that_record_the_check_of_a_run_at_once_all_get_the_same_one(database: Database, url: str) -> None:
    results = race(url, lambda own, number: record_check(own, replace(DRIFT, new_rows=number), as_measured))
    assert results == read_checks(database, "news") * CONTENDERS


def test_checks_of_many_runs_at_once_are_decided_one_after_the_other(database: Database, url: str) -> None:
    results = race(url, lambda own, number: record_check(own, replace(DRIFT, run=str(number)), confirmed_first))
    written = read_checks(database, "news", limit=CONTENDERS + 1)
    assert len(written) == len(results) == CONTENDERS
    assert [check.is_confirmed for check in written] == [False] * (CONTENDERS - 1) + [True]


# Answering


def test_confirmed_checks_are_found_answered_or_not(database: Database) -> None:
    one, two = record(database, *confirmed("1", "2"))
    record(database, DRIFT)
    (label,) = record(database, replace(DRIFT, kind="feedback", is_confirmed=True))
    assert answer_check(database, one, "dataset/1")
    answered = replace(one, answered_by="dataset/1")
    assert confirmed_checks(database, "news") == [label, two, answered]
    assert confirmed_checks(database, "news", "drift") == [two, answered]
    assert confirmed_checks(database, "news", limit=1) == [label]
    assert confirmed_checks(database, "docs") == []


def test_a_check_that_is_not_confirmed_has_no_answer(database: Database) -> None:
    (check,) = record(database, DRIFT)
    assert not answer_check(database, check, "dataset/1")


def test_a_check_is_taken_over_only_from_whom_it_was_seen_with(database: Database) -> None:
    (check,) = record(database, *confirmed("1"))
    assert answer_check(database, check, "dataset/1")
    assert not answer_check(database, check, "dataset/2")
    assert answer_check(database, replace(check, answered_by="dataset/1"), "dataset/2")
    assert [found.answered_by for found in confirmed_checks(database, "news")] == ["dataset/2"]


def test_of_many_that_answer_at_once_one_does(database: Database, url: str) -> None:
    (check,) = record(database, *confirmed("1"))
    results = race(url, lambda own, number: number if answer_check(own, check, f"dataset/{number}") else None)
    (winner,) = (result for result in results if result is not None)
    assert [found.answered_by for found in confirmed_checks(database, "news")] == [f"dataset/{winner}"]


def test_a_run_claims_what_is_owed_and_finds_it_again(database: Database) -> None:
    one, two = record(database, *confirmed("1", "2"))
    record(database, DRIFT)
    claimed = claim_checks(database, "news", "dataset/1", has_failed=lambda _: False)
    assert claimed == (replace(two, answered_by="dataset/1"), replace(one, answered_by="dataset/1"))
    assert claim_checks(database, "news", "dataset/1", has_failed=lambda _: False) == claimed
    assert claim_checks(database, "news", "dataset/2", has_failed=lambda _: False) == ()


def test_what_a_failed_run_has_claimed_is_owed_again(database: Database) -> None:
    record(database, *confirmed("1"))
    claim_checks(database, "news", "dataset/1", has_failed=lambda _: False)
    (taken,) = claim_checks(database, "news", "dataset/2", has_failed=lambda run: run == "dataset/1")
    assert taken.answered_by == "dataset/2"


def test_of_many_that_claim_at_once_each_check_goes_to_one(database: Database, url: str) -> None:
    written = record(database, *confirmed("1", "2", "3"))

    def claim(own: Database, number: int) -> list[int]:
        return [check.id for check in claim_checks(own, "news", f"dataset/{number}", has_failed=lambda _: False)]

    results = race(url, claim)
    taken = [check_id for result in results if isinstance(result, list) for check_id in result]
    assert sorted(taken) == [check.id for check in written]


def test_of_a_burst_of_checks_all_are_claimed(database: Database) -> None:
    written = record(database, *confirmed(*(str(number) for number in range(25))))
    claimed = claim_checks(database, "news", "dataset/1", has_failed=lambda _: False)
    assert [check.id for check in claimed] == [check.id for check in reversed(written)]
    again = claim_checks(database, "news", "dataset/2", has_failed=lambda run: run == "dataset/1")
    assert [check.id for check in again] == [check.id for check in claimed]
    assert claim_checks(database, "news", "dataset/1", has_failed=lambda _: False) == ()


def test_a_run_of_the_longest_name_finds_what_it_has_claimed_again(database: Database) -> None:
    record(database, *confirmed("d" * 250 + "/" + "r" * 249 + "1", "d" * 250 + "/" + "r" * 249 + "2"))
    longest = "d" * 250 + "/" + "r" * 250
    claimed = claim_checks(database, "news", longest, has_failed=lambda _: False)
    assert len(claimed) == 2
    assert claim_checks(database, "news", longest, has_failed=lambda _: False) == claimed


def test_checks_are_read_by_their_ids(database: Database) -> None:
    one, two, _ = record(database, *confirmed("1", "2", "3"))
    (elsewhere,) = record(database, replace(DRIFT, pipeline="docs"))
    assert checks_of(database, "news", [two.id, one.id, elsewhere.id]) == [two, one]
    assert checks_of(database, "news", []) == []


def test_rows_are_counted_until_the_newest_one_of_all_confirmed_checks_of_the_kind(database: Database) -> None:
    assert counted_until(database, "news", "drift") == 0
    record(database, *confirmed("1", last_prediction_id=7), replace(DRIFT, run="2", last_prediction_id=9))
    record(database, *confirmed("3", last_prediction_id=5), *confirmed("4", last_prediction_id=None))
    assert counted_until(database, "news", "drift") == 7
    assert counted_until(database, "news", "feedback") == 0

"""When a check is confirmed, by the checks before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.monitoring.confirmation import confirm_drift, confirm_feedback
from airflow_provider_autoglm.settings import DriftSettings, FeedbackSettings
from airflow_provider_autoglm.state.checks import Check, CheckState
from tests.monitoring.conftest import settings_with

_HOUR_S = 3_600.0
_WINDOW = 100


def drift(state: CheckState = "drifted", *, end: int | None = None, version: str | None = "1") -> Check:
    """A check as it was measured; its window ends with the row ``end``, by default 100 rows after the one before."""
    return Check("docs", "drift", "run", state, version=version, last_prediction_id=end)


def history(settings: DriftSettings, *measured: Check, every_s: float = _HOUR_S) -> list[Check]:
    """Check after check as it is written down, one every hour, each over the hundred rows up to its last one."""
    written: list[Check] = []
    for number, check in enumerate(measured, start=1):
        end = check.last_prediction_id if check.last_prediction_id is not None else _WINDOW * number
        window = range(max(1, end - _WINDOW + 1), end + 1)
        now = number * every_s
        seen = replace(check, last_prediction_id=end)
        decided = confirm_drift(seen, written[::-1], now, settings=settings, window=window)
        written.append(replace(decided, id=number, at=now))
    return written


def confirmed(checks: Sequence[Check]) -> list[int]:
    return [check.id for check in checks if check.is_confirmed]


@pytest.mark.parametrize(("confirmations", "expected"), [(1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), (3, [3, 6])])
def test_so_many_drifted_checks_in_a_row_are_confirmed_and_then_the_row_starts_anew(
    confirmations: int, expected: list[int]
) -> None:
    checks = history(settings_with(confirmations=confirmations), *[drift()] * 6)
    assert confirmed(checks) == expected
    last = checks[expected[0] - 1]
    assert last.report["confirmation"] == (
        f"Confirmed: {confirmations} checks of version 1 in a row are drifted, 100 rows are new."
    )


@pytest.mark.parametrize("state", ["ok", "warning"])
def test_a_check_that_is_not_drifted_breaks_the_row(state: CheckState) -> None:
    checks = history(settings_with(), drift(), drift(state), drift(), drift())
    assert confirmed(checks) == [4]
    assert checks[1].report["confirmation"] == f"Not confirmed: the state is {state}."
    assert checks[2].report["confirmation"] == (
        "Not confirmed: 1 of 2 checks of version 1 in a row are drifted; checks of the same rows count once."
    )


def test_checks_with_too_little_data_are_passed_over() -> None:
    checks = history(settings_with(), drift(), drift("insufficient_data"), drift("insufficient_data"), drift())
    assert confirmed(checks) == [4]
    assert checks[1].report["confirmation"] == "Not confirmed: there is too little data."


def test_another_version_starts_the_row_anew_and_so_does_the_way_back() -> None:
    checks = history(settings_with(), drift(), drift(version="2"), drift(), drift(version=None), drift(), drift())
    assert confirmed(checks) == [6]


def test_a_window_that_did_not_move_counts_once() -> None:
    checks = history(settings_with(), drift(end=100), drift(end=100), drift(end=100), drift(end=101))
    assert confirmed(checks) == [4]


def test_a_window_that_ends_before_the_one_of_the_check_before_counts_in_its_place() -> None:
    checks = history(settings_with(confirmations=3), drift(end=100), drift(end=120), drift(end=110), drift(end=130))
    assert confirmed(checks) == [4]


def test_of_two_checks_of_the_same_rows_the_newer_one_counts() -> None:
    three = settings_with(confirmations=3)
    loosened = history(three, drift(end=50), drift(end=80), drift("warning", end=100), drift(end=100))
    tightened = history(three, drift(end=50), drift(end=100), drift("warning", end=100), drift(end=150))
    assert confirmed(loosened) == [4]
    assert confirmed(tightened) == []


def test_the_rows_of_a_confirmed_check_confirm_nothing_again() -> None:
    checks = history(settings_with(confirmations=1), drift(end=100), drift(end=100), drift(end=90), drift(end=101))
    assert confirmed(checks) == [1, 4]
    assert [check.new_rows for check in checks] == [100, 0, 0, 1]


def test_nothing_is_confirmed_in_the_cooldown_and_the_first_drift_after_it_is() -> None:
    checks = history(settings_with(cooldown_s=5 * _HOUR_S), *[drift()] * 8)
    assert confirmed(checks) == [2, 7]
    assert checks[3].report["confirmation"] == (
        "Not confirmed: check 2 was confirmed 7200 s ago, drift.cooldown_s is 18000."
    )


def test_the_cooldown_holds_for_the_next_version_as_well() -> None:
    checks = history(settings_with(cooldown_s=5 * _HOUR_S), drift(), drift(), *[drift(version="2")] * 5)
    assert confirmed(checks) == [2, 7]


def test_a_confirmation_needs_rows_that_no_confirmed_check_counted() -> None:
    settings = settings_with(confirmations=1, window_rows=100, min_new_rows=60)
    checks = history(settings, drift(end=100), drift(end=130), drift(end=159), drift(end=160), drift(end=300))
    assert [check.new_rows for check in checks] == [100, 30, 59, 60, 100]
    assert confirmed(checks) == [1, 4, 5]
    assert checks[2].report["confirmation"] == (
        "Not confirmed: 59 rows of the window were not counted by a confirmed check before, drift.min_new_rows is 60."
    )


def test_a_drift_told_from_outside_has_its_cooldown_and_takes_no_rows() -> None:
    told = replace(drift(version=None), is_confirmed=True, id=7, at=0.0)
    settings = settings_with(confirmations=1, cooldown_s=10)
    seen = drift(end=100)
    assert not confirm_drift(seen, [told], 9.0, settings=settings, window=range(100)).is_confirmed
    later = confirm_drift(seen, [told], 10.0, settings=settings, window=range(1, 101))
    assert later.is_confirmed
    assert later.new_rows == 100


def test_what_was_measured_stays_in_the_report() -> None:
    measured = replace(drift(end=100), report={"separation": 0.4})
    decided = confirm_drift(measured, [], 0.0, settings=settings_with(), window=[])
    assert decided.report["separation"] == 0.4
    assert measured.report == {"separation": 0.4}


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["ok", "warning", "drifted", "drifted", "drifted", "insufficient_data"]),
            st.sampled_from(["1", "1", "1", "2"]),
            st.integers(0, 80),
        ),
        max_size=30,
    ),
    confirmations=st.integers(1, 4),
    min_new_rows=st.integers(0, 100),
    cooldown=st.integers(0, 6),
)
def test_no_confirmed_check_lacks_what_confirming_needs(
    rows: list[tuple[CheckState, str, int]], confirmations: int, min_new_rows: int, cooldown: int
) -> None:
    settings = settings_with(
        confirmations=confirmations, window_rows=100, min_new_rows=min_new_rows, cooldown_s=cooldown * _HOUR_S
    )
    end, measured = 0, []
    for state, version, further in rows:
        end += further
        measured.append(drift(state, end=end, version=version))
    checks = history(settings, *measured)
    of_confirmed = [check for check in checks if check.is_confirmed]
    for check in of_confirmed:
        assert check.state == "drifted"
        assert check.new_rows >= min_new_rows
        since = max((other.id for other in of_confirmed if other.id < check.id), default=0)
        ends = {
            other.last_prediction_id
            for other in checks[since : check.id]
            if other.state == "drifted" and other.version == check.version
        }
        assert len(ends) >= confirmations
    for one, next_one in pairwise(of_confirmed):
        assert next_one.at - one.at >= settings.cooldown_s
        assert (next_one.last_prediction_id or 0) > (one.last_prediction_id or 0)


# Feedback


def labels(rows: int, *, minimum: int = 10, end: int = 100) -> Check:
    state: CheckState = "enough_labels" if rows >= minimum else "insufficient_data"
    return Check("docs", "feedback", "run", state, new_rows=rows, last_prediction_id=end)


def test_enough_labels_are_confirmed() -> None:
    settings = FeedbackSettings(min_rows=10)
    decided = confirm_feedback(labels(10), [], 0.0, settings=settings, after_id=0)
    assert decided.is_confirmed
    assert decided.report["confirmation"] == "Confirmed: 10 labels are past their deadline and new."


def test_too_few_labels_are_not() -> None:
    settings = FeedbackSettings(min_rows=10)
    decided = confirm_feedback(labels(9), [], 0.0, settings=settings, after_id=0)
    assert not decided.is_confirmed
    assert decided.report["confirmation"] == (
        "Not confirmed: 9 labels are past their deadline and new, feedback.min_rows is 10."
    )


def test_labels_wait_for_the_end_of_the_cooldown() -> None:
    settings = FeedbackSettings(min_rows=10, cooldown_s=60)
    before = replace(labels(10, end=40), is_confirmed=True, id=3, at=0.0)
    early = confirm_feedback(labels(10), [before], 59.0, settings=settings, after_id=40)
    assert not early.is_confirmed
    assert early.new_rows == 10
    assert "check 3 was confirmed 59 s ago, feedback.cooldown_s is 60" in early.report["confirmation"]
    assert confirm_feedback(labels(10), [before], 60.0, settings=settings, after_id=40).is_confirmed


def test_labels_that_another_check_has_counted_meanwhile_confirm_nothing() -> None:
    settings = FeedbackSettings(min_rows=10, cooldown_s=0)
    meanwhile = replace(labels(10), is_confirmed=True, id=3, at=0.0)
    decided = confirm_feedback(labels(10), [meanwhile], 1.0, settings=settings, after_id=40)
    assert not decided.is_confirmed
    assert (decided.state, decided.new_rows) == ("insufficient_data", 0)
    assert decided.report["confirmation"] == "Not confirmed: another check has just counted these labels."

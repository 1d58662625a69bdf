from __future__ import annotations

from airflow_provider_autoglm.serving.breaker import Breaker


def test_failures_of_any_kind_in_a_row_open_it_once_with_the_last_as_reason() -> None:
    told: list[str] = []
    breaker = Breaker(3, told.append)
    breaker.record_failure("error")
    breaker.record_failure("timeout")
    assert (breaker.is_open, breaker.reason) == (False, "")
    breaker.record_failure("invalid_output")
    assert (breaker.is_open, breaker.reason) == (True, "invalid_output")
    breaker.record_failure("error")
    assert told == ["invalid_output"]
    assert breaker.reason == "invalid_output"


def test_an_answer_between_failures_starts_the_count_again() -> None:
    breaker = Breaker(2, [].append)
    for _ in range(5):
        breaker.record_failure("error")
        breaker.record_success()
    assert not breaker.is_open
    breaker.record_failure("error")
    breaker.record_failure("error")
    assert breaker.is_open


def test_a_crash_opens_it_at_once() -> None:
    told: list[str] = []
    breaker = Breaker(100, told.append)
    breaker.record_failure("crash")
    assert told == ["crash"]


def test_it_stays_open_whatever_is_answered_later() -> None:
    told: list[str] = []
    breaker = Breaker(1, told.append)
    breaker.open("timeout")
    breaker.record_success()
    breaker.open("crash")
    assert breaker.is_open
    assert told == ["timeout"]

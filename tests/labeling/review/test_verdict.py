from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_autoglm.labeling.review.estimate import Stratum
from airflow_provider_autoglm.labeling.review.tally import Tally
from airflow_provider_autoglm.labeling.review.verdict import judge
from tests.labeling.review.conftest import review_settings


def answered(right: int, answered: int = 200, *, asked: int = 200, rows: int = 5_000) -> Tally:
    return Tally(
        strata=(Stratum(rows, answered, right),) if rows else (),
        asked=asked,
        answered=answered,
        suspicious_asked=0,
        suspicious_answered=0,
        verdicts={},
    )


@pytest.mark.parametrize(
    ("right", "rounds", "settings", "outcome"),
    [
        (190, 1, {}, "passed"),
        (120, 1, {}, "failed"),
        (165, 1, {}, "again"),
        (155, 1, {}, "again"),
        (165, 2, {}, "passed"),
        (155, 2, {}, "failed"),
        (160, 2, {}, "passed"),
        (165, 1, {"second_round": False}, "passed"),
        (155, 1, {"second_round": False}, "failed"),
        (0, 1, {"target_accuracy": 0}, "passed"),
        (200, 1, {"target_accuracy": 1}, "again"),
        (200, 2, {"target_accuracy": 1}, "passed"),
    ],
)
def test_the_interval_decides_and_between_a_second_round_and_then_the_estimate(
    right: int, rounds: int, settings: dict[str, Any], outcome: str
) -> None:
    judged = judge(answered(right), review_settings(**settings), rounds=rounds)
    assert judged.outcome == outcome
    assert judged.estimate is not None
    assert judged.estimate.accuracy == right / 200
    assert f"{right / 200:.3f} (" in judged.reason


@pytest.mark.parametrize(("right", "outcome"), [(161, "passed"), (159, "failed")])
def test_when_all_texts_were_asked_about_there_is_nothing_to_ask_again(right: int, outcome: str) -> None:
    assert judge(answered(right, rows=200), review_settings(), rounds=1).outcome == outcome


@pytest.mark.parametrize(
    ("rounds", "settings", "outcome"),
    [
        (1, {"on_no_answer": "wait"}, "again"),
        (2, {"on_no_answer": "wait"}, "failed"),
        (1, {"on_no_answer": "wait", "second_round": False}, "failed"),
        (1, {"on_no_answer": "fail"}, "failed"),
        (1, {"on_no_answer": "pass"}, "unreviewed"),
        (2, {"on_no_answer": "pass"}, "unreviewed"),
    ],
)
@pytest.mark.parametrize("count", [0, 159])
def test_with_too_few_answers_the_settings_decide(
    count: int, rounds: int, settings: dict[str, Any], outcome: str
) -> None:
    judged = judge(answered(count, count), review_settings(**settings), rounds=rounds)
    assert (judged.outcome, judged.estimate) == (outcome, None)
    assert judged.reason == f"{count} of 200 sampled texts were answered; review.min_answered = 0.8"


@pytest.mark.parametrize(("count", "asked", "needed"), [(160, 200, 0.8), (55, 100, 0.55), (7, 100, 0.07)])
def test_as_many_answers_as_needed_are_enough(count: int, asked: int, needed: float) -> None:
    found = answered(count, count, asked=asked)
    settings = review_settings(on_no_answer="fail", min_answered=needed, target_accuracy=0.1)
    assert judge(found, settings, rounds=1).outcome == "passed"


def test_where_nothing_has_an_automatic_label_nothing_is_reviewed() -> None:
    judged = judge(answered(0, 0, asked=0, rows=0), review_settings(on_no_answer="fail"), rounds=1)
    assert (judged.outcome, judged.estimate) == ("unreviewed", None)
    assert "nothing to check" in judged.reason

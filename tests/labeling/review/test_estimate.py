from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.review.estimate import Estimate, Stratum, estimate
from airflow_provider_autoglm.labeling.review.sample import draw_sample
from airflow_provider_autoglm.settings import ReviewSettings
from tests.labeling.review.conftest import review_settings

REVIEWS = 2_000
DEFAULTS = review_settings()


@dataclass(frozen=True)
class Scenario:
    """A population by the rows of each label and the share of them that is right, and how it is reviewed."""

    rows: tuple[int, ...]
    right: tuple[float, ...]
    answered: float = 1.0
    settings: ReviewSettings = DEFAULTS

    @property
    def strata(self) -> NDArray[np.int32]:
        return np.repeat(np.arange(len(self.rows), dtype=np.int32), self.rows)

    @property
    def is_right(self) -> NDArray[np.bool_]:
        pairs = zip(self.rows, self.right, strict=True)
        return np.concatenate([np.arange(rows) < round(share * rows) for rows, share in pairs])


SCENARIOS = {
    "balanced, as expected, at the target": Scenario((500,) * 4, (0.8,) * 4),
    "balanced, one label bad": Scenario((500,) * 4, (0.99, 0.95, 0.6, 0.66)),
    "unbalanced, small labels bad": Scenario((1800, 100, 80, 20), (0.95, 0.5, 0.4, 0.3)),
    "bad, one label of two texts": Scenario((1000, 300, 100, 2), (0.6,) * 4),
    "nearly all right": Scenario((500,) * 4, (0.99,) * 4),
    "small": Scenario((60, 40, 3), (0.9, 0.7, 1 / 3)),
    "small and good": Scenario((150, 100, 50), (0.97,) * 3),
    "forty labels": Scenario((50,) * 40, (0.8,) * 40),
    "a fifth unanswered": Scenario((700, 400, 300, 5), (0.9, 0.8, 0.7, 0.4), answered=0.8),
    "narrow": Scenario((500,) * 4, (0.97,) * 4, settings=review_settings(margin=0.02, expected_accuracy=0.97)),
}


@dataclass(frozen=True)
class Simulated:
    """What many reviews of one population came to; ``held`` are shares of the reviews."""

    truth: float
    held_in_first_round: float
    held_at_the_end: float
    mean_half_width: float
    mean_error: float


@cache
def simulate(name: str) -> Simulated:
    scenario = SCENARIOS[name]
    rng = np.random.default_rng(7)
    strata, is_right = scenario.strata, scenario.is_right
    truth = float(is_right.mean())
    firsts, lasts = [], []
    for _ in range(REVIEWS):
        order = rng.integers(0, 2**64, len(strata), dtype=np.uint64)
        drawn = draw_sample(strata, order, scenario.settings)
        is_answered = rng.random(len(strata)) < scenario.answered
        first = last = estimated(scenario, drawn.first[is_answered[drawn.first]], rounds=1)
        if first.low < scenario.settings.target_accuracy <= first.high:
            both = np.concatenate([drawn.first, drawn.second])
            last = estimated(scenario, both[is_answered[both]], rounds=2)
        firsts.append(first)
        lasts.append(last)
    return Simulated(
        truth=truth,
        held_in_first_round=float(np.mean([holds(each, truth) for each in firsts])),
        held_at_the_end=float(np.mean([holds(each, truth) for each in lasts])),
        mean_half_width=float(np.mean([each.high - each.low for each in firsts])) / 2,
        mean_error=float(np.mean([each.accuracy - truth for each in firsts])),
    )


def estimated(scenario: Scenario, rows: NDArray[np.intp], *, rounds: int) -> Estimate:
    strata, classes = scenario.strata[rows], len(scenario.rows)
    answered = np.bincount(strata, minlength=classes)
    right = np.bincount(strata, weights=scenario.is_right[rows], minlength=classes)
    counts = zip(scenario.rows, answered.tolist(), right.tolist(), strict=True)
    found = estimate([Stratum(*numbers) for numbers in counts], scenario.settings.confidence, rounds=rounds)
    assert found is not None
    return found


def holds(found: Estimate, truth: float) -> bool:
    return found.low - 1e-9 <= truth <= found.high + 1e-9


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_interval_holds_the_truth_in_at_least_94_of_100_of_2000_simulated_reviews(name: str) -> None:
    simulated = simulate(name)
    print(f"{name}: {simulated}")
    assert simulated.held_in_first_round >= 0.94
    assert simulated.held_at_the_end >= 0.94
    assert abs(simulated.mean_error) < 0.002


@pytest.mark.parametrize("name", ["balanced, as expected, at the target", "narrow", "forty labels"])
def test_the_interval_is_as_narrow_as_wanted(name: str) -> None:
    margin = SCENARIOS[name].settings.margin
    assert simulate(name).mean_half_width == pytest.approx(margin, rel=0.05)


def test_a_label_counts_by_its_rows_and_not_by_its_answers() -> None:
    found = estimate([Stratum(900, 10, 9), Stratum(100, 10, 5)], 0.95)
    assert found is not None
    assert found.accuracy == pytest.approx(0.9 * 0.9 + 0.1 * 0.5)


def test_a_label_without_answers_is_taken_to_be_like_the_rest() -> None:
    found = estimate([Stratum(900, 100, 90), Stratum(100, 0, 0)], 0.95)
    assert found is not None
    assert found.accuracy == pytest.approx(0.9)
    assert found.low < 0.9 < found.high


def test_without_answers_there_is_no_estimate() -> None:
    assert estimate([Stratum(10, 0, 0)], 0.95) is None
    assert estimate([], 0.95) is None


@pytest.mark.parametrize("right", [0, 1, 6, 7])
def test_who_has_asked_about_all_rows_knows_the_share(right: int) -> None:
    found = estimate([Stratum(7, 7, right)], 0.95)
    assert found is not None
    assert (found.low, found.accuracy, found.high) == pytest.approx((right / 7,) * 3)


def test_the_interval_leaves_out_what_the_answers_rule_out() -> None:
    found = estimate([Stratum(10, 8, 7)], 0.95)
    assert found is not None
    assert found.low >= 0.7
    assert found.high <= 0.9


def test_weights_that_differ_make_the_sample_count_for_less() -> None:
    even = estimate([Stratum(500, 50, 40), Stratum(500, 50, 40)], 0.95)
    uneven = estimate([Stratum(990, 50, 40), Stratum(10, 10, 8)], 0.95)
    assert even is not None
    assert uneven is not None
    assert even.effective == pytest.approx(100)
    assert uneven.effective < 55


def test_a_second_look_at_the_same_answers_is_held_to_more() -> None:
    strata = [Stratum(1_000, 100, 80)]
    one, two = estimate(strata, 0.95), estimate(strata, 0.95, rounds=2)
    assert one is not None
    assert two is not None
    assert two.low < one.low < one.accuracy == two.accuracy < one.high < two.high


def test_it_reads_as_a_sentence() -> None:
    found: Any = estimate([Stratum(1_000, 100, 80)], 0.95)
    assert str(found) == f"0.800 ({found.low:.3f} to {found.high:.3f} at 95%)"

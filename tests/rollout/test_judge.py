"""The judge against a slow computation of its definition, and against simulated traffic with peeking."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from airflow_provider_autoglm.rollout.judge import Step, Window, judge, log_evidence
from airflow_provider_autoglm.settings.rollout import RolloutSettings

SETTINGS = RolloutSettings(min_requests=800, alpha=0.01)


def step(weight: int, baseline: tuple[int, int], canary: tuple[int, int]) -> Step:
    return Step(weight, Window(*baseline), Window(*canary))


def slow_log_e(baseline: Window, canary: Window) -> float:
    """The definition: the likelihood of the errors' split, averaged over a prior above ``s``, against that of ``s``."""
    s = canary.requests / (canary.requests + baseline.requests)
    c, d = canary.errors, baseline.errors
    values = []
    for k in (20, 200):
        a, b = k * s + 0.5, k * (1 - s)
        peak = max(s, min(1 - 1e-9, (a + c) / (a + b + c + d)))
        scale = c * math.log(peak / s) + d * math.log((1 - peak) / (1 - s))

        def prior(p: float, a: float = a, b: float = b) -> float:
            return math.exp((a - 1) * math.log(p) + (b - 1) * math.log1p(-p))

        def weighed(p: float, s: float = s, a: float = a, b: float = b, scale: float = scale) -> float:
            fit = c * math.log(p / s) + d * (math.log1p(-p) - math.log1p(-s))
            return math.exp((a - 1) * math.log(p) + (b - 1) * math.log1p(-p) + fit - scale)

        spread = math.sqrt(peak * (1 - peak) / (k + c + d))
        edges = sorted({s, 1.0, *(x for n in (-6, -2, 0, 0.3, 1, 2, 6) if s < (x := peak + n * spread) < 1)})
        top = sum(quad(weighed, low, high, epsabs=0, limit=200)[0] for low, high in itertools.pairwise(edges))
        values.append(math.log(top / quad(prior, s, 1, epsabs=0, limit=200)[0]) + scale)
    return float(np.logaddexp(*values) - math.log(2))


@pytest.mark.parametrize(
    ("baseline", "canary"),
    [
        ((950, 10), (50, 4)),
        ((500, 5), (500, 25)),
        ((500, 25), (500, 5)),
        ((1900, 19), (100, 0)),
        ((20, 19), (980, 1)),
        ((300, 0), (100, 7)),
        ((9_000, 900), (3_000, 420)),
    ],
)
def test_the_evidence_is_what_the_definition_says(baseline: tuple[int, int], canary: tuple[int, int]) -> None:
    expected = slow_log_e(Window(*baseline), Window(*canary))
    assert log_evidence(Window(*baseline), Window(*canary)) == pytest.approx(expected, abs=1e-6)


def test_a_tail_too_small_for_a_float_is_computed_all_the_same() -> None:
    # Half of the requests and 3,000 errors, none of them the challenger's: P(X > s) is below 10^-900.
    assert log_evidence(Window(10_000, 3_000), Window(10_000, 0)) == pytest.approx(-6.045, abs=0.001)


windows = st.integers(0, 10**9).flatmap(lambda n: st.builds(Window, st.just(n), st.integers(0, n)))


@settings(deadline=None)
@given(windows, windows)
def test_the_evidence_is_a_number_for_whatever_was_counted(baseline: Window, canary: Window) -> None:
    assert math.isfinite(log_evidence(baseline, canary))


@settings(deadline=None)
@given(st.integers(1, 5_000), st.integers(1, 5_000), st.integers(0, 200), st.integers(0, 200))
def test_an_error_more_of_the_challenger_speaks_more_against_it(
    baseline: int, canary: int, baseline_errors: int, canary_errors: int
) -> None:
    champion = Window(baseline, min(baseline, baseline_errors))
    fewer, more = (Window(canary, min(canary - 1, canary_errors) + extra) for extra in (0, 1))
    assert log_evidence(champion, more) > log_evidence(champion, fewer) - 1e-9


@pytest.mark.parametrize(
    ("baseline", "canary"), [((0, 0), (0, 0)), ((1_000, 7), (0, 0)), ((0, 0), (1_000, 900)), ((1_000, 0), (50, 0))]
)
def test_without_requests_on_both_sides_or_without_errors_there_is_no_evidence(
    baseline: tuple[int, int], canary: tuple[int, int]
) -> None:
    assert log_evidence(Window(*baseline), Window(*canary)) == 0.0


def test_a_challenger_that_fails_more_is_failed_before_it_has_its_minimum_of_requests() -> None:
    judgement = judge([step(5, (1_900, 19), (100, 30))], SETTINGS)
    assert judgement.outcome == "fail"
    assert judgement.reasons == (
        "the challenger fails more requests than the champion: at 5 % 30 of 100 (30.00%) of its requests against "
        f"19 of 1900 (1.00%); log e = {judgement.evidence['value']:.2f}, limit 4.61 (alpha 0.01)",
    )


def test_a_good_challenger_passes_once_it_has_its_minimum_of_requests() -> None:
    assert judge([step(25, (2_400, 24), (799, 8))], SETTINGS).outcome == "inconclusive"
    assert judge([step(25, (2_400, 24), (800, 8))], SETTINGS).outcome == "pass"


def test_only_the_newest_step_gives_the_minimum_of_requests() -> None:
    steps = [step(5, (19_000, 190), (1_000, 10)), step(50, (300, 3), (300, 3))]
    assert judge(steps, SETTINGS).outcome == "inconclusive"


def test_without_any_traffic_nothing_is_decided() -> None:
    judgement = judge([step(50, (0, 0), (0, 0))], SETTINGS)
    assert judgement.outcome == "inconclusive"
    assert "0 of 800 requests of the challenger at 50 %" in judgement.reasons[0]
    assert judge([], SETTINGS).outcome == "inconclusive"


def test_evidence_of_several_steps_adds_up() -> None:
    early, late = step(5, (1_900, 19), (100, 5)), step(50, (500, 5), (500, 21))
    limit = judge([early], SETTINGS).evidence["threshold"]
    assert judge([early], SETTINGS).evidence["value"] < limit
    assert judge([late], SETTINGS).evidence["value"] < limit
    both = judge([early, late], SETTINGS)
    assert both.outcome == "fail"
    assert both.evidence["value"] == pytest.approx(sum(counted["log_e"] for counted in both.evidence["steps"]))


def test_at_100_percent_the_earlier_steps_and_the_number_of_requests_decide() -> None:
    alone = step(100, (0, 0), (900, 9))
    passed = judge([step(50, (1_000, 10), (1_000, 11)), alone], SETTINGS)
    assert passed.outcome == "pass"
    assert "no champion beside it to compare with" in passed.reasons[0]
    assert judge([step(50, (1_000, 10), (1_000, 60)), alone], SETTINGS).outcome == "fail"
    assert judge([step(100, (0, 0), (799, 0))], SETTINGS).outcome == "inconclusive"


def test_a_challenger_beside_a_champion_without_requests_is_not_passed() -> None:
    judgement = judge([step(50, (0, 0), (5_000, 50))], SETTINGS)
    assert judgement.outcome == "inconclusive"
    assert "no request of the champion at 50 %" in judgement.reasons[0]


def test_the_evidence_says_rule_value_threshold_and_counts_as_json() -> None:
    evidence = json.loads(json.dumps(judge([step(5, (950, 9), (50, 1))], SETTINGS).evidence))
    assert evidence["rule"] == "beta-binomial test of errors"
    assert evidence["threshold"] == pytest.approx(math.log(100))
    assert evidence["steps"] == [
        {
            "weight_percent": 5,
            "baseline_requests": 950,
            "baseline_errors": 9,
            "canary_requests": 50,
            "canary_errors": 1,
            "log_e": evidence["value"],
        }
    ]


def test_more_errors_than_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="3 errors in 2 requests"):
        Window(2, 3)


def first_failure(rng: np.random.Generator, *, canary_rate: float, weights: tuple[int, ...], looks: int) -> int | None:
    """Peek after each minute of 100 canary requests at a base error of 1 %; returns the look that failed it, if any."""
    steps: list[Step] = []
    look = 0
    for weight in weights:
        counts = np.zeros(4, dtype=int)
        steps.append(step(weight, (0, 0), (0, 0)))
        for _ in range(looks):
            total = 100 * 100 // weight
            canary = int(rng.binomial(total, weight / 100))
            baseline = total - canary
            counts += [baseline, rng.binomial(baseline, 0.01), canary, rng.binomial(canary, canary_rate)]
            steps[-1] = step(weight, (int(counts[0]), int(counts[1])), (int(counts[2]), int(counts[3])))
            look += 1
            if judge(steps, SETTINGS).outcome == "fail":
                return look
    return None


def test_a_challenger_as_good_as_the_champion_is_seldom_failed_however_often_one_looks() -> None:
    rng = np.random.default_rng(7)
    trials = 300
    failed = sum(first_failure(rng, canary_rate=0.01, weights=(5, 25, 50), looks=20) is not None for _ in range(trials))
    # alpha = 1 %: 3 expected at most; more than 9 of 300 would come with a chance of 0.1 %.
    assert failed <= 9


def test_two_points_more_errors_are_found_in_minutes() -> None:
    rng = np.random.default_rng(8)
    looks = [first_failure(rng, canary_rate=0.03, weights=(5,), looks=60) for _ in range(60)]
    found = [look for look in looks if look is not None]
    assert len(found) == len(looks)
    assert np.median(found) <= 7


def test_without_scipy_the_judge_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['scipy'] = sys.modules['scipy.special'] = None\n"
        "from airflow_provider_autoglm.exceptions import MissingExtraError\n"
        "import airflow_provider_autoglm.rollout.rollback\n"
        "try:\n    import airflow_provider_autoglm.rollout.judge\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert output == "scipy is not installed; run: pip install 'airflow-provider-autoglm[rollout]'\n"

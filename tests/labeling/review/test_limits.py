from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from airflow_provider_autoglm.labeling.review.limits import limits_of_share


@pytest.mark.parametrize(("population", "sample"), [(1, 1), (12, 5), (30, 27), (60, 20), (60, 60)])
def test_the_limits_hold_every_true_share_in_at_least_95_of_100_samples(population: int, sample: int) -> None:
    limits = [limits_of_share(right / sample, sample, population, 0.95) for right in range(sample + 1)]
    for truth in range(population + 1):
        chances = stats.hypergeom(population, truth, sample).pmf(range(sample + 1))
        held = sum(
            chance for chance, (low, high) in zip(chances, limits, strict=True) if low <= truth / population <= high
        )
        assert held >= 0.95


def test_in_a_large_population_they_are_those_of_clopper_and_pearson() -> None:
    low, high = limits_of_share(0.8, 250, 10_000_000, 0.95)
    assert low == pytest.approx(stats.beta.ppf(0.025, 200, 51), abs=1e-5)
    assert high == pytest.approx(stats.beta.ppf(0.975, 201, 50), abs=1e-5)


def test_they_are_the_tails_of_the_hypergeometric_distribution() -> None:
    low, high = limits_of_share(45 / 50, 50, 200, 0.9)
    fewest, most = round(low * 200), round(high * 200)
    assert stats.hypergeom.sf(44, 200, fewest, 50) > 0.05 >= stats.hypergeom.sf(44, 200, fewest - 1, 50)
    assert stats.hypergeom.cdf(45, 200, most, 50) > 0.05 >= stats.hypergeom.cdf(45, 200, most + 1, 50)


def test_who_has_seen_all_rows_knows_the_share() -> None:
    assert limits_of_share(0.7, 10, 10, 0.95) == (0.7, 0.7)


@pytest.mark.parametrize(("share", "bounds"), [(0.0, (0.0, 0.31)), (1.0, (0.69, 1.0))])
def test_a_sample_of_one_kind_has_one_open_side(share: float, bounds: tuple[float, float]) -> None:
    assert limits_of_share(share, 10, 1_000, 0.95) == pytest.approx(bounds, abs=0.01)


@given(
    share=st.floats(0, 1),
    population=st.integers(1, 500),
    fraction=st.floats(0, 1),
    confidence=st.sampled_from([0.8, 0.95, 0.99]),
)
@settings(max_examples=150, deadline=None)
def test_they_enclose_the_share_and_narrow_with_the_sample(
    share: float, population: int, fraction: float, confidence: float
) -> None:
    sample = max(1.0, fraction * population)
    low, high = limits_of_share(share, sample, population, confidence)
    # Limits are whole rows, and a millionth of a row is rounded away: no answers show such a share.
    slack = 1.1e-6 / population
    assert 0 <= low <= share + slack
    assert share - slack <= high <= 1
    assert low * population == pytest.approx(round(low * population), abs=1e-6)
    wider_low, wider_high = limits_of_share(share, sample, population, (1 + confidence) / 2)
    assert wider_low <= low <= high <= wider_high

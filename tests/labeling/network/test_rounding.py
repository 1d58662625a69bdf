from __future__ import annotations

import numpy as np
import pytest

from airflow_provider_autoglm.labeling.network.rounding import restore, round_tokens


def rounded(tokens: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 8-bit numbers int8[g, n, w], steps and middles float32[n, g] of float32[n, k]."""
    numbers = np.empty((groups, len(tokens), tokens.shape[1] // groups), np.int8)
    steps, middles = np.empty((2, len(tokens), groups), np.float32)
    round_tokens(tokens, numbers, steps, middles)
    return numbers, steps, middles


def values_of(numbers: np.ndarray, steps: np.ndarray, middles: np.ndarray) -> np.ndarray:
    found = middles[:, :, None] + steps[:, :, None] * numbers.swapaxes(0, 1).astype(np.float32)
    return found.reshape(len(steps), -1)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_a_value_is_rounded_to_the_nearest_of_256_steps_of_its_group(groups: int, scale: float, shift: float) -> None:
    tokens = (scale * (shift + np.random.default_rng(5).standard_normal((9, 96)))).astype(np.float32)
    numbers, steps, middles = rounded(tokens, groups)
    ranges = np.ptp(tokens.reshape(9, groups, -1), axis=2)
    np.testing.assert_allclose(steps, ranges / 255, rtol=1e-5)
    error = np.abs(values_of(numbers, steps, middles) - tokens).reshape(9, groups, -1)
    assert (error <= 0.501 * steps[:, :, None] + 1e-6 * np.abs(tokens).max()).all()


def test_one_huge_value_blurs_its_own_group_only() -> None:
    tokens = np.random.default_rng(6).standard_normal((3, 64)).astype(np.float32)
    tokens[1, 7] = 1e6
    _, steps, _ = rounded(tokens, 2)
    assert steps[1, 0] > 1_000
    assert steps[:, 1].max() < 0.05


@pytest.mark.parametrize("odd", [np.nan, -np.nan, np.inf, -np.inf], ids=["nan", "-nan", "inf", "-inf"])
def test_a_group_that_is_not_finite_is_known_by_its_step_or_middle(odd: float) -> None:
    tokens = np.random.default_rng(7).standard_normal((4, 64)).astype(np.float32)
    tokens[2, 40] = odd
    _, steps, middles = rounded(tokens, 2)
    is_finite = np.isfinite(steps) & np.isfinite(middles)
    assert np.argwhere(~is_finite).tolist() == [[2, 1]]


@pytest.mark.parametrize("value", [0.0, -0.0, 7.0, -1e30, 1e-40], ids=str)
def test_equal_values_stay_what_they_are(value: float) -> None:
    tokens = np.full((2, 32), value, np.float32)
    np.testing.assert_allclose(values_of(*rounded(tokens, 1)), tokens, rtol=1e-6, atol=1e-9)


def test_products_are_scaled_and_added_up_over_the_groups() -> None:
    random = np.random.default_rng(8)
    products = random.integers(-1_000_000, 1_000_000, (3, 5, 40), np.int32)
    steps, middles = random.standard_normal((2, 5, 3)).astype(np.float32)
    scales, sums = random.standard_normal((2, 3, 40)).astype(np.float32)
    bias = random.standard_normal((5, 40)).astype(np.float32)
    outputs = bias.copy()
    restore(products, steps, middles, scales, sums, outputs)
    expected = np.einsum("gno,ng,go->no", products.astype(np.float64), steps, scales) + middles @ sums + bias
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1.0)

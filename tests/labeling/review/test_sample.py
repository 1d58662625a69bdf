from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.review.limits import limits_of_share
from airflow_provider_autoglm.labeling.review.sample import Drawn, draw_sample, sample_size
from tests.labeling.review.conftest import review_settings


def strata_of(*counts: int) -> NDArray[np.int32]:
    strata = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return np.random.default_rng(1).permutation(strata)


def drawn_from(strata: NDArray[np.int32], *, seed: int = 2, second_round: bool = True) -> Drawn:
    order = np.random.default_rng(seed).integers(0, 2**64, len(strata), dtype=np.uint64)
    return draw_sample(strata, order, review_settings(second_round=second_round))


@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("rows", [50, 1_000, 100_000])
def test_the_sample_is_the_smallest_whose_interval_is_as_narrow_as_wanted(rows: int, margin: float) -> None:
    settings = review_settings(margin=margin)

    def half_width(size: int) -> float:
        low, high = limits_of_share(settings.expected_accuracy, size, rows, settings.confidence)
        return (high - low) / 2

    size = sample_size(rows, settings)
    assert half_width(size) <= margin
    assert half_width(size - 1) > margin


def test_the_defaults_ask_about_264_of_very_many_texts_and_fewer_of_few() -> None:
    sizes = [sample_size(rows, review_settings()) for rows in (0, 1, 30, 300, 3_000, 10**6)]
    assert sizes == sorted(sizes)
    assert sizes[:2] == [0, 1]
    assert sizes[-1] == 264
    assert sizes[3] < 150


def test_labels_are_drawn_in_proportion_and_rare_ones_with_a_few_texts_at_least() -> None:
    strata = strata_of(1_500, 450, 45, 4, 2)
    counts = np.bincount(strata[drawn_from(strata).first])
    size = sample_size(len(strata), review_settings())
    assert abs(counts[:2] - size * np.array([1_500, 450]) / len(strata)).max() < 1
    assert counts[2:].tolist() == [5, 3, 2]


def test_a_second_round_has_other_texts_of_each_label() -> None:
    strata = strata_of(1_500, 500, 4)
    drawn = drawn_from(strata)
    assert not set(drawn.first) & set(drawn.second)
    assert np.bincount(strata[drawn.second])[:2].tolist() == np.bincount(strata[drawn.first])[:2].tolist()
    assert np.bincount(strata[drawn.second])[2] == 1


def test_of_few_texts_half_of_the_rest_stays_for_suspicious_ones() -> None:
    drawn = drawn_from(strata_of(60, 60))
    left = 120 - len(drawn.first)
    assert len(drawn.second) == pytest.approx(left / 2, abs=1)


def test_without_a_second_round_nothing_is_kept_back() -> None:
    assert len(drawn_from(strata_of(100, 100), second_round=False).second) == 0


def test_rows_come_in_the_order_of_the_hash_and_not_by_label() -> None:
    strata = strata_of(500, 500)
    order = np.random.default_rng(3).integers(0, 2**64, len(strata), dtype=np.uint64)
    first = draw_sample(strata, order, review_settings()).first
    assert (np.diff(order[first].astype(object)) > 0).all()


def test_the_rows_of_a_label_with_the_smallest_hashes_are_drawn_whatever_order_they_come_in() -> None:
    strata = strata_of(300, 200)
    order = np.random.default_rng(4).integers(0, 2**64, len(strata), dtype=np.uint64)
    moved = np.random.default_rng(5).permutation(len(strata))
    one = draw_sample(strata, order, review_settings()).first
    other = draw_sample(strata[moved], order[moved], review_settings()).first
    assert order[one].tolist() == order[moved][other].tolist()
    for label in (0, 1):
        members = one[strata[one] == label]
        assert set(order[members]) == set(np.sort(order[strata == label])[: len(members)])


def test_of_nothing_nothing_is_drawn() -> None:
    drawn = drawn_from(strata_of())
    assert (len(drawn.first), len(drawn.second)) == (0, 0)

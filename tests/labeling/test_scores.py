from __future__ import annotations

import numpy as np

from airflow_provider_autoglm.labeling.scores import shares, softmax


def test_softmax_sums_to_one_even_of_huge_logits() -> None:
    found = softmax(np.array([[1e4, 0, -1e4], [1, 1, 1]], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]), atol=1e-6)


def test_a_row_that_is_not_finite_stays_so_and_the_others_do_not_mind() -> None:
    found = softmax(np.array([[np.nan, 0], [np.inf, 0], [0, 0]], np.float32))
    assert np.isfinite(found).all(axis=1).tolist() == [False, False, True]


def test_no_rows_give_no_rows() -> None:
    assert softmax(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_shares_are_the_sigmoids_scaled_to_a_sum_of_one() -> None:
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]], np.float32)
    sigmoids = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(shares(logits), sigmoids / sigmoids.sum(axis=1, keepdims=True), atol=1e-6)


def test_shares_tell_even_classes_apart_that_are_all_most_unlikely() -> None:
    np.testing.assert_allclose(shares(np.array([[-200.0, -201.0]], np.float32)), [[0.7310586, 0.2689414]], atol=1e-5)

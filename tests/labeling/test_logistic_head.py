from __future__ import annotations

import numpy as np
import pytest

from airflow_provider_autoglm.labeling import logistic_head
from airflow_provider_autoglm.labeling.calibration import expected_calibration_error
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.logistic_head import fit_logistic_head
from airflow_provider_autoglm.labeling.network.text_network import normalised

DIMENSIONS = 32


def drawn(rows: int, *, classes: int = 3, noise: float = 0.5, seed: int = 0) -> tuple[Vectors, np.ndarray]:
    """Vectors of length 1 around one direction a class, and their classes."""
    random = np.random.default_rng(seed)
    truth = np.arange(rows) % classes
    around = np.eye(DIMENSIONS)[truth] + noise * random.standard_normal((rows, DIMENSIONS))
    return normalised(around.astype(np.float32)), truth


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_unseen_vectors_get_their_class_and_probabilities_sum_to_one(classes: int) -> None:
    vectors, truth = drawn(20 * classes, classes=classes, noise=0.15)
    others, truth_of_others = drawn(300, classes=classes, noise=0.15, seed=1)
    probabilities = fit_logistic_head(vectors, truth).probabilities(others)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (probabilities.argmax(axis=1) == truth_of_others).mean() > 0.95


def test_probabilities_mean_what_they_say() -> None:
    head = fit_logistic_head(*drawn(150))
    others, truth = drawn(5_000, seed=1)
    probabilities = head.probabilities(others)
    assert 0.5 < (probabilities.argmax(axis=1) == truth).mean() < 0.9
    assert expected_calibration_error(probabilities, truth) < 0.05


def test_of_vectors_that_tell_nothing_it_is_not_sure() -> None:
    vectors, truth = drawn(60, noise=50)
    assert fit_logistic_head(vectors, truth).probabilities(drawn(100, noise=50, seed=1)[0]).max() < 0.6


def test_equal_examples_give_equal_heads() -> None:
    one, other = (fit_logistic_head(*drawn(60)) for _ in range(2))
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.biases, other.biases)


def test_the_only_example_of_a_class_is_always_learned_from() -> None:
    vectors, truth = drawn(31, noise=0.1)
    truth = np.where(np.arange(31) == 30, 3, truth)
    vectors[30] = normalised(np.eye(DIMENSIONS, dtype=np.float32)[9])
    head = fit_logistic_head(vectors, truth)
    assert head.weights.shape == (4, DIMENSIONS)
    assert head.probabilities(vectors[30:]).argmax() == 3


def test_with_one_example_of_each_class_there_is_a_head_all_the_same() -> None:
    vectors = np.eye(4, DIMENSIONS, dtype=np.float32)
    assert fit_logistic_head(vectors, np.arange(4)).probabilities(vectors).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_of_many_examples_one_fold_is_enough_to_choose_by(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, truth = drawn(200)
    by_all = fit_logistic_head(vectors, truth)
    monkeypatch.setattr(logistic_head, "_MOST_ROWS_OF_ALL_FOLDS", 100)
    by_one = fit_logistic_head(vectors, truth)
    others, truth_of_others = drawn(2_000, seed=1)
    right = [(head.probabilities(others).argmax(axis=1) == truth_of_others).mean() for head in (by_all, by_one)]
    assert abs(right[0] - right[1]) < 0.02
    assert not np.array_equal(by_all.weights, by_one.weights)


def test_probabilities_of_several_passes_keep_their_shape() -> None:
    head = fit_logistic_head(*drawn(30))
    vectors, _ = drawn(10, seed=1)
    passes = head.probabilities(np.stack([vectors, vectors[::-1]]))
    assert passes.shape == (2, 10, 3)
    np.testing.assert_allclose(passes[1], head.probabilities(vectors)[::-1], atol=1e-6)

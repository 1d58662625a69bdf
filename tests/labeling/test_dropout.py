from __future__ import annotations

import numpy as np

from airflow_provider_autoglm.labeling.dropout import disagreement


def test_passes_that_are_sure_of_the_same_class_have_none() -> None:
    passes = np.array([[[1, 0, 0]], [[1, 0, 0]]], np.float32)
    np.testing.assert_allclose(disagreement(passes), [0], atol=1e-6)


def test_passes_that_are_sure_of_different_classes_have_as_much_as_passes_that_cannot_tell() -> None:
    sure = np.array([[[1, 0]], [[0, 1]]], np.float32)
    unsure = np.full((2, 1, 2), 0.5, np.float32)
    np.testing.assert_allclose(disagreement(sure), [1], atol=1e-6)
    np.testing.assert_allclose(disagreement(unsure), [1], atol=1e-6)


def test_there_is_one_number_a_text() -> None:
    found = disagreement(np.full((4, 3, 5), 0.2, np.float32))
    assert found.shape == (3,)
    assert found.dtype == np.float32

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.labeling.calibration import (
    CalibratedLabeler,
    calibrate,
    expected_calibration_error,
    fitted_temperature,
    tempered,
)
from airflow_provider_autoglm.labeling.labels import Labels, Vectors


def drawn(rows: int, temperature: float, classes: int = 4, seed: int = 0) -> tuple[Vectors, np.ndarray]:
    """Probabilities whose true classes follow them, told at another temperature."""
    random = np.random.default_rng(seed)
    honest = tempered(random.dirichlet(np.ones(classes), rows).astype(np.float32), 1.0)
    truth = np.array([random.choice(classes, p=row / row.sum()) for row in honest.astype(np.float64)])
    return tempered(honest, 1 / temperature), truth


@pytest.mark.parametrize("temperature", [0.5, 0.85, 2.0, 4.0])
def test_the_temperature_that_was_put_in_is_found_again(temperature: float) -> None:
    probabilities, truth = drawn(4_000, temperature)
    assert fitted_temperature(probabilities, truth) == pytest.approx(temperature, rel=0.08)


def test_calibration_brings_the_error_down_on_texts_it_was_not_fitted_on() -> None:
    found = calibrate(*drawn(2_000, 3.0))
    assert found.rows == 2_000
    assert found.ece_before > 0.15
    assert found.ece_after < 0.03


def test_an_honest_labeler_is_left_as_it_is() -> None:
    found = calibrate(*drawn(4_000, 1.0))
    assert found.temperature == pytest.approx(1.0, abs=0.05)
    assert found.ece_after < 0.03


def test_a_temperature_that_makes_held_out_texts_no_likelier_is_not_taken() -> None:
    # Each fold is told the opposite of what it shows: what the others teach is wrong for it.
    probabilities = np.tile(np.array([[0.8, 0.2]], np.float32), (100, 1))
    is_wrong = np.arange(100) % 5 == 0
    found = calibrate(probabilities, is_wrong.astype(np.intp))
    assert found.temperature == 1.0
    assert found.ece_after == found.ece_before


def test_a_labeler_that_is_always_right_stays_so() -> None:
    probabilities = np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (200, 1))
    found = calibrate(probabilities, np.zeros(200, np.intp))
    assert found.ece_before == pytest.approx(0.3, abs=1e-6)
    assert found.ece_after < 0.01


def test_the_error_is_the_gap_of_score_and_share_of_right_labels() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10, np.float32)
    truth = np.array([0] * 8 + [1] * 2 + [1] * 6 + [0] * 4)
    assert expected_calibration_error(probabilities, truth) == pytest.approx(0.05, abs=1e-6)


@given(
    st.lists(st.lists(st.floats(1e-6, 1.0), min_size=3, max_size=3), min_size=1, max_size=20),
    st.floats(0.05, 20.0),
)
def test_tempering_keeps_the_order_of_classes_and_gives_probabilities(rows: list[list[float]], heat: float) -> None:
    given_ones = np.asarray(rows, np.float32)
    found = tempered(given_ones, heat)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
    best = np.take_along_axis(found, given_ones.argmax(axis=1)[:, None], axis=1)
    assert (best >= found.max(axis=1, keepdims=True)).all()


def test_a_row_that_is_not_finite_stays_one() -> None:
    assert not np.isfinite(tempered(np.array([[np.nan, 0.5]], np.float32), 2.0)).any()


@dataclass(frozen=True)
class Fixed:
    """Answers the same to each text."""

    name: str = "fixed"

    def predict(self, texts: Sequence[str]) -> Labels:
        rows = np.tile(np.array([[0.9, 0.1]], np.float32), (len(texts), 1))
        return Labels(("a", "b"), rows, np.ones(len(texts), np.bool_), np.zeros(len(texts), np.float32))


def test_a_calibrated_labeler_changes_scores_and_nothing_else() -> None:
    found = CalibratedLabeler(Fixed(), 2.0)
    labels = found.predict(["one", "two"])
    assert found.name == "fixed"
    np.testing.assert_allclose(labels.probabilities[:, 0], 0.75, atol=1e-6)
    assert labels.names == ("a", "b")
    assert labels.abstained is not None
    assert labels.abstained.all()
    assert labels.uncertainty is not None

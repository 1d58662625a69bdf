"""Scores from counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from airflow_provider_autoglm.training.scores import Confusion

LABELS = ("a", "b", "c", "d")


def test_scores_are_those_of_scikit_learn_and_rows_can_come_in_parts() -> None:
    random = np.random.default_rng(7)
    truth = random.integers(0, 3, 500)  # "d" does not occur
    answers = np.where(random.random(500) < 0.6, truth, random.integers(-1, 4, 500))
    confusion = Confusion.of(truth[:200], answers[:200], 4) + Confusion.of(truth[200:], answers[200:], 4)
    assert confusion.rows == 500
    assert confusion.accuracy == pytest.approx(accuracy_score(truth, answers))
    occurring = [0, 1, 2]
    assert confusion.macro_f1 == pytest.approx(f1_score(truth, answers, labels=occurring, average="macro"))
    scores = confusion.to_dict(LABELS)
    expected = precision_recall_fscore_support(truth, answers, labels=range(4), zero_division=0)
    for number, label in enumerate(LABELS):
        of_class = scores["classes"][label]
        assert [of_class[name] for name in ("precision", "recall", "f1", "support")] == pytest.approx(
            [values[number] for values in expected]
        )
    assert sum(map(sum, scores["confusion"]["counts"])) == 500
    json.dumps(scores)


def test_without_rows_all_scores_are_zero() -> None:
    nothing = Confusion.of(np.zeros(0, np.int64), np.zeros(0, np.int64), 2)
    assert (nothing.rows, nothing.accuracy, nothing.macro_f1) == (0, 0.0, 0.0)


def test_an_answer_that_is_no_class_is_wrong() -> None:
    confusion = Confusion.of(np.array([0, 1, 1]), np.array([0, 1, -1]), 2)
    assert confusion.accuracy == pytest.approx(2 / 3)
    assert confusion.counts.tolist() == [[1, 0, 0], [0, 1, 1]]

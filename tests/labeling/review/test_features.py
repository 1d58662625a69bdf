from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.review.features import vectors_of
from tests.labeling.conftest import POISON, settings_with
from tests.labeling.sentences import COOKING, FOOTBALL, TEXTS

NGRAMS = settings_with(kind="llm", model="any")

WITHOUT_A_MODEL = """
import sys
from airflow_provider_autoglm.labeling.review.features import vectors_of
from airflow_provider_autoglm.settings import LabelSettings

settings = LabelSettings.model_validate_json(sys.argv[1])
print(vectors_of(["one text", "another text", "the third"], settings).shape[0], "torch" in sys.modules)
"""


@pytest.mark.parametrize("kind", ["embedding", "few_shot"])
def test_a_labeler_with_one_encoder_lends_it(kind: str) -> None:
    vectors = vectors_of(TEXTS, settings_with(kind=kind))
    assert vectors.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_that_breaks_the_encoder_has_no_vector_and_its_neighbours_have(poisoned_model: str) -> None:
    vectors = vectors_of([*TEXTS[:3], f"The {POISON} sleeps.", "\ud800"], settings_with(model=poisoned_model))
    assert np.isfinite(vectors).all(axis=1).tolist() == [True, True, True, False, False]


def test_other_labelers_need_no_model() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_MODEL, NGRAMS.model_dump_json()], capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == ["3", "False"], run.stderr


def test_encoders_that_differ_by_language_are_not_compared() -> None:
    settings = settings_with(models={"en": models.BUNDLED_MODEL, "zh": "/no/such/model"})
    assert vectors_of(TEXTS, settings).shape[1] < 384


def test_a_language_that_stays_without_label_leaves_one_encoder() -> None:
    assert vectors_of(TEXTS[:2], settings_with(models={"zh": None})).shape == (2, 384)


def test_ngrams_bring_texts_of_one_subject_together() -> None:
    vectors = vectors_of([*COOKING, *FOOTBALL], NGRAMS)
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, 0)
    first = len(COOKING)
    assert similar[:first, :first].mean() > similar[:first, first:].mean()


def test_ngrams_are_the_same_each_time_and_read_any_script() -> None:
    texts = ["番茄炒蛋的做法", "足球比赛的结果", "", "🙂🙂", *TEXTS]
    first, second = vectors_of(texts, NGRAMS), vectors_of(texts, NGRAMS)
    assert first.tobytes() == second.tobytes()
    assert np.isfinite(first).all()


def test_texts_that_are_all_the_same_have_vectors_all_the_same() -> None:
    vectors = vectors_of(["one and the same"] * 5, NGRAMS)
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors.round(4), axis=0)) == 1

from __future__ import annotations

import numpy as np

from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.refinement import refined
from tests.labeling.conftest import settings_with
from tests.labeling.sentences import FOOTBALL, LABELS, TEXTS, TRUTH


def test_a_prototype_moves_to_the_mean_of_its_surer_half(labeler: EmbeddingLabeler) -> None:
    vectors = labeler.encoder.encode(FOOTBALL)
    scores = labeler.classify(vectors).probabilities[:, 1]
    surer = np.argsort(-scores)[: len(FOOTBALL) // 2]
    np.testing.assert_allclose(refined(labeler, vectors)[1], vectors[surer].mean(axis=0), atol=1e-6)


def test_a_label_that_is_nearest_to_no_text_keeps_its_description(labeler: EmbeddingLabeler) -> None:
    prototypes = refined(labeler, labeler.encoder.encode(FOOTBALL))
    np.testing.assert_array_equal(prototypes[[0, 2]], labeler.prototypes[[0, 2]])


def test_no_texts_change_nothing(labeler: EmbeddingLabeler) -> None:
    np.testing.assert_array_equal(refined(labeler, labeler.encoder.encode([])), labeler.prototypes)


def test_refining_a_bare_name_makes_right_labels_surer() -> None:
    labeler = EmbeddingLabeler.load(settings_with(labels=[{"name": label["name"]} for label in LABELS]))
    vectors = labeler.encoder.encode(TEXTS)
    truth = [labeler.names.index(name) for name in TRUTH]
    rows = np.arange(len(TEXTS))
    before = labeler.classify(vectors).probabilities
    after = labeler.with_prototypes(refined(labeler, vectors)).classify(vectors).probabilities
    assert after[rows, truth].mean() > before[rows, truth].mean()
    assert (after.argmax(axis=1) == truth).mean() >= (before.argmax(axis=1) == truth).mean()

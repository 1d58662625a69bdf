from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airflow_provider_autoglm.corpus.schema import document_id
from airflow_provider_autoglm.exceptions import StorageError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.encoder import SentenceEncoder, normalised
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.refinement import refine_on_corpus, refined
from tests.labeling.conftest import POISON, settings_with
from tests.labeling.sentences import FOOTBALL, LABELS, TEXTS, TRUTH


def test_a_prototype_moves_to_the_mean_of_its_surer_half(labeler: EmbeddingLabeler) -> None:
    vectors = labeler.encoder.encode(FOOTBALL)
    scores = labeler.classify(vectors).probabilities[:, 1]
    surer = np.argsort(-scores)[: len(FOOTBALL) // 2]
    np.testing.assert_allclose(refined(labeler, vectors)[1], normalised(vectors[surer].mean(axis=0)), atol=1e-6)


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


def test_a_sample_is_looked_at_that_does_not_depend_on_the_order_of_the_texts(
    labeler: EmbeddingLabeler, write_source: Callable[..., str], tmp_path: Path
) -> None:
    source = write_source(TEXTS[::-1], rows_of_a_shard=7)
    settings = settings_with(refine_texts=10)
    moved = refine_on_corpus(labeler, source, f"{tmp_path}/label", settings)
    drawn = sorted(TEXTS, key=lambda text: document_id("documents", text))[:10]
    expected = refined(labeler, labeler.encoder.encode(drawn))
    np.testing.assert_allclose(moved.prototypes, expected, atol=1e-5)


def test_all_parts_and_retries_share_the_prototypes_that_were_kept_first(
    labeler: EmbeddingLabeler, write_source: Callable[..., str], tmp_path: Path
) -> None:
    source = write_source(rows_of_a_shard=7)
    first = refine_on_corpus(labeler, f"{source}#shards=3-4", f"{tmp_path}/label/part=001", settings_with())
    (kept,) = (tmp_path / "label" / "_prototypes").iterdir()
    written = kept.read_bytes()
    # A labeler that would compute others: it takes what is there.
    other = labeler.with_prototypes(labeler.prototypes[::-1].copy())
    second = refine_on_corpus(other, f"{source}#shards=0-2", f"{tmp_path}/label/part=000", settings_with())
    np.testing.assert_array_equal(first.prototypes, second.prototypes)
    assert kept.read_bytes() == written
    assert len(list(kept.parent.iterdir())) == 1


def test_of_two_parts_that_refine_at_once_the_slower_takes_the_prototypes_of_the_faster(
    labeler: EmbeddingLabeler, write_source: Callable[..., str], tmp_path: Path
) -> None:
    source, destination = write_source(), f"{tmp_path}/label"
    faster = labeler.with_prototypes(labeler.prototypes[::-1].copy())
    won: list[EmbeddingLabeler] = []

    class Overtaken(SentenceEncoder):
        """The same encoder; another part finishes while it computes."""

        def encode(self, texts: Sequence[str]) -> Vectors:
            won.append(refine_on_corpus(faster, source, destination, settings_with()))
            return labeler.encoder.encode(texts)

    overtaken = Overtaken(models.load(models.BUNDLED_MODEL), max_tokens=256, batch_tokens=2_048)
    slower = refine_on_corpus(replace(labeler, encoder=overtaken), source, destination, settings_with())

    np.testing.assert_array_equal(slower.prototypes, won[0].prototypes)
    assert len(list((tmp_path / "label" / "_prototypes").iterdir())) == 1


def test_other_settings_do_not_share_prototypes(
    labeler: EmbeddingLabeler, write_source: Callable[..., str], tmp_path: Path
) -> None:
    source = write_source()
    for refine_texts in (10, 20):
        refine_on_corpus(labeler, source, f"{tmp_path}/label", settings_with(refine_texts=refine_texts))
    assert len(list((tmp_path / "label" / "_prototypes").iterdir())) == 2


def test_texts_the_model_breaks_on_do_not_move_a_prototype(
    poisoned_model: str, write_source: Callable[..., str], tmp_path: Path
) -> None:
    settings = settings_with(model=poisoned_model)
    labeler = EmbeddingLabeler.load(settings)
    source = write_source([*FOOTBALL, f"A {POISON} ran over the football pitch."])
    moved = refine_on_corpus(labeler, source, f"{tmp_path}/label", settings)
    np.testing.assert_allclose(moved.prototypes, refined(labeler, labeler.encoder.encode(FOOTBALL)), atol=1e-5)


def test_damaged_prototypes_say_which_file_to_delete(
    labeler: EmbeddingLabeler, write_source: Callable[..., str], tmp_path: Path
) -> None:
    source = write_source()
    refine_on_corpus(labeler, source, f"{tmp_path}/label", settings_with())
    (kept,) = (tmp_path / "label" / "_prototypes").iterdir()
    kept.write_text("{}")
    with pytest.raises(StorageError, match=kept.name):
        refine_on_corpus(labeler, source, f"{tmp_path}/label", settings_with())

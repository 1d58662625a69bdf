from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.result import Progress, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import (
    MissingColumnsError,
    ModelNotFoundError,
    SettingsError,
    StorageNotSupportedError,
    TooManyRejectedError,
)
from airflow_provider_autoglm.labeling import label
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.resources import Resources
from tests.labeling.conftest import POISON, settings_with
from tests.labeling.sentences import TEXTS, TRUTH

WriteSource = Callable[..., str]

KILLED_AFTER_TWO_SHARDS = """
import os, signal, sys
from airflow_provider_autoglm.labeling import label
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.settings import LabelSettings

def kill_after_two_shards(progress):
    if progress.rows_done >= 20:
        os.kill(os.getpid(), signal.SIGKILL)

label(sys.argv[1], sys.argv[2], LabelSettings.model_validate_json(sys.argv[3]), progress=kill_after_two_shards)
"""
LABELLED_AGAIN = """
import sys
from airflow_provider_autoglm.labeling import label
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.settings import LabelSettings

result = label(sys.argv[1], sys.argv[2], LabelSettings.model_validate_json(sys.argv[3]))
print(result.reused, "torch" in sys.modules, "transformers" in sys.modules)
"""


def rows_of(result: StageResult) -> pa.Table:
    return Corpus.open(result.uri).to_table()


def hashes_of(result: StageResult) -> list[str]:
    return [stored.shard.sha256 for stored in Corpus.open(result.uri).shards]


def run_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_corpus_is_labelled_and_nothing_is_lost(write_source: WriteSource, tmp_path: Path) -> None:
    result = label(write_source(rows_of_a_shard=10), f"{tmp_path}/label", settings_with())
    rows = rows_of(result)
    assert rows["text"].to_pylist() == list(TEXTS)
    assert rows["label"].to_pylist() == list(TRUTH)
    assert (result.rows_in, result.rows_out, result.rejected, result.reused) == (len(TEXTS), len(TEXTS), 0, False)
    digest = Corpus.open(result.uri).manifest.settings_digest
    assert set(rows["labeler"].to_pylist()) == {f"embedding/all-MiniLM-L6-v2@{digest[:8]}"}


def test_without_refinement_labels_stay_as_described(
    labeler: EmbeddingLabeler, write_source: WriteSource, tmp_path: Path
) -> None:
    result = label(write_source(), f"{tmp_path}/label", settings_with(refine=False))
    described = labeler.predict(TEXTS).probabilities.max(axis=1)
    np.testing.assert_allclose(rows_of(result)["label_score"].to_numpy(), described, atol=1e-5)


def test_several_sources_are_labelled_with_prototypes_of_all_of_them(write_source: WriteSource, tmp_path: Path) -> None:
    sources = [write_source(TEXTS[:15], name="first"), write_source(TEXTS[15:], name="second")]
    result = label(sources, f"{tmp_path}/label", settings_with())
    assert rows_of(result)["label"].to_pylist() == list(TRUTH)


def test_an_empty_corpus_gives_an_empty_corpus(tmp_path: Path) -> None:
    source = write_corpus(f"{tmp_path}/source", [], stage="clean").uri
    result = label(source, f"{tmp_path}/label", settings_with())
    assert (result.rows_in, result.rows_out) == (0, 0)


def test_mapped_parts_joined_are_row_by_row_what_one_task_makes(write_source: WriteSource, tmp_path: Path) -> None:
    source = write_source(rows_of_a_shard=10)
    settings = settings_with(refine_texts=15)
    whole = label(source, f"{tmp_path}/whole", settings)

    parts = split_corpus(source, f"{tmp_path}/mapped", max_parts=3)
    labelled = [label(part["source"], part["destination"], settings).uri for part in reversed(parts)]
    joined = join_corpora(labelled[::-1], f"{tmp_path}/mapped", stage="label")

    assert len(parts) == 3
    assert rows_of(joined).equals(rows_of(whole))
    assert hashes_of(joined) == hashes_of(whole)
    assert len(list((tmp_path / "mapped" / "_fitted").iterdir())) == 1


def test_a_killed_labelling_goes_on_at_the_last_finished_shard_and_gives_equal_bytes(
    write_source: WriteSource, tmp_path: Path
) -> None:
    source, settings = write_source(rows_of_a_shard=10), settings_with()
    destination = tmp_path / "label"
    killed = run_child(KILLED_AFTER_TWO_SHARDS, source, str(destination), settings.model_dump_json())
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (destination / "_manifest.json").exists()
    finished = {record: record.read_bytes() for record in destination.glob("_progress/*/*.json")}
    assert [record.name for record in sorted(finished)] == ["00000.json", "00001.json"]
    shards_of_the_killed = {path.name for path in destination.glob("*.parquet")}
    prototypes = {path: path.read_bytes() for path in destination.glob("_fitted/*")}

    retried = label(source, str(destination), settings)

    names = [stored.shard.name for stored in Corpus.open(retried.uri).shards]
    assert set(names[:2]) <= shards_of_the_killed
    assert not set(names[2:]) & shards_of_the_killed
    assert all(record.read_bytes() == content for record, content in finished.items())
    assert {path: path.read_bytes() for path in destination.glob("_fitted/*")} == prototypes
    assert hashes_of(retried) == hashes_of(label(source, f"{tmp_path}/at-once", settings))


def test_a_second_run_is_reused_and_loads_no_model(write_source: WriteSource, tmp_path: Path) -> None:
    source, settings = write_source(), settings_with()
    label(source, f"{tmp_path}/label", settings)
    again = run_child(LABELLED_AGAIN, source, f"{tmp_path}/label", settings.model_dump_json())
    assert again.stdout.split() == ["True", "False", "False"], again.stderr


def test_of_two_attempts_at_once_one_commits_and_both_return_its_corpus(
    write_source: WriteSource, tmp_path: Path
) -> None:
    source, settings = write_source(rows_of_a_shard=10), settings_with()
    others: list[StageResult] = []

    def start_another_attempt(progress: Progress) -> None:
        if not others:
            others.append(label(source, f"{tmp_path}/label", settings))

    late = label(source, f"{tmp_path}/label", settings, progress=start_another_attempt)

    assert (others[0].reused, late.reused) == (False, True)
    assert late.digest == others[0].digest
    assert [path.name for path in (tmp_path / "label").glob("_manifest*")] == ["_manifest.json"]
    assert rows_of(late)["label"].to_pylist() == list(TRUTH)


def test_recomputing_by_force_gives_the_same_rows(write_source: WriteSource, tmp_path: Path) -> None:
    source, settings = write_source(rows_of_a_shard=10), settings_with()
    first = label(source, f"{tmp_path}/label", settings)
    forced = label(source, f"{tmp_path}/label", settings, provenance=Provenance(force=True))
    assert not forced.reused
    assert forced.digest == first.digest


def test_other_settings_label_again(write_source: WriteSource, tmp_path: Path) -> None:
    source = write_source()
    label(source, f"{tmp_path}/label", settings_with())
    abstaining = label(source, f"{tmp_path}/label", settings_with(min_score=1.0))
    assert not abstaining.reused
    assert rows_of(abstaining)["label"].to_pylist() == [None] * len(TEXTS)


def test_texts_that_break_the_model_lie_in_rejected_with_reason_and_stage(
    poisoned_model: str, write_source: WriteSource, tmp_path: Path
) -> None:
    source = write_source([*TEXTS, f"The {POISON} sleeps."], rows_of_a_shard=10)
    result = label(source, f"{tmp_path}/label", settings_with(model=poisoned_model))
    rejected = Corpus.open(result.uri).to_table(kind="rejected")
    assert rejected.select(["text", "reason", "stage"]).to_pylist() == [
        {"text": f"The {POISON} sleeps.", "reason": "invalid_output", "stage": "label"}
    ]
    assert (result.rows_in, result.rows_out, result.rejected) == (len(TEXTS) + 1, len(TEXTS), 1)
    assert result.metrics["rejected/invalid_output"] == 1
    assert rows_of(result)["label"].to_pylist() == list(TRUTH)


def test_too_many_rejected_rows_fail_the_stage(poisoned_model: str, write_source: WriteSource, tmp_path: Path) -> None:
    source = write_source([TEXTS[0], f"The {POISON} sleeps."])
    with pytest.raises(TooManyRejectedError, match="invalid_output 1"):
        label(source, f"{tmp_path}/label", settings_with(model=poisoned_model))


def test_a_single_label_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least 2 are needed"):
        label(f"{tmp_path}/nothing", f"{tmp_path}/label", settings_with(labels=[{"name": "alone"}]))


def test_a_model_path_that_is_not_there_fails_and_commits_nothing(write_source: WriteSource, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="/no/such/model"):
        label(write_source(), f"{tmp_path}/label", settings_with(model="/no/such/model"))
    assert not (tmp_path / "label").exists()


def test_a_corpus_without_a_text_column_is_refused(tmp_path: Path) -> None:
    attempt = StageAttempt("other", [], f"{tmp_path}/source", {})
    attempt.count_in(1)
    attempt.write(pa.table({"doc_id": ["0"], "body": ["The referee showed a red card."]}))
    source = attempt.commit().uri
    with pytest.raises(MissingColumnsError, match="missing columns text"):
        label(source, f"{tmp_path}/label", settings_with())


def test_the_storage_is_that_of_the_resources_unless_one_is_given(write_source: WriteSource, tmp_path: Path) -> None:
    source, settings = write_source(), settings_with()
    elsewhere = Resources(storage=replace(Storage.local(), root=f"{tmp_path.as_uri()}/elsewhere"))
    with pytest.raises(StorageNotSupportedError):
        label(source, f"{tmp_path}/label", settings, resources=elsewhere)
    result = label(source, f"{tmp_path}/label", settings, resources=elsewhere, storage=Storage.local())
    assert result.rows_out == len(TEXTS)

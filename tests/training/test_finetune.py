"""Fine-tuning that is killed, runs out of memory, or leaves the finite numbers."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from airflow_provider_autoglm.corpus.result import Progress, ProgressCallback
from airflow_provider_autoglm.exceptions import TrainingDivergedError
from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.training import train
from airflow_provider_autoglm.training.data import Dataset
from airflow_provider_autoglm.training.finetune import finetune, last_checkpoint
from airflow_provider_autoglm.training.network import configured_threads, load_classifier
from tests.mlflow_server import MlflowServer
from tests.training.conftest import NewRun
from tests.training.published import settings_with, write_base_model

REPOSITORY = Path(__file__).parents[2]
_DEADLINE_S = 120


def start_child(**arguments: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.training.training_child", json.dumps(arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def weights_of(model: LoadedModel) -> dict[str, torch.Tensor]:
    return {name: weights.detach().clone() for name, weights in model.encoder.named_parameters()}


class Tuning:
    """One fine-tune of a dataset, as often as it is called; ``logged`` are its metrics by step."""

    def __init__(self, dataset: str, folder: Path, settings: TrainSettings) -> None:
        self.dataset = Dataset.open(dataset)
        self.folder = str(folder)
        self.settings = settings
        self.logged: list[tuple[int, Mapping[str, float]]] = []

    def __call__(self, progress: ProgressCallback | None = None, *, validation_rows: int = 10) -> LoadedModel:
        with configured_threads():
            return self._finetune(progress, validation_rows)

    def _finetune(self, progress: ProgressCallback | None, validation_rows: int) -> LoadedModel:
        return finetune(
            lambda: load_classifier(self.settings, self.dataset.labels),
            self.dataset.read("train", self.settings.max_texts),
            self.dataset.read("validation", validation_rows),
            self.settings,
            checkpoints=self.folder,
            log_metrics=lambda values, step: self.logged.append((step, values)),
            progress=progress,
        )

    def steps_with(self, metric: str) -> list[int]:
        return [step for step, values in self.logged if metric in values]


@pytest.fixture
def tuning(dataset: str, base_model: str, tmp_path: Path) -> Tuning:
    """Two epochs of four steps, with a checkpoint every second step."""
    settings = settings_with(base_model=base_model, max_texts=64, epochs=2, checkpoint_steps=2)
    return Tuning(dataset, tmp_path / "checkpoints", settings)


def test_losses_and_scores_come_over_time_and_all_weights_move(tuning: Tuning) -> None:
    seen: list[Progress] = []
    before = weights_of(load_classifier(tuning.settings, tuning.dataset.labels))
    after = weights_of(tuning(seen.append))
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert not still
    assert tuning.steps_with("train/loss") == list(range(1, 9))
    assert tuning.steps_with("validation/macro_f1") == tuning.steps_with("validation/accuracy") == [4, 8]
    assert [progress.rows_done for progress in seen][-1] == seen[-1].rows_total == 128


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tuning: Tuning, dataset: str, tmp_path: Path
) -> None:
    first = weights_of(tuning())
    again = weights_of(Tuning(dataset, tmp_path / "again", tuning.settings)())
    other_settings = tuning.settings.model_copy(update={"seed": 7})
    other = weights_of(Tuning(dataset, tmp_path / "other", other_settings)())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


class WorkerGoneError(RuntimeError):
    """Ends a training in the middle."""


def interrupt_after(step: int) -> ProgressCallback:
    def stop(progress: Progress) -> None:
        if progress.rows_done >= step * 16:
            raise WorkerGoneError("the worker goes away")

    return stop


def test_an_interrupted_training_goes_on_and_ends_where_an_uninterrupted_one_does(
    tuning: Tuning, dataset: str, tmp_path: Path
) -> None:
    with pytest.raises(WorkerGoneError):
        tuning(interrupt_after(3))
    with pytest.raises(WorkerGoneError):
        tuning(interrupt_after(7))
    resumed = weights_of(tuning())
    assert tuning.steps_with("train/loss") == [1, 2, 3, 3, 4, 5, 6, 7, 7, 8]
    at_once = weights_of(Tuning(dataset, tmp_path / "at-once", tuning.settings)())
    assert all(torch.allclose(resumed[name], at_once[name], atol=1e-6) for name in at_once)


def test_a_checkpoint_that_was_being_written_is_passed_over(tuning: Tuning) -> None:
    assert last_checkpoint(tuning.folder) is None
    with pytest.raises(WorkerGoneError):
        tuning(interrupt_after(7))
    newest = last_checkpoint(tuning.folder)
    assert newest is not None
    assert newest.endswith("checkpoint-6")
    state = Path(newest, "trainer_state.json")
    state.write_bytes(state.read_bytes()[:100])
    assert last_checkpoint(tuning.folder) == newest.replace("-6", "-4")
    state.unlink()
    assert last_checkpoint(tuning.folder) == newest.replace("-6", "-4")
    tuning()
    assert tuning.steps_with("train/loss")[-4:] == [5, 6, 7, 8]


def test_a_training_that_was_complete_is_scored_and_not_repeated(tuning: Tuning) -> None:
    done = weights_of(tuning())
    tuning.logged.clear()
    again = weights_of(tuning())
    assert all(torch.equal(done[name], again[name]) for name in done)
    assert tuning.steps_with("train/loss") == []
    assert tuning.steps_with("validation/accuracy") == [8]


def test_without_validation_rows_there_are_no_scores(tuning: Tuning) -> None:
    tuning(validation_rows=0)
    assert tuning.steps_with("validation/accuracy") == []
    assert tuning.steps_with("train/loss")[-1] == 8


def test_an_error_that_is_not_about_memory_is_not_tried_again(tuning: Tuning, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(WorkerGoneError):
        tuning(interrupt_after(1))
    assert "memory is out" not in caplog.text


@pytest.mark.parametrize("token", ["the", "zebra"])
def test_numbers_that_are_not_finite_end_the_training_whether_a_text_met_them_or_not(
    dataset: str, tmp_path: Path, token: str
) -> None:
    folder = write_base_model(tmp_path / "base")
    from transformers import AutoModel, AutoTokenizer

    encoder = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        row = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(token)
        encoder.get_input_embeddings().weight[row] = float("nan")
    encoder.save_pretrained(folder)
    tuning = Tuning(dataset, tmp_path / "checkpoints", settings_with(base_model=folder, max_texts=32))
    with pytest.raises(TrainingDivergedError, match=r"lower train\.learning_rate \(it is 0\.002\)"):
        tuning()


@pytest.mark.usefixtures("measured_children")
def test_when_memory_is_out_the_batch_is_halved_and_a_step_sees_as_many_texts_until_not_even_one_fits(
    dataset: str, tmp_path: Path
) -> None:
    base_model = write_base_model(tmp_path / "base", intermediate_size=65_536, num_hidden_layers=1)
    settings = settings_with(base_model=base_model, batch_size=64, max_texts=64)
    child = start_child(
        dataset=dataset, settings=settings.model_dump(), work_dir=str(tmp_path / "checkpoints"), free_bytes=300_000_000
    )
    out, log = child.communicate()
    assert child.returncode == 0, log
    assert "going on with 32 texts of 64 at a time" in log
    alone, halved = (json.loads(line) for line in out.splitlines())
    assert halved == {"steps": 1}
    assert alone["error"].startswith("memory is out with one text a batch: ")
    assert "lower train.max_tokens (it is 32)" in alone["error"]


def test_a_killed_training_resumes_at_its_checkpoint_and_makes_one_version(
    dataset: str,
    base_model: str,
    tmp_path: Path,
    new_run: NewRun,
    mlflow_server: MlflowServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = new_run()
    settings = settings_with(base_model=base_model, batch_size=4, checkpoint_steps=1)
    child = start_child(
        mlflow=mlflow_server.uri,
        run_id=run.run_id,
        name=run.registry.name,
        dataset=dataset,
        settings=settings.model_dump(),
        work_dir=str(tmp_path),
    )
    checkpoints = str(tmp_path / "checkpoints")
    deadline = time.monotonic() + _DEADLINE_S
    while last_checkpoint(checkpoints) is None:
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert not (tmp_path / "model").exists()
    with caplog.at_level(logging.INFO):
        model = train(dataset, settings, tracking=run, work_dir=str(tmp_path))
    assert "training goes on from checkpoint-" in caplog.text
    versions = run.client.search_model_versions(f"run_id = '{run.run_id}'")
    assert [version.version for version in versions] == [model.version]
    assert not os.path.exists(checkpoints)

"""From a dataset version to a registered version, on a real MLflow server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from airflow_provider_autoglm.corpus.result import Progress
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import ModelNotFoundError, TooFewRowsError, TrackingUnavailableError
from airflow_provider_autoglm.settings import EvaluateSettings
from airflow_provider_autoglm.tracking.registry import download_model
from airflow_provider_autoglm.training import train
from airflow_provider_autoglm.training.evaluate import compare
from airflow_provider_autoglm.training.history import History
from airflow_provider_autoglm.training.packaged import PackagedModel
from tests.mlflow_server import MlflowServer, running
from tests.training.conftest import NewRun, Trained
from tests.training.published import passages, publish_pairs, settings_with


def test_a_version_goes_to_the_server_and_comes_back_as_it_was(trained: Trained, dataset: str, tmp_path: Path) -> None:
    model, run = trained.model, trained.run
    registered = run.registry.version(model.version)
    assert (registered.model_uri, registered.digest) == (f"runs:/{run.run_id}/model", model.digest)
    assert registered.tags["autoglm.dataset_version"] == "1"
    assert registered.tags["autoglm.dataset_digest"] == Corpus.open(dataset).digest
    assert registered.tags["autoglm.reasons"] == "manual"
    folder = str(tmp_path / "downloaded")
    download_model(model.model_uri, model.digest, folder, run.client)
    text = "The rocket left for the moon."
    assert PackagedModel.open(folder).predict([text]).labels == ("space",)
    verdict = compare(dataset, folder, None, EvaluateSettings(min_gain=0.2))
    assert verdict.passed
    json.dumps(model.to_dict())


def test_the_run_has_the_metrics_and_no_other_run_was_touched(trained: Trained) -> None:
    metrics = trained.run.client.get_run(trained.run.run_id).data.metrics
    assert {"validation/accuracy", "validation/macro_f1", "train/rows", "train/seconds"} <= set(metrics)
    assert trained.model.metrics == metrics
    assert mlflow.active_run() is None


def test_a_run_that_has_its_version_is_not_trained_again(trained: Trained, tmp_path: Path) -> None:
    work_dir = tmp_path / "elsewhere"
    again = train("file:///gone", settings_with(), tracking=trained.run, work_dir=str(work_dir))
    assert again == trained.model
    assert not work_dir.exists()


def test_a_finished_package_is_registered_without_training_again(
    trained: Trained, dataset: str, new_run: NewRun
) -> None:
    run = new_run()
    settings = settings_with(method="head", max_tokens=64, reference_rows=40)
    model = train(dataset, settings, tracking=run, work_dir=str(trained.folder.parent))
    assert model.version != trained.model.version
    assert model.digest == trained.model.digest
    assert model.metrics == trained.model.metrics


def test_work_of_other_settings_is_thrown_away_and_nothing_else(
    dataset: str, base_model: str, new_run: NewRun, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("not ours")
    settings = settings_with(base_model=base_model, method="head", reference_rows=5)
    first = train(dataset, settings, tracking=new_run(), work_dir=str(tmp_path))
    (tmp_path / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    other = settings.model_copy(update={"max_tokens": 16})
    second = train(dataset, other, tracking=new_run(), work_dir=str(tmp_path))
    assert second.digest != first.digest
    assert PackagedModel.open(str(tmp_path / "model")).max_tokens == 16
    assert not (tmp_path / "checkpoints").exists()
    assert (tmp_path / "note.txt").exists()


def test_a_fine_tune_is_logged_over_time_and_cut_to_what_the_model_can_read(
    dataset: str, base_model: str, new_run: NewRun, tmp_path: Path
) -> None:
    run = new_run()
    settings = settings_with(base_model=base_model, max_texts=40, max_tokens=512, epochs=2)
    model = train(dataset, settings, tracking=run, work_dir=str(tmp_path))
    losses = run.client.get_metric_history(run.run_id, "train/loss")
    assert [loss.step for loss in losses] == [1, 2, 3, 4, 5, 6]
    assert [score.step for score in run.client.get_metric_history(run.run_id, "validation/macro_f1")] == [3, 6]
    assert model.metrics["train/rows"] == 40
    assert PackagedModel.open(str(tmp_path / "model")).max_tokens == 64
    assert run.client.list_artifacts(run.run_id)[0].path == "model"


def test_a_version_that_another_attempt_registers_meanwhile_is_taken_and_its_files_stay(
    trained: Trained, dataset: str, base_model: str, new_run: NewRun, tmp_path: Path
) -> None:
    run = new_run()

    def overtake(progress: Progress) -> None:
        run.registry.register(run.run_id, "model", "sha256:theirs", {})

    settings = settings_with(base_model=base_model, method="head", reference_rows=5)
    model = train(dataset, settings, tracking=run, work_dir=str(tmp_path), progress=overtake)
    assert model.digest == "sha256:theirs"
    assert run.client.list_artifacts(run.run_id) == []


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ([(text, "space") for text, _ in passages(5)], "the training split has rows of space alone"),
        ([], "the training split has no labelled rows"),
    ],
)
def test_fewer_than_two_classes_to_train_on_are_refused(
    new_run: NewRun, tmp_path: Path, pairs: list[tuple[str, str]], problem: str
) -> None:
    # Without test and validation rows all texts are for training; with a test share of 1 none are.
    everything_for_training = {"test_fraction": 0.0, "validation_fraction": 0.0}
    if pairs:
        dataset = publish_pairs(tmp_path, pairs, **everything_for_training)
    else:
        dataset = publish_pairs(tmp_path, passages(2), test_fraction=0.9, validation_fraction=0.09)
    with pytest.raises(TooFewRowsError, match=problem):
        train(dataset, settings_with(method="head"), tracking=new_run(), work_dir=str(tmp_path / "work"))


def test_texts_drawn_from_one_class_alone_are_told_with_the_limit(
    new_run: NewRun, dataset: str, tmp_path: Path
) -> None:
    from airflow_provider_autoglm.training.data import Dataset

    classes = Dataset.open(dataset).read("train", limit=2).classes
    pairs = [(text, "space" if number else "cooking") for number, (text, _) in enumerate(passages(20))]
    one_class = publish_pairs(tmp_path, pairs, test_fraction=0.0, validation_fraction=0.0)
    assert len(classes) == 2
    with pytest.raises(TooFewRowsError, match=r"alone among the 2 that train\.max_texts draws"):
        train(one_class, settings_with(max_texts=2), tracking=new_run(), work_dir=str(tmp_path / "work"))


def test_a_base_model_that_is_not_there_is_told_by_its_key(dataset: str, new_run: NewRun, tmp_path: Path) -> None:
    settings = settings_with(base_model=f"{tmp_path}/nothing")
    with pytest.raises(ModelNotFoundError, match=r"check train\.base_model"):
        train(dataset, settings, tracking=new_run(), work_dir=str(tmp_path / "work"))


WITHOUT_ONNX = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "onnxruntime":
            raise ImportError("not installed")

sys.meta_path.insert(0, Blocked())
import airflow_provider_autoglm.training
assert "torch" not in sys.modules, "torch is loaded before there is anything to train"
from airflow_provider_autoglm.training.train import require_extra
require_extra()
"""


def test_a_library_that_is_missing_is_named_with_its_extra() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_ONNX], capture_output=True, text=True, check=False)
    assert "onnxruntime is not installed; run: pip install 'airflow-provider-autoglm[train]'" in done.stderr


def test_metrics_wait_while_mlflow_is_away_and_are_all_there_in_the_end(tmp_path: Path) -> None:
    with running(MlflowServer(tmp_path)) as server:
        client = mlflow.MlflowClient(tracking_uri=server.uri)
        run_id = client.create_run(client.create_experiment("away")).info.run_id
        history = History(client, run_id)
        history.log({"loss": 3.0}, 1)
        with server.away():
            for step in range(2, 1202):
                history.log({"loss": 3.0 / step, "nan": float("nan")}, step)
            with pytest.raises(TrackingUnavailableError):
                history.finish()
        history.finish()
        assert [metric.step for metric in client.get_metric_history(run_id, "loss")] == list(range(1, 1202))
        assert "nan" not in client.get_run(run_id).data.metrics


def test_without_mlflow_nothing_is_trained(dataset: str, new_run: NewRun, tmp_path: Path) -> None:
    del new_run
    client = mlflow.MlflowClient(tracking_uri="http://127.0.0.1:9", registry_uri="http://127.0.0.1:9")
    from airflow_provider_autoglm.tracking.registry import Registry
    from airflow_provider_autoglm.training import TrainingRun

    with pytest.raises(TrackingUnavailableError):
        train(
            dataset,
            settings_with(),
            tracking=TrainingRun(client, "a" * 32, Registry(client, "texts")),
            work_dir=str(tmp_path),
        )
    assert list(tmp_path.iterdir()) == []

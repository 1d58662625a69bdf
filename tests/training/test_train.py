"""From a dataset version to a registered version, on a real MLflow server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from transformers import AutoTokenizer, CanineTokenizer

from airflow_provider_autoglm.corpus.result import Progress
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import (
    ModelNotFoundError,
    TooFewRowsError,
    TrackingUnavailableError,
    UnusableModelError,
)
from airflow_provider_autoglm.settings import EvaluateSettings
from airflow_provider_autoglm.tracking.registry import Registry, download_model
from airflow_provider_autoglm.training import TrainingRun, train
from airflow_provider_autoglm.training.data import Dataset
from airflow_provider_autoglm.training.evaluate import compare
from airflow_provider_autoglm.training.fit import fit
from airflow_provider_autoglm.training.history import History
from airflow_provider_autoglm.training.network import load_classifier
from airflow_provider_autoglm.training.packaged import PackagedModel
from airflow_provider_autoglm.training.train import _review_tags
from tests.corpus.publish.conftest import Datasets, review, rows
from tests.mlflow_server import MlflowServer
from tests.training.conftest import NewRun, Trained
from tests.training.published import LABELS, passages, publish_pairs, settings_with


def test_a_version_goes_to_the_server_and_comes_back_as_it_was(trained: Trained, dataset: str, tmp_path: Path) -> None:
    model, run = trained.model, trained.run
    registered = run.registry.version(model.version)
    assert (registered.model_uri, registered.digest) == (f"runs:/{run.run_id}/model", model.digest)
    assert registered.tags["autoglm.dataset_version"] == "1"
    assert registered.tags["autoglm.dataset_digest"] == Corpus.open(dataset).digest
    assert registered.tags["autoglm.dataset_reviewed"] == "false"
    assert "autoglm.dataset_accuracy" not in registered.tags
    assert registered.tags["autoglm.reasons"] == "manual"
    folder = str(tmp_path / "downloaded")
    download_model(model.model_uri, model.digest, folder, run.client)
    text = "The rocket left for the moon."
    assert PackagedModel.open(folder).predict([text]).labels == ("space",)
    verdict = compare(dataset, folder, None, EvaluateSettings(min_gain=0.2))
    assert verdict.passed
    json.dumps(model.to_dict())


def test_a_model_tells_whether_people_have_checked_what_it_learned_from(tmp_path: Path) -> None:
    datasets = Datasets(tmp_path)
    datasets.publish(datasets.corpus(rows(0, 10), review=review()))

    assert _review_tags(Dataset.open(f"{datasets.uri}/v1")) == {
        "autoglm.dataset_reviewed": "true",
        "autoglm.dataset_accuracy": "91.2% (95% interval 87.8% to 93.8%)",
    }


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


def test_a_fine_tune_is_logged_over_time_and_its_work_is_thrown_away_for_other_settings(
    dataset: str, base_model: str, new_run: NewRun, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("not ours")
    run = new_run()
    settings = settings_with(base_model=base_model, max_texts=40, max_tokens=512, epochs=2)
    tuned = train(dataset, settings, tracking=run, work_dir=str(tmp_path))
    losses = run.client.get_metric_history(run.run_id, "train/loss")
    assert [loss.step for loss in losses] == [1, 2, 3, 4, 5, 6]
    assert [score.step for score in run.client.get_metric_history(run.run_id, "validation/macro_f1")] == [3, 6]
    assert tuned.metrics["train/rows"] == 40
    assert PackagedModel.open(str(tmp_path / "model")).max_tokens == 64, "the model can read no more"
    assert run.client.list_artifacts(run.run_id)[0].path == "model"

    (tmp_path / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    other = settings_with(base_model=base_model, method="head", max_tokens=16, reference_rows=5)
    again = train(dataset, other, tracking=new_run(), work_dir=str(tmp_path))
    assert again.digest != tuned.digest
    assert PackagedModel.open(str(tmp_path / "model")).max_tokens == 16
    assert not (tmp_path / "checkpoints").exists()
    assert (tmp_path / "note.txt").exists()


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
    everything_for_training = {"test_fraction": 0.0, "validation_fraction": 0.0}
    if pairs:
        dataset = publish_pairs(tmp_path, pairs, **everything_for_training)
    else:
        dataset = publish_pairs(tmp_path, passages(2), test_fraction=0.9, validation_fraction=0.09)
    with pytest.raises(TooFewRowsError, match=problem):
        train(dataset, settings_with(method="head"), tracking=new_run(), work_dir=str(tmp_path / "work"))


def test_texts_drawn_from_one_class_alone_are_told_with_the_limit(new_run: NewRun, tmp_path: Path) -> None:
    everything_for_training = {"test_fraction": 0.0, "validation_fraction": 0.0}
    texts = [text for text, _ in passages(5)]
    first = publish_pairs(tmp_path / "any", [(text, "cooking") for text in texts], **everything_for_training)
    drawn = Dataset.open(first).read("train", limit=2).texts
    pairs = [(text, "space" if text in drawn else "cooking") for text in texts]
    dataset = publish_pairs(tmp_path / "drawn", pairs, **everything_for_training)
    with pytest.raises(TooFewRowsError, match=r"rows of space alone among the 2 that train\.max_texts draws"):
        train(dataset, settings_with(max_texts=2), tracking=new_run(), work_dir=str(tmp_path / "work"))


def test_a_base_model_that_is_not_there_is_told_by_its_key(dataset: str, new_run: NewRun, tmp_path: Path) -> None:
    settings = settings_with(base_model=f"{tmp_path}/nothing")
    with pytest.raises(ModelNotFoundError, match=r"check train\.base_model"):
        train(dataset, settings, tracking=new_run(), work_dir=str(tmp_path / "work"))


def test_a_head_without_validation_rows_has_no_scores(base_model: str, new_run: NewRun, tmp_path: Path) -> None:
    dataset = Dataset.open(publish_pairs(tmp_path, passages(5), test_fraction=0.0, validation_fraction=0.0))
    run = new_run()
    fitted = fit(
        dataset,
        dataset.read("train"),
        settings_with(base_model=base_model, method="head"),
        checkpoints=str(tmp_path / "checkpoints"),
        history=History(run.client, run.run_id),
    )
    assert fitted.metrics == {}


def test_a_tokenizer_that_cannot_be_packaged_is_refused(base_model: str, tmp_path: Path) -> None:
    slow, unpadded = (str(shutil.copytree(base_model, tmp_path / name)) for name in ("slow", "unpadded"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (Path(slow) / name).unlink()
    CanineTokenizer().save_pretrained(slow)
    with pytest.raises(UnusableModelError, match=r"no tokenizer\.json.*train\.base_model"):
        load_classifier(settings_with(base_model=slow), LABELS)
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(unpadded)
    with pytest.raises(UnusableModelError, match="no padding token"):
        load_classifier(settings_with(base_model=unpadded), LABELS)


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


def test_metrics_wait_while_mlflow_is_away_and_are_all_there_in_the_end(
    new_run: NewRun, mlflow_server: MlflowServer
) -> None:
    run = new_run()
    history = History(run.client, run.run_id)
    history.log({"loss": 3.0}, 1)
    with mlflow_server.away():
        for step in range(2, 1202):
            history.log({"loss": 3.0 / step, "nan": float("nan")}, step)
        with pytest.raises(TrackingUnavailableError):
            history.finish()
    history.finish()
    assert [metric.step for metric in run.client.get_metric_history(run.run_id, "loss")] == list(range(1, 1202))
    assert "nan" not in run.client.get_run(run.run_id).data.metrics


def test_without_mlflow_nothing_is_trained(dataset: str, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(tracking_uri="http://127.0.0.1:9", registry_uri="http://127.0.0.1:9")
    run = TrainingRun(client, "a" * 32, Registry(client, "texts"))
    with pytest.raises(TrackingUnavailableError):
        train(dataset, settings_with(), tracking=run, work_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []

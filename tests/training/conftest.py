"""A published dataset, small base models, runs in a real MLflow, and one model trained for all tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.tracking.registry import Registry
from airflow_provider_autoglm.training import TrainedModel, TrainingRun, train
from airflow_provider_autoglm.training.packaged import PackagedModel
from tests.mlflow_server import MlflowServer
from tests.training.published import passages, publish_pairs, settings_with, write_base_model

NewRun = Callable[[], TrainingRun]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A version with 60 passages of each of three subjects."""
    return publish_pairs(tmp_path_factory.mktemp("dataset"), passages(60))


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a base model that trains in moments and learns nothing."""
    return write_base_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def new_run(mlflow_server: MlflowServer) -> NewRun:
    """Open a run of its own, to register versions of the model ``texts``."""
    client = MlflowClient(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri)
    experiment = client.create_experiment("autoglm/training")

    def open_run() -> TrainingRun:
        run_id = client.create_run(experiment).info.run_id
        return TrainingRun(client, run_id, Registry(client, "texts"), {"autoglm.reasons": "manual"})

    return open_run


@dataclass(frozen=True)
class Trained:
    """The bundled model with a head for the dataset: what was registered, its run, and its package on the disk."""

    model: TrainedModel
    run: TrainingRun
    folder: Path

    @property
    def package(self) -> PackagedModel:
        return PackagedModel.open(str(self.folder))


@pytest.fixture(scope="session")
def trained(dataset: str, new_run: NewRun, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    run, work_dir = new_run(), tmp_path_factory.mktemp("work")
    settings = settings_with(method="head", max_tokens=64, reference_rows=40)
    return Trained(train(dataset, settings, tracking=run, work_dir=str(work_dir)), run, work_dir / "model")

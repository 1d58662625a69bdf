from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import ModelNotFoundError, TrackingUnavailableError
from airflow_provider_autoglm.tracking.registered_models import RegisteredModels
from tests.mlflow_server import MlflowServer


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W", "-", request.node.name)


@pytest.fixture
def models(client: MlflowClient, tmp_path: Path) -> RegisteredModels:
    return RegisteredModels(client, str(tmp_path / "models"))


def register(client: MlflowClient, name: str, folder: Path, content: str) -> str:
    """Register a folder of one file as the next version; returns its number."""
    folder.mkdir(exist_ok=True)
    (folder / "weights").write_text(content)
    experiment = client.get_experiment_by_name(name)
    experiment_id = client.create_experiment(name) if experiment is None else experiment.experiment_id
    run = client.create_run(experiment_id)
    client.log_artifacts(run.info.run_id, str(folder), "model")
    if content == "first":
        client.create_registered_model(name)
    source = f"runs:/{run.info.run_id}/model"
    return str(client.create_model_version(name, source=source, run_id=run.info.run_id).version)


def test_an_alias_is_pinned_to_the_version_it_stands_for_now(
    client: MlflowClient, models: RegisteredModels, name: str, tmp_path: Path
) -> None:
    first = register(client, name, tmp_path / "files", "first")
    client.set_registered_model_alias(name, "champion", first)
    assert models.pin(f"models:/{name}@champion") == f"models:/{name}/1"
    client.set_registered_model_alias(name, "champion", register(client, name, tmp_path / "files", "second"))
    assert models.pin(f"models:/{name}@champion") == f"models:/{name}/2"
    assert models.pin(f"models:/{name}/1") == f"models:/{name}/1"


def test_the_files_of_a_version_are_fetched_once(
    client: MlflowClient, models: RegisteredModels, name: str, tmp_path: Path
) -> None:
    register(client, name, tmp_path / "files", "first")
    folder = models.fetch(f"models:/{name}/1")
    assert Path(folder, "weights").read_text() == "first"
    Path(folder, "weights").write_text("kept")
    assert Path(models.fetch(f"models:/{name}/1"), "weights").read_text() == "kept"
    assert os.listdir(os.path.dirname(folder)) == ["1"]


@pytest.mark.parametrize("reference", ["models:/{name}@nobody", "models:/{name}/7", "models:/no-such-model/1"])
def test_what_the_registry_does_not_have_is_named(
    client: MlflowClient, models: RegisteredModels, name: str, reference: str, tmp_path: Path
) -> None:
    register(client, name, tmp_path / "files", "first")
    with pytest.raises(ModelNotFoundError, match="models:/"):
        models.pin(reference.format(name=name))


@pytest.mark.parametrize("uri", ["models:/name", "models:/name/latest", "runs:/1/model"])
def test_what_names_no_registered_model_is_refused(models: RegisteredModels, uri: str) -> None:
    with pytest.raises(ModelNotFoundError, match="models:/name@alias"):
        models.fetch(uri)


def test_a_server_that_is_away_says_so(mlflow_server: MlflowServer, tmp_path: Path) -> None:
    away = "http://127.0.0.1:9"
    models = RegisteredModels(MlflowClient(tracking_uri=away, registry_uri=away), str(tmp_path))
    with pytest.raises(TrackingUnavailableError, match=r"127\.0\.0\.1:9"):
        models.pin("models:/name@champion")

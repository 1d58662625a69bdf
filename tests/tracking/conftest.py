"""A real MLflow server, with and without basic auth, for all tests of tracking."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.tracking import Tracker
from tests.mlflow_server import MlflowServer, running


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with running(MlflowServer(tmp_path_factory.mktemp("mlflow"))) as server:
        yield server


@pytest.fixture(scope="session")
def auth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with running(MlflowServer(tmp_path_factory.mktemp("mlflow-auth"), basic_auth=True)) as server:
        yield server


@pytest.fixture
def client(mlflow_server: MlflowServer) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri)


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    """An experiment of the test's own."""
    return f"autoglm/{request.node.name}"


@pytest.fixture
def tracker(client: MlflowClient, experiment: str) -> Tracker:
    return Tracker(client, experiment)

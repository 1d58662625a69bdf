"""A client of the real MLflow server, and an experiment of each test's own."""

from __future__ import annotations

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.tracking import Tracker
from tests.mlflow_server import MlflowServer


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

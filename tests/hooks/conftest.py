"""A real MLflow server with basic auth behind an Airflow connection."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator

import pytest

from tests.mlflow_server import MlflowServer, running

# Before the first import of Airflow, which creates its home; a home that is set already stays.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))

Connect = Callable[..., None]


@pytest.fixture(scope="session")
def auth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with running(MlflowServer(tmp_path_factory.mktemp("mlflow-auth"), basic_auth=True)) as server:
        yield server


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define the connection ``mlflow_default`` as users do: by its environment variable."""

    def define(**fields: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", **fields}))

    return define

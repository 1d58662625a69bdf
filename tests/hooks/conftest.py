"""The Airflow connection to an MLflow server."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable

import pytest

# Before the first import of Airflow, which creates its home; a home that is set already stays.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define the connection ``mlflow_default`` as users do: by its environment variable."""

    def define(**fields: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", **fields}))

    return define

"""Running the dataset DAG in this process with ``dag.test()``."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from demo.variable import demo_variable
from tests.conftest import REPOSITORY, Site
from tests.dags.running import states_after
from tests.mlflow_server import MlflowServer

DAG_ID = "autoglm_dataset_default"


@dataclass
class Pipeline:
    """A pipeline of a test's own: its Variable, its corpora and what its runs did."""

    environment: pytest.MonkeyPatch
    root: Path
    variable: dict[str, Any]

    def run(self, conf: dict[str, Any] | None = None) -> dict[str, str]:
        """Run the DAG to its end; the state of each task."""
        value = {**self.variable, "root": f"file://{self.root}"}
        self.environment.setenv("AIRFLOW_VAR_AUTOGLM_DEFAULT", json.dumps(value))
        names = runpy.run_path(str(REPOSITORY / "dags" / "dataset.py"))
        return states_after(names[DAG_ID], conf)

    def use_mlflow(self, uri: str) -> None:
        self.environment.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": uri}))

    @property
    def runs(self) -> list[Path]:
        """The folders of the DAG runs, oldest first."""
        return sorted((self.root / "default" / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime)

    @property
    def datasets(self) -> Path:
        return self.root / "default" / "datasets"


@pytest.fixture(scope="module")
def client(mlflow_server: MlflowServer) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_server.uri)


@pytest.fixture(scope="module")
def pipeline(
    airflow_home: Path,
    compiled_kernels: None,
    small_site: Site,
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_server: MlflowServer,
) -> Iterator[Pipeline]:
    variable = demo_variable(small_site.url, is_own_site=True)
    variable["crawl"]["pages_per_shard"] = 60
    variable["publish"]["min_class_rows"] = 0
    variable["label"] = {"max_tokens": 64, "explain_texts": 2}
    with pytest.MonkeyPatch.context() as environment:
        made = Pipeline(environment, tmp_path_factory.mktemp("corpora"), variable)
        made.use_mlflow(mlflow_server.uri)
        yield made

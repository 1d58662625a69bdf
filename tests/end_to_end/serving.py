"""The same Airflow with a state and a gateway: what a model's loop needs beside the dataset pipeline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.routes import Routes, read_routes
from tests.end_to_end.deployment import Deployment
from tests.gateway import Client, Gateway, wait_until
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD

RETRAIN_DAG = "autoglm_retrain_default"
ROLLOUT_DAG = "autoglm_canary_rollout_default"
DRIFT_WATCH_DAG = "autoglm_drift_watch_default"
PIPELINE = "default"
POLICY: dict[str, Any] = {
    "train": {"method": "head", "max_texts": 300},
    "evaluate": {"min_rows": 1, "min_gain": -1},
    "rollout": {"steps": [{"weight_percent": 50, "bake_s": 3}], "min_requests": 20, "tick_s": 1, "lease_s": 20},
    "drift": {"baseline_rows": 100, "window_rows": 100, "min_rows": 100, "min_new_rows": 50, "cooldown_s": 3600},
    "feedback": {"min_rows": 10_000},
}


@dataclass
class Serving:
    """The deployment with its state, a gateway and what a client of it sees."""

    deployment: Deployment
    database: Database
    gateway: Gateway
    client: Client
    registry: MlflowClient

    @property
    def routes(self) -> Routes:
        return read_routes(self.database, PIPELINE)

    @property
    def champion(self) -> str | None:
        champion = self.routes.champion
        return champion.version if champion else None

    def retrain(self, **conf: Any) -> str:
        """Train on dataset version 1; the id of the run."""
        return self.deployment.run({"dataset_version": 1, **conf}, dag_id=RETRAIN_DAG)

    def result(self, run_id: str, task_id: str, *, dag_id: str) -> dict[str, Any]:
        return dict(self.deployment.stack.api.xcom(dag_id, run_id, task_id))

    def count(self, table: sa.Table) -> int:
        with self.database.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    def wait_for_log(self) -> None:
        """Wait until everything that was answered is in the prediction log."""
        wait_until("the log is written", lambda: self.gateway.routes()["log_backlog_rows"] == 0)

    def versions(self) -> list[str]:
        return sorted(found.version for found in self.registry.search_model_versions(f"name = '{PIPELINE}'"))

    def aliases(self) -> dict[str, str]:
        return {alias: str(found) for alias, found in self.registry.get_registered_model(PIPELINE).aliases.items()}


@contextmanager
def serving_in(deployment: Deployment, registry: MlflowClient) -> Iterator[Serving]:
    """Add state and gateway to a deployment that has dataset version 1."""
    home = deployment.root.parent
    state_url = f"sqlite:///{home}/state/state.db"
    database = Database(state_url)
    database.migrate()
    deployment.stack.api.set_connection("autoglm_state", "autoglm_state", host=state_url)
    deployment.set_variable(**POLICY)
    for dag_id in (RETRAIN_DAG, ROLLOUT_DAG, DRIFT_WATCH_DAG):
        deployment.stack.wait_for_dag(dag_id)
        deployment.stack.api.unpause(dag_id)
    texts = Corpus.open(f"file://{deployment.root}/default/datasets/v1").to_table(["text"])["text"].to_pylist()
    gateway = Gateway(
        home / "gateway",
        {
            "pipeline": PIPELINE,
            "state_url": state_url,
            "tracking_uri": deployment.mlflow.uri,
            "log_text": "full",
        },
        environment={**os.environ, "MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": ADMIN_PASSWORD},
    )
    gateway.start()
    try:
        yield Serving(deployment, database, gateway, Client(gateway, texts), registry)
    finally:
        gateway.stop()
    deployment.set_variable()

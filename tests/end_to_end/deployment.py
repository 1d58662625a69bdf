"""A running Airflow with one pipeline, driven by REST as its users drive it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from demo.stack import AirflowStack
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer

DATASET_DAG = "autoglm_dataset_default"
FINISHED = ("success", "failed")
RUN_LIMIT_S = 400
POLL_S = 0.2


class Deployment:
    """Airflow, MLflow behind a password, and the Variable of the pipeline ``default``."""

    def __init__(self, stack: AirflowStack, mlflow: MlflowServer, root: Path, variable: dict[str, Any]) -> None:
        self.stack = stack
        self.mlflow = mlflow
        self.root = root
        self.variable = variable

    def set_variable(self, **changes: Any) -> None:
        self.stack.api.set_variable("autoglm_default", {**self.variable, **changes})

    def run(self, conf: dict[str, Any] | None = None, *, dag_id: str = DATASET_DAG) -> str:
        """Trigger the DAG and wait for its end; returns the run id."""
        run_id = self.stack.api.trigger(dag_id, conf)
        self.wait(run_id, dag_id=dag_id)
        return run_id

    def wait(self, run_id: str, *, dag_id: str = DATASET_DAG) -> None:
        self.stack.processes.wait_until(
            f"the end of {run_id}",
            lambda: self.stack.api.run_state(dag_id, run_id) in FINISHED,
            timeout_s=RUN_LIMIT_S,
            every_s=POLL_S,
        )

    def runs(self, dag_id: str) -> list[str]:
        """The ids of a DAG's runs, oldest first."""
        found = self.stack.api.call("GET", f"dags/{dag_id}/dagRuns", params={"order_by": "run_after"})
        return [run["dag_run_id"] for run in found["dag_runs"]]

    def wait_for_another_run(self, dag_id: str, known: list[str]) -> str:
        """The run that something has started since ``known`` were there, at its end."""

        def is_there() -> bool:
            return len(self.runs(dag_id)) > len(known)

        self.stack.processes.wait_until(f"a run of {dag_id}", is_there, timeout_s=RUN_LIMIT_S, every_s=POLL_S)
        (run_id,) = set(self.runs(dag_id)) - set(known)
        self.wait(run_id, dag_id=dag_id)
        return run_id

    def clear(self, run_id: str, task_id: str, *, dag_id: str = DATASET_DAG) -> None:
        """Clear a task and all after it, and wait for the run's new end."""
        self.stack.api.call(
            "POST",
            f"dags/{dag_id}/clearTaskInstances",
            json={
                "dry_run": False,
                "dag_run_id": run_id,
                "task_ids": [task_id],
                "include_downstream": True,
                "only_failed": False,
                "reset_dag_runs": True,
            },
        )
        self.wait(run_id, dag_id=dag_id)

    def states(self, run_id: str, *, dag_id: str = DATASET_DAG) -> dict[str, str | None]:
        return {task.name: task.state for task in self.stack.api.task_states(dag_id, run_id)}

    def folder(self, run_id: str) -> Path:
        return self.root / "default" / "runs" / run_id

    def asset_events(self, kind: str) -> list[dict[str, Any]]:
        """Events of ``autoglm://default/<kind>``, oldest first."""
        found = self.stack.api.call("GET", "assets/events", params={"order_by": "timestamp"})
        return [event for event in found["asset_events"] if event["uri"] == f"autoglm://default/{kind}"]

    def send_asset_event(self, kind: str, **extra: Any) -> None:
        """Tell an asset's consumers from outside that there is something to look at."""
        uri = f"autoglm://default/{kind}"
        (asset,) = self.stack.api.call("GET", "assets", params={"uri_pattern": uri})["assets"]
        self.stack.api.call("POST", "assets/events", json={"asset_id": asset["id"], "extra": extra})

    def mlflow_runs(self, run_id: str, *, pipeline: str = "default") -> list[dict[str, Any]]:
        """The parent of a DAG run, then its children; asked by plain HTTP, as a user with the password would."""
        session = requests.Session()
        session.auth = (ADMIN, ADMIN_PASSWORD)
        api = f"{self.mlflow.uri}/api/2.0/mlflow"
        name = {"experiment_name": f"autoglm/{pipeline}"}
        experiment = session.get(f"{api}/experiments/get-by-name", params=name).json()
        identifier = experiment["experiment"]["experiment_id"]

        def search(condition: str) -> list[dict[str, Any]]:
            body = {"experiment_ids": [identifier], "filter": condition, "max_results": 100}
            answer = session.post(f"{api}/runs/search", json=body).json()
            return [run["info"] for run in answer.get("runs", [])]

        (parent,) = search(f"tags.`airflow.run_id` = '{run_id}' and tags.`autoglm.role` = 'parent'")
        return [parent, *search(f"tags.`mlflow.parentRunId` = '{parent['run_id']}'")]

"""The dataset DAG under a real api-server, scheduler, triggerer and dag-processor, with MLflow behind a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import requests

from airflow_provider_autoglm.corpus.store import Corpus
from demo.stack import AirflowStack
from demo.variable import demo_variable
from tests.conftest import REPOSITORY, Site
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer, running

DAG_ID = "autoglm_dataset_default"
RUN_LIMIT_S = 400
MISPLACED_SECRET = "marked-variable-secret-91c2"


class Deployment:
    """A running Airflow with one pipeline."""

    def __init__(self, stack: AirflowStack, mlflow: MlflowServer, root: Path, variable: dict[str, Any]) -> None:
        self.stack = stack
        self.mlflow = mlflow
        self.root = root
        self.variable = variable

    def set_variable(self, **changes: Any) -> None:
        self.stack.api.set_variable("autoglm_default", {**self.variable, **changes})

    def run(self, conf: dict[str, Any] | None = None) -> str:
        """Trigger the DAG and wait for its end; returns the run id."""
        run_id = self.stack.api.trigger(DAG_ID, conf)
        self.wait(run_id)
        return run_id

    def wait(self, run_id: str) -> None:
        self.stack.processes.wait_until(
            f"the end of {run_id}",
            lambda: self.stack.api.run_state(DAG_ID, run_id) in ("success", "failed"),
            timeout_s=RUN_LIMIT_S,
            every_s=1,
        )

    def states(self, run_id: str) -> dict[str, str | None]:
        return {task.name: task.state for task in self.stack.api.task_states(DAG_ID, run_id)}

    def folder(self, run_id: str) -> Path:
        return self.root / "default" / "runs" / run_id

    def asset_events(self) -> list[dict[str, Any]]:
        found = self.stack.api.call("GET", "assets/events", params={"order_by": "timestamp"})
        return list(found["asset_events"])

    def mlflow_runs(self, run_id: str) -> list[dict[str, Any]]:
        """The parent of a DAG run, then its children; asked by plain HTTP, as a user with the password would."""
        session = requests.Session()
        session.auth = (ADMIN, ADMIN_PASSWORD)
        api = f"{self.mlflow.uri}/api/2.0/mlflow"
        experiment = session.get(f"{api}/experiments/get-by-name", params={"experiment_name": "autoglm/default"}).json()
        identifier = experiment["experiment"]["experiment_id"]

        def search(condition: str) -> list[dict[str, Any]]:
            body = {"experiment_ids": [identifier], "filter": condition, "max_results": 100}
            answer = session.post(f"{api}/runs/search", json=body).json()
            return [run["info"] for run in answer.get("runs", [])]

        (parent,) = search(f"tags.`airflow.run_id` = '{run_id}' and tags.`autoglm.role` = 'parent'")
        return [parent, *search(f"tags.`mlflow.parentRunId` = '{parent['run_id']}'")]


@pytest.fixture(scope="module")
def deployment(small_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("deployment")
    variable = demo_variable(small_site.url, is_own_site=True)
    variable["crawl"]["pages_per_shard"] = 60
    variable["publish"]["min_class_rows"] = 0
    environment = {"AIRFLOW__AUTOGLM__ROOT": f"file://{home}/corpora", "AIRFLOW__AUTOGLM__RETRIES": "0"}
    with running(MlflowServer(home / "mlflow", basic_auth=True)) as mlflow:
        stack = AirflowStack(home / "airflow", REPOSITORY / "dags", environment)
        with stack:
            made = Deployment(stack, mlflow, home / "corpora", variable)
            made.set_variable()
            stack.api.set_connection("mlflow_default", "mlflow", host=mlflow.uri, login=ADMIN, password=ADMIN_PASSWORD)
            stack.wait_for_dag(DAG_ID)
            stack.api.unpause(DAG_ID)
            yield made


@pytest.fixture(scope="module")
def first_run(deployment: Deployment) -> str:
    return deployment.run()


def test_the_documents_of_the_site_become_dataset_version_one(
    deployment: Deployment, first_run: str, small_site: Site
) -> None:
    assert set(deployment.states(first_run).values()) == {"success"}
    version = deployment.root / "default" / "datasets" / "v1"
    opened = datasets.load_dataset(str(version), cache_dir=str(deployment.root / "cache"))
    arrived = {url for split in opened.values() for url in split["url"]}
    dropped = Corpus.open(str(deployment.folder(first_run) / "dedupe")).to_table(kind="removed")["url"].to_pylist()
    rejected = Corpus.open(str(deployment.folder(first_run) / "clean")).to_table(kind="rejected")["url"].to_pylist()
    assert set(small_site.truth) <= arrived | set(dropped) | set(rejected)


def test_the_asset_event_names_the_version_and_why_it_was_made(deployment: Deployment, first_run: str) -> None:
    (event,) = deployment.asset_events()
    assert event["uri"] == "autoglm://default/dataset"
    assert event["extra"]["version"] == 1
    assert event["extra"]["reasons"] == ["manual"]
    assert event["extra"]["key"] == "default/dataset/1"
    assert event["extra"]["digest"] == Corpus.open(event["extra"]["reference"]).digest


def test_mlflow_holds_the_run_and_airflow_links_to_it(deployment: Deployment, first_run: str) -> None:
    parent, *children = deployment.mlflow_runs(first_run)
    assert parent["status"] == "FINISHED"
    assert sorted(run["run_name"] for run in children) == ["clean", "crawl", "dedupe", "label", "publish"]
    crawl = next(run for run in children if run["run_name"] == "crawl")
    links = deployment.stack.api.call("GET", f"dags/{DAG_ID}/dagRuns/{first_run}/taskInstances/crawl/links")
    assert crawl["run_id"] in links["extra_links"]["MLflow run"]


def test_clearing_with_a_changed_variable_recomputes_what_the_change_touches(
    deployment: Deployment, first_run: str
) -> None:
    deployment.set_variable(dedupe={"min_jaccard": 0.95})
    deployment.stack.api.call(
        "POST",
        f"dags/{DAG_ID}/clearTaskInstances",
        json={
            "dry_run": False,
            "dag_run_id": first_run,
            "task_ids": ["load_settings"],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        },
    )
    deployment.wait(first_run)
    assert "failed" not in deployment.states(first_run).values()
    folder = deployment.folder(first_run)
    assert not (folder / "crawl" / "_manifest.2.json").exists()
    assert Corpus.open(str(folder / "dedupe")).manifest.settings["min_jaccard"] == 0.95
    assert (folder / "dedupe" / "_manifest.2.json").exists()
    names = [run["run_name"] for run in deployment.mlflow_runs(first_run)[1:]]
    assert names.count("dedupe") == 2
    assert names.count("crawl") == 1
    deployment.set_variable()


def test_an_unchanged_site_makes_no_version_and_no_event(deployment: Deployment, first_run: str) -> None:
    versions = sorted((deployment.root / "default" / "datasets").iterdir())
    events = len(deployment.asset_events())
    run_id = deployment.run()
    assert deployment.states(run_id)["publish"] == "skipped"
    assert deployment.stack.api.run_state(DAG_ID, run_id) == "success"
    assert sorted((deployment.root / "default" / "datasets").iterdir()) == versions
    assert len(deployment.asset_events()) == events


def test_a_misplaced_key_fails_the_first_task_without_showing_its_value(deployment: Deployment, first_run: str) -> None:
    deployment.set_variable(tracking={"passwrd": MISPLACED_SECRET})
    run_id = deployment.run()
    deployment.set_variable()
    states = deployment.states(run_id)
    assert states["load_settings"] == "failed"
    assert states["crawl"] == "upstream_failed"
    log = deployment.stack.task_log(DAG_ID, run_id, "load_settings").read_text()
    assert "autoglm_default.tracking.passwrd: unknown key" in log


def test_no_secret_is_written_anywhere(deployment: Deployment, first_run: str) -> None:
    """Searches every file: logs, the metadata database with rendered templates and XComs, manifests, MLflow's store.

    The Variable itself is stored by Airflow, encrypted like the connection; MLflow's own auth files hold its password.
    """
    home = deployment.root.parent
    own_files = {deployment.mlflow.folder / "auth.ini"}
    searched = [file for file in home.rglob("*") if file.is_file() and file not in own_files]
    assert home / "airflow" / "airflow.db" in searched
    assert any(file.name == "mlflow.db" or file.suffix == ".db" for file in (home / "mlflow").rglob("*"))
    secrets = [ADMIN_PASSWORD.encode(), MISPLACED_SECRET.encode()]
    leaking = [str(file) for file in searched if any(secret in file.read_bytes() for secret in secrets)]
    assert leaking == []

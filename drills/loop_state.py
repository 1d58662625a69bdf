"""Pipelines of one Airflow that know nothing of each other: what a champion was asked, and what came of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.manifest import find_manifest
from airflow_provider_autoglm.corpus.publish.versions import Version, committed_versions
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, read_checks, record_check
from airflow_provider_autoglm.state.predictions import Feedback, Prediction, log_feedback, log_predictions
from airflow_provider_autoglm.state.routes import Model, read_routes, write_routes
from airflow_provider_autoglm.tracking.registry import Registry, model_digest
from demo.airflow_api import FINISHED, AirflowApi
from demo.docstrings import KEPT_FROM_THE_SITE, KNOWN_AREAS, sample_area
from demo.pages import build_content
from demo.site import SiteServer
from demo.stack import AirflowStack
from demo.variable import demo_variable
from tests.end_to_end.cooking import COOKING, recipes
from tests.mlflow_server import MlflowServer
from tests.monitoring.samples import topics
from tests.packaged import write_tiny_model

KNOWN: Mapping[str, int] = {"web": 50, "tables": 50}
"""Rows of traffic like that of the reference: as many as a baseline, and as many as a window."""
NEW_AREA = str(COOKING["name"])
NEW: Mapping[str, int] = {NEW_AREA: 100}
_ROWS = 100
_PAGES_PER_AREA = 4
_WAIT_S = 900
_SETTINGS: dict[str, Any] = {
    "crawl": {"delay_s": 0, "concurrency": 8, "retries": 0, "timeout_s": 5},
    "train": {"method": "head", "max_texts": 100},
    "evaluate": {"min_rows": 1, "min_gain": -1},
    "drift": {
        "baseline_rows": _ROWS,
        "window_rows": _ROWS,
        "min_rows": _ROWS,
        "min_new_rows": _ROWS // 2,
        "confirmations": 1,
        "cooldown_s": 0,
    },
    "feedback": {"min_rows": 10_000},
}


@contextmanager
def running_site(port: int = 0) -> Iterator[str]:
    """A site of few pages on all areas but that of cooking; its address."""
    articles = {area: sample_area(area, _PAGES_PER_AREA, skip=KEPT_FROM_THE_SITE) for area in KNOWN_AREAS}
    with SiteServer(port) as server:
        server.pages = build_content(articles, server.origin).pages
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{server.origin}/"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Deployment:
    """Airflow with the DAGs of several pipelines, MLflow, a state on PostgreSQL, and a site."""

    folder: Path
    stack: AirflowStack
    mlflow: MlflowServer
    state_url: str
    database: Database
    site: str
    unused: Iterator[str]

    def open(self) -> Pipeline:
        """A pipeline that no drill has used: with a champion that has answered nothing, and its DAGs paused."""
        pipeline = Pipeline(next(self.unused), self)
        pipeline.set_variable()
        pipeline.crown()
        return pipeline

    def wait_until(self, what: str, condition: Callable[[], bool], *, every_s: float = 0.5) -> None:
        """Wait while Airflow's processes run.

        :raises TimeoutError: after a quarter of an hour.
        """
        self.stack.processes.wait_until(what, condition, timeout_s=_WAIT_S, every_s=every_s)

    def kill_workers(self) -> None:
        """SIGKILL to the scheduler and all tasks: the LocalExecutor's workers live in it."""
        self.stack.kill("scheduler")

    def start_workers(self) -> None:
        self.stack.start_again("scheduler")

    @contextmanager
    def locked(self, statement: str) -> Iterator[psycopg.Connection[Any]]:
        """Hold what ``statement`` locks in the state, for as long as the block takes."""
        with psycopg.connect(self.state_url) as connection:
            connection.execute(statement.encode())
            yield connection


def is_waited_for(connection: psycopg.Connection[Any]) -> bool:
    """Whether anybody waits for a table of this database."""
    database = "select oid from pg_database where datname = current_database()"
    row = connection.execute(f"select count(*) from pg_locks where not granted and database = ({database})").fetchone()
    return row is not None and row[0] > 0


@dataclass
class Pipeline:
    """One pipeline, and the requests that its champion is said to have answered."""

    name: str
    deployment: Deployment
    asked: int = 0

    @property
    def dataset_dag(self) -> str:
        return f"autoglm_dataset_{self.name}"

    @property
    def watch_dag(self) -> str:
        return f"autoglm_drift_watch_{self.name}"

    @property
    def retrain_dag(self) -> str:
        return f"autoglm_retrain_{self.name}"

    @property
    def folder(self) -> Path:
        """Where its corpora are."""
        return self.deployment.folder / "corpora" / self.name

    @property
    def api(self) -> AirflowApi:
        return self.deployment.stack.api

    def set_variable(self, **changes: Any) -> None:
        """Its settings, with the site of the deployment."""
        value = demo_variable(self.deployment.site, is_own_site=True) | _SETTINGS | changes
        value["labels"] = [*value["labels"], COOKING]
        self.api.set_variable(f"autoglm_{self.name}", value)

    def crown(self) -> None:
        """Register a tiny model and let the routes name it as champion."""
        package = write_tiny_model(self.deployment.folder / "models" / self.name)
        client = MlflowClient(tracking_uri=self.deployment.mlflow.uri)
        run_id = client.create_run(client.create_experiment(f"champion of {self.name}")).info.run_id
        client.log_artifacts(run_id, package, "model")
        client.set_terminated(run_id)
        found = Registry(client, self.name).register(run_id, "model", model_digest(package), {})
        seen = read_routes(self.deployment.database, self.name)
        with self.deployment.database.transaction() as connection:
            write_routes(connection, seen, champion=Model(found.version, found.model_uri, found.digest))

    def tags_of(self, version: str) -> Mapping[str, str]:
        """The tags of a version of its registered model."""
        return Registry(MlflowClient(tracking_uri=self.deployment.mlflow.uri), self.name).version(version).tags

    @property
    def champion(self) -> str:
        champion = read_routes(self.deployment.database, self.name).champion
        assert champion is not None
        return champion.version

    def ask(self, rows: Mapping[str, int], *, keeps_texts: bool = True) -> list[Prediction]:
        """Write answers to so many texts on each topic into the prediction log, as a gateway does."""
        self.asked += 1
        sample = topics(rows, seed=self.asked)
        texts = [text for topic, count in rows.items() for text in _texts(topic, count, seed=self.asked)]
        now = self.deployment.database.now()
        batch = [
            Prediction(
                pipeline=self.name,
                request_id=f"{self.asked}-{number}",
                position=0,
                assigned_version=self.champion,
                assigned_status="ok",
                gateway_id="gateway-1",
                at=now,
                served_version=self.champion,
                label=topic if topic in KNOWN else "web",
                score=0.75,
                embedding=sample.embeddings[number].astype("<f2").tobytes(),
                text=texts[number] if keeps_texts else None,
            )
            for number, topic in enumerate(sample.labels)
        ]
        with self.deployment.database.transaction() as connection:
            assert log_predictions(connection, batch) == len(batch)
        return batch

    def tell(self, answered: Sequence[Prediction], label: str) -> set[str]:
        """Feedback on some answers; the texts that are labelled by it."""
        now = self.deployment.database.now()
        with self.deployment.database.transaction() as connection:
            log_feedback(connection, [Feedback(self.name, row.request_id, now, label=label) for row in answered])
        return {row.text for row in answered if row.text is not None}

    def confirm(self) -> Check:
        """A confirmed check whose event never came."""
        measured = Check(
            self.name,
            "drift",
            run="lost",
            state="drifted",
            is_confirmed=True,
            score=0.9,
            p_value=1e-9,
            version=self.champion,
            report={"learnable": True},
        )
        return record_check(self.deployment.database, measured, lambda check, _earlier, _now: check)

    def checks(self) -> list[Check]:
        """The drift checks, oldest first."""
        return read_checks(self.deployment.database, self.name, "drift", limit=100)[::-1]

    def wait_for_check(self, run: str) -> None:
        """Wait for the check that a run, or the event of another monitor, makes."""
        self.deployment.wait_until(f"the check of {run}", lambda: run in {check.run for check in self.checks()})

    def answering_run(self, check: Check) -> str | None:
        """The run of the dataset DAG that has taken a check; None before one has."""
        (found,) = (row for row in self.checks() if row.id == check.id)
        return None if found.answered_by is None else found.answered_by.removeprefix(f"{self.dataset_dag}/")

    def wait_for_answer(self, check: Check) -> str:
        """The run of the dataset DAG that answers a check, as soon as it has taken it."""
        self.deployment.wait_until(f"an answer to check {check.id}", lambda: self.answering_run(check) is not None)
        run_id = self.answering_run(check)
        assert run_id is not None
        return run_id

    def unpause(self, *dag_ids: str) -> None:
        for dag_id in dag_ids:
            self.deployment.stack.wait_for_dag(dag_id)
            self.api.unpause(dag_id)

    def pause(self) -> None:
        """Let nothing more begin."""
        for dag_id in (self.dataset_dag, self.watch_dag, self.retrain_dag):
            self.api.call("PATCH", f"dags/{dag_id}", json={"is_paused": True})

    def watch(self) -> str:
        """One look at the traffic, to its end; the id of the run."""
        run_id = self.api.trigger(self.watch_dag)
        assert self.wait_for_end(self.watch_dag, run_id) == "success"
        return run_id

    def wait_for_end(self, dag_id: str, run_id: str) -> str:
        """The state in which a DAG run ends."""
        self.deployment.wait_until(f"the end of {run_id}", lambda: self.api.run_state(dag_id, run_id) in FINISHED)
        return self.api.run_state(dag_id, run_id)

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task and all after it, and wait for the run's new end."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.api.call("POST", f"dags/{dag_id}/clearTaskInstances", json=body)
        self.wait_for_end(dag_id, run_id)

    def task_state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        (state,) = (task.state for task in self.api.task_states(dag_id, run_id) if task.task_id == task_id)
        return state

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """What the latest attempt of a task has logged."""
        return self.deployment.stack.task_log(dag_id, run_id, task_id).read_text()

    def working_runs(self) -> list[str]:
        """The runs of the dataset DAG that had something to do, oldest first."""
        dag_id = self.dataset_dag
        runs = self.api.run_ids(dag_id)
        return [run_id for run_id in runs if self.task_state(dag_id, run_id, "load_settings") == "success"]

    def wait_for_sweep(self) -> str:
        """The end of a run of the dataset DAG that has not begun yet; its id."""
        known = self.api.run_ids(self.dataset_dag)
        self.deployment.wait_until("another sweep", lambda: len(self.api.run_ids(self.dataset_dag)) > len(known))
        run_id = self.api.run_ids(self.dataset_dag)[len(known)]
        self.wait_for_end(self.dataset_dag, run_id)
        return run_id

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What was told through ``autoglm://<pipeline>/<kind>``, oldest first."""
        params: dict[str, Any] = {"asset_id": self._asset(kind, self.api), "order_by": "timestamp", "limit": 100}
        found = self.api.call("GET", "assets/events", params=params)
        return [event["extra"] for event in found["asset_events"]]

    def send_event(self, kind: str, *, api: AirflowApi, **extra: Any) -> None:
        """Tell an asset's consumers from outside that there is something to look at; each client has its ``api``."""
        api.call("POST", "assets/events", json={"asset_id": self._asset(kind, api), "extra": extra})

    def has_reference(self) -> bool:
        """Whether a check has frozen what it compares the champion's traffic with."""
        uri = f"{self.folder.as_uri()}/state/references/{self.champion}"
        return find_manifest(uri, Storage.local())[0] is not None

    def versions(self) -> list[Version]:
        """The dataset versions, oldest first."""
        return list(committed_versions(f"{self.folder.as_uri()}/datasets", Storage.local()))[::-1]

    def rows(self, version: Version) -> list[dict[str, Any]]:
        """The rows of a dataset version."""
        columns = ["source", "text", "label", "label_source"]
        return list(Corpus.open(version.uri).to_table(columns).to_pylist())

    def _asset(self, kind: str, api: AirflowApi) -> int:
        uri = f"autoglm://{self.name}/{kind}"
        (asset,) = api.call("GET", "assets", params={"uri_pattern": uri})["assets"]
        return int(asset["id"])


def _texts(topic: str, count: int, *, seed: int) -> list[str]:
    if topic == NEW_AREA:
        return recipes(count, seed=seed)
    return random.Random(seed).choices([docstring.text for docstring in sample_area(topic, count)], k=count)

"""The operators on model versions by themselves, with a real registry, a real state and models without learning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DAG
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.operators.evaluate import EvaluateModelOperator
from airflow_provider_autoglm.operators.rollout import RollbackOperator
from airflow_provider_autoglm.settings import PublishSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.rollouts import start_rollout
from airflow_provider_autoglm.state.routes import Model, read_routes, write_routes
from airflow_provider_autoglm.tracking.registry import RegisteredVersion, Registry, model_digest
from tests.corpus.publish.conftest import rows, write_table
from tests.dags.running import states_after
from tests.mlflow_server import MlflowServer
from tests.packaged import Answer, write_tiny_model

ALL_PASS, NONE_PASS = -1.0, 1.0


@dataclass
class Models:
    """A registered model of a test's own, a dataset to judge its versions on, and a state."""

    folder: Path
    registry: Registry
    database: Database
    run: dict[str, Any]
    dataset: dict[str, Any]

    def register(self, answer: Answer = "first") -> RegisteredVersion:
        client = self.registry.client
        number = len(list(self.folder.glob("model-*")))
        package = write_tiny_model(self.folder / f"model-{number}", labels=("a", "b"), answer=answer)
        run_id = client.create_run(client.get_run(self.run["mlflow_run_id"]).info.experiment_id).info.run_id
        client.log_artifacts(run_id, package, "model")
        return self.registry.register(run_id, "model", model_digest(package), {})

    def evaluate(self, challenger: RegisteredVersion, *, min_gain: float = ALL_PASS) -> str:
        """The state in which the task ends."""
        with DAG(f"own_evaluation_{self.registry.name}", schedule=None) as dag:
            EvaluateModelOperator(
                task_id="evaluate",
                pipeline=self.registry.name,
                dataset=self.dataset,
                challenger=challenger.version,
                settings={"min_gain": min_gain, "min_rows": 1},
                run=self.run,
            )
        return states_after(dag)["evaluate"]

    @property
    def waiting(self) -> str | None:
        """The version with the alias ``challenger``."""
        found = self.registry.find_alias("challenger")
        return found.version if found else None

    def verdict(self, version: RegisteredVersion) -> str | None:
        return self.registry.version(version.version).tags.get("autoglm.verdict")

    def serve(self, **models: RegisteredVersion) -> None:
        """Let the routes name these versions."""
        named = {role: Model(found.version, found.model_uri, found.digest) for role, found in models.items()}
        with self.database.transaction() as connection:
            write_routes(connection, read_routes(self.database, self.registry.name), **named)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("dataset")
    source = write_table(f"{folder}/label", pa.Table.from_pylist(rows(0, 60)), rows_of_a_shard=60)
    published = publish(source, f"{folder}/datasets", PublishSettings(test_fraction=0.3))
    return {"uri": published.uri, "version": 1, "digest": published.digest, "reasons": ["manual"]}


@pytest.fixture
def models(
    airflow_home: Path,
    mlflow_server: MlflowServer,
    dataset: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Models]:
    name = request.node.name[5:55]
    database = Database(f"sqlite:///{tmp_path}/state.db")
    database.migrate()
    connections = {
        "AIRFLOW_CONN_MLFLOW_DEFAULT": {"conn_type": "mlflow", "host": mlflow_server.uri},
        "AIRFLOW_CONN_AUTOGLM_STATE": {"conn_type": "autoglm_state", "host": f"sqlite:///{tmp_path}/state.db"},
    }
    for variable, connection in connections.items():
        monkeypatch.setenv(variable, json.dumps(connection))
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "autoglm")
    client = MlflowClient(tracking_uri=mlflow_server.uri)
    parent = client.create_run(client.create_experiment(f"autoglm/{name}")).info.run_id
    run = {
        "pipeline": name,
        "dag_id": "own",
        "run_id": "run",
        "root": f"file://{tmp_path}",
        "folder": f"file://{tmp_path}/run",
        "mlflow_run_id": parent,
    }
    yield Models(tmp_path, Registry(client, name), database, run, dataset)
    database.close()


def test_a_version_that_passes_waits_and_is_told_of_once(models: Models) -> None:
    version = models.register()
    assert models.evaluate(version) == "success"
    assert (models.waiting, models.verdict(version)) == (version.version, "passed")
    assert models.evaluate(version) == "skipped"
    assert models.waiting == version.version


def test_a_version_that_waits_loses_its_place_when_it_is_refused(models: Models) -> None:
    version = models.register()
    models.evaluate(version)
    assert models.evaluate(version, min_gain=NONE_PASS) == "skipped"
    assert (models.waiting, models.verdict(version)) == (None, "refused")


def test_a_version_that_answers_nan_is_refused(models: Models) -> None:
    version = models.register("nan")
    assert models.evaluate(version) == "skipped"
    assert (models.waiting, models.verdict(version)) == (None, "refused")


def test_an_older_version_does_not_push_a_newer_one_aside(models: Models) -> None:
    older, newer = models.register(), models.register("last")
    models.evaluate(newer)
    assert models.evaluate(older) == "skipped"
    assert (models.waiting, models.verdict(older)) == (newer.version, None)


def test_the_version_that_serves_is_compared_with_and_never_with_itself(models: Models) -> None:
    champion, challenger = models.register(), models.register("last")
    models.serve(champion=champion)
    assert models.evaluate(champion) == "skipped"
    assert models.verdict(champion) is None
    assert models.evaluate(challenger) == "success"
    (child,) = models.registry.client.search_runs(
        [models.registry.client.get_run(models.run["mlflow_run_id"]).info.experiment_id],
        f"params.challenger = '{challenger.version}'",
    )
    assert "champion/accuracy" in child.data.metrics


def test_the_verdict_of_a_version_that_was_rolled_out_stands(models: Models) -> None:
    version = models.register()
    model = Model(version.version, version.model_uri, version.digest)
    start_rollout(models.database, models.registry.name, model, started_by="dag/run", settings={})
    assert models.evaluate(version) == "skipped"
    assert (models.waiting, models.verdict(version)) == (None, None)


def test_a_champion_is_taken_back_once_however_often_the_task_runs(models: Models) -> None:
    first, second = models.register(), models.register("last")
    models.serve(champion=second, previous=first)
    operator = RollbackOperator(task_id="back", version=second.version, run=models.run, reason="complaints")
    outcomes = [operator.execute({}) for _ in range(2)]
    assert [outcome["champion"] for outcome in outcomes] == [first.version, first.version]
    assert [outcome["withdrawn"] for outcome in outcomes] == [second.version, None]
    champion = models.registry.find_alias("champion")
    assert champion is not None
    assert champion.version == first.version


def test_a_rollback_without_mlflow_says_what_it_could_not_repair(models: Models, mlflow_server: MlflowServer) -> None:
    first, second = models.register(), models.register("last")
    models.serve(champion=second, previous=first)
    operator = RollbackOperator(task_id="back", version=second.version, run=models.run, reason="complaints")
    with mlflow_server.away():
        outcome = operator.execute({})
    assert outcome["champion"] == first.version
    assert "aliases and tags in MLflow are not as the routes are" in outcome["problems"][0]

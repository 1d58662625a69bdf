"""What publishing leaves in its MLflow run, through ``dag.test()`` and a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow.data
import pytest
from airflow.sdk import DAG
from datasets import load_dataset
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.publish.content import content_digest
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.operators.publish import PublishDatasetOperator
from airflow_provider_autoglm.tracking import Tracker
from tests.corpus.publish.conftest import Datasets, review, row, rows
from tests.dags.running import states_after
from tests.mlflow_server import MlflowServer

pytestmark = pytest.mark.usefixtures("airflow_home")


class Pipeline:
    """Runs that publish the corpora of one pipeline, each with a child run in MLflow."""

    def __init__(self, server: MlflowServer, folder: Path) -> None:
        self.client = MlflowClient(tracking_uri=server.uri)
        self.datasets = Datasets(folder)
        self._folder = folder
        self._tracker = Tracker(self.client, f"autoglm/{folder.name}")

    def publish(self, run_id: str, corpus: str, **settings: Any) -> tuple[str, str]:
        """Publish in a DAG run; the state of the task, and the run it logged to."""
        root = self._folder.as_uri()
        run = {
            "pipeline": self._folder.name,
            "dag_id": "own_publish",
            "run_id": run_id,
            "root": root,
            "folder": f"{root}/run-{run_id}",
            "mlflow_run_id": self._tracker.open_parent("own_publish", run_id, "", {}, ""),
        }
        with DAG("own_publish", schedule=None) as dag:
            PublishDatasetOperator(
                task_id="publish",
                pipeline=self._folder.name,
                sources=corpus,
                settings=settings,
                run=run,
                destination=self.datasets.uri,
            )
        (state,) = states_after(dag).values()
        experiment = self.client.get_experiment_by_name(f"autoglm/{self._folder.name}")
        assert experiment is not None
        below = f"tags.`mlflow.parentRunId` = '{run['mlflow_run_id']}'"
        (child,) = self.client.search_runs([experiment.experiment_id], below)
        return state, child.info.run_id

    def artifacts(self, run_id: str) -> dict[str, str]:
        """The files of a run, without the settings."""
        return {
            item.path: Path(self.client.download_artifacts(run_id, item.path, str(self._folder))).read_text()
            for item in self.client.list_artifacts(run_id)
            if not item.is_dir
        }


@pytest.fixture
def pipeline(mlflow_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_server.uri}))
    return Pipeline(mlflow_server, tmp_path)


def test_a_version_has_its_report_and_what_changed_in_mlflow_the_same_after_a_retry(pipeline: Pipeline) -> None:
    datasets = pipeline.datasets
    _, first = pipeline.publish("1", datasets.corpus(rows(0, 20)))
    assert pipeline.artifacts(first).keys() == {"publish.html", "publish.json"}

    corpus = datasets.corpus([*rows(20, 30), row(0, "b")], review=review())
    state, second = pipeline.publish("2", corpus)
    artifacts = pipeline.artifacts(second)
    assert (state, set(artifacts)) == ("success", {"publish.html", "publish.json", "diff.json"})
    assert json.loads(artifacts["diff.json"])["labels"] == [{"before": "a", "after": "b", "rows": 1}]
    assert json.loads(artifacts["publish.json"])["reviews"][1]["review"]["answered"] == 241
    assert "91.2% (95% interval 87.8% to 93.8%)" in artifacts["publish.html"]

    assert pipeline.publish("2", corpus) == ("skipped", second), "its event was sent, which is said once"
    assert pipeline.artifacts(second) == artifacts


def test_a_run_that_brings_nothing_new_has_no_report(pipeline: Pipeline) -> None:
    pipeline.publish("1", pipeline.datasets.corpus(rows(0, 20)))
    state, run_id = pipeline.publish("2", pipeline.datasets.corpus(rows(0, 20)))

    assert (state, pipeline.artifacts(run_id)) == ("skipped", {})


def test_the_dataset_of_a_run_opens_from_mlflow(pipeline: Pipeline, tmp_path: Path) -> None:
    _, run_id = pipeline.publish("1", pipeline.datasets.corpus(rows(0, 60)), test_fraction=0.2)
    inputs = pipeline.client.get_run(run_id).inputs
    assert inputs is not None
    (published,) = (item.dataset for item in inputs.dataset_inputs if item.tags[0].value == "published")

    folder = mlflow.data.get_source(published).load()

    loaded = load_dataset(folder, cache_dir=str(tmp_path / "cache"))
    record = pipeline.datasets.record(1)
    assert {split: loaded[split].num_rows for split in loaded} == record.splits
    version = Corpus.open(folder)
    assert (version.digest, content_digest(version)) == (published.digest, record.content_digest)

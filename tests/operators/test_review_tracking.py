"""What a review of two rounds leaves in MLflow, whether MLflow was there all the time or came back later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.lineage import kept_runs, log_finished_run
from airflow_provider_autoglm.corpus.manifest import read_manifest
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.tracking import Tracker
from tests.mlflow_server import MlflowServer, free_port
from tests.operators.reviewing import Review, Reviewer, tells_the_truth, write_labelled

TIMED = ("duration_s", "rows_per_s")


@pytest.fixture
def client(mlflow_server: MlflowServer) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_server.uri)


def tracker_of(client: MlflowClient, folder: Path) -> Tracker:
    return Tracker(client, f"autoglm/{folder.name}")


def review_in(folder: Path, parent: str | None) -> Review:
    """A review that goes into its second round, in a run of the pipeline of this name."""
    root = folder.as_uri()
    run = {
        "pipeline": folder.name,
        "dag_id": "own_review",
        "run_id": "1",
        "root": root,
        "folder": f"{root}/run",
        "mlflow_run_id": parent,
    }
    found = Review(write_labelled(f"{root}/label"), folder, Reviewer(tells_the_truth), in_run=run)
    found.settings["target_accuracy"] = 0.7
    return found


def use_mlflow(environment: pytest.MonkeyPatch, uri: str) -> None:
    environment.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": uri}))


def log_later(client: MlflowClient, folder: Path) -> None:
    """Log what was kept, as `airflow autoglm gc` does."""
    storage = Storage.local()
    ((_, finished),) = kept_runs(folder.as_uri(), folder.name, storage)
    assert finished is not None
    assert log_finished_run(tracker_of(client, folder), finished, storage) is not None


def children(client: MlflowClient, folder: Path) -> dict[tuple[str, str, str], Run]:
    """The child runs of a pipeline by stage, task and round; no two of them are the same."""
    experiment = client.get_experiment_by_name(f"autoglm/{folder.name}")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`autoglm.role` = 'child'")
    by_key = {
        (run.info.run_name, run.data.tags["airflow.task_id"], run.data.params.get("round", "")): run for run in found
    }
    assert len(by_key) == len(found)
    return by_key


def logged(client: MlflowClient, folder: Path, run: Run) -> dict[str, Any]:
    """What a run tells of a corpus, whichever folder it lies in and how long it took."""
    root = folder.as_uri()
    own = ("autoglm.stage", "autoglm.output_uri", "autoglm.output_digest")
    assert run.inputs is not None
    return {
        "status": run.info.status,
        "metrics": {name: value for name, value in run.data.metrics.items() if name not in TIMED},
        "timed": sorted(name for name in run.data.metrics if name in TIMED),
        "parameters": run.data.params,
        "tags": {name: run.data.tags[name].replace(root, "") for name in own},
        "inputs": sorted((item.dataset.name, item.dataset.digest) for item in run.inputs.dataset_inputs),
        "settings": [item.path for item in client.list_artifacts(run.info.run_id, "settings")],
    }


def test_each_draw_has_its_own_child_run_and_what_mlflow_missed_is_the_same_after_the_catch_up(
    airflow_home: Path, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, away = tmp_path / f"{tmp_path.name}-there", tmp_path / f"{tmp_path.name}-away"
    use_mlflow(monkeypatch, client.tracking_uri)
    parent = tracker_of(client, there).open_parent("own_review", "1", "", {}, "")
    assert review_in(there, parent).run()["finish_run"] == "success"
    expected = children(client, there)
    assert set(expected) == {
        ("review_draw", "draw", "1"),
        ("review", "decide", ""),
        ("review_draw", "decide", "2"),
        ("review", "decide_again", ""),
    }
    second = expected["review_draw", "decide", "2"]
    assert second.info.start_time < expected["review", "decide_again", ""].info.start_time, "there while people answer"
    assert second.data.metrics["review/sample"] > 0
    assert second.data.tags["autoglm.output_uri"] == f"{there.as_uri()}/run/review_draw_again"
    assert read_manifest(f"{there.as_uri()}/run/review_draw_again", Storage.local()).mlflow_run_id is None

    use_mlflow(monkeypatch, f"http://127.0.0.1:{free_port()}")
    assert review_in(away, None).run()["finish_run"] == "success"
    assert client.get_experiment_by_name(f"autoglm/{away.name}") is None
    log_later(client, away)
    caught_up = children(client, away)
    # A decision that asks for a second round commits nothing.
    assert set(caught_up) == set(expected) - {("review", "decide", "")}
    for key, run in caught_up.items():
        assert logged(client, away, run) == logged(client, there, expected[key]), key

    log_later(client, away)
    again = children(client, away)
    assert {key: run.info.run_id for key, run in again.items()} == {
        key: run.info.run_id for key, run in caught_up.items()
    }

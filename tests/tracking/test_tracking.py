from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.data import get_source
from mlflow.entities import Experiment, Run
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.tracking import LoggedInput, StageRecord, Tracker, run_url
from tests.mlflow_server import MlflowServer
from tests.tracking.runs import CLEANED, CRAWL, SETTINGS, open_child, open_parent, runs_of


def test_a_parent_opened_twice_is_one_run_with_the_tags_of_the_dag_run(
    tracker: Tracker, client: MlflowClient, experiment: str
) -> None:
    first, second = open_parent(tracker), open_parent(Tracker(client, experiment))

    assert first == second
    (run,) = runs_of(client, experiment)
    assert run.data.tags["airflow.dag_id"] == "autoglm_dataset_default"
    assert run.data.tags["airflow.run_id"] == "manual__2026-11-01T00:00:00+00:00"
    assert run.data.tags["airflow.logical_date"] == "2026-11-01T00:00:00+00:00"
    assert run.data.tags["autoglm.role"] == "parent"


def test_two_dag_runs_have_two_parents(tracker: Tracker) -> None:
    assert open_parent(tracker, "manual__1") != open_parent(tracker, "manual__2")


def test_a_run_id_with_a_quote_is_found_again(tracker: Tracker) -> None:
    assert open_parent(tracker, "it's") == open_parent(tracker, "it's") is not None


def test_a_cleared_run_reopens_its_closed_parent(tracker: Tracker, client: MlflowClient) -> None:
    parent = open_parent(tracker)
    tracker.close(parent, "FAILED")

    assert open_parent(tracker) == parent
    assert client.get_run(parent).info.status == "RUNNING"


def test_a_closed_run_that_is_closed_again_keeps_its_end(tracker: Tracker, client: MlflowClient) -> None:
    parent = open_parent(tracker)
    tracker.close(parent, "FINISHED")
    ended = client.get_run(parent).info.end_time
    tracker.close(parent, "FINISHED")

    assert client.get_run(parent).info.end_time == ended is not None


def test_a_retry_continues_the_child_of_its_task(tracker: Tracker, client: MlflowClient, experiment: str) -> None:
    parent = open_parent(tracker)
    child = open_child(tracker, parent)
    tracker.close(child, "FAILED")

    assert open_child(Tracker(client, experiment), parent) == child
    run = client.get_run(child)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == "clean"
    assert run.data.tags["mlflow.parentRunId"] == parent


def test_changed_settings_or_another_map_index_start_another_child(tracker: Tracker) -> None:
    parent = open_parent(tracker)
    children = {
        open_child(tracker, parent),
        open_child(tracker, parent, digest="bb"),
        open_child(tracker, parent, index=3),
    }

    assert len(children) == 3
    assert None not in children


def test_parameters_are_flat_and_logged_once(tracker: Tracker, client: MlflowClient) -> None:
    parent = open_parent(tracker)
    settings = {"length": {"min": 20}, "languages": ["en"], "rule": "x" * 9000, **{f"k{i}": i for i in range(150)}}
    child = open_child(tracker, parent, settings)
    open_child(tracker, parent, settings)

    logged = client.get_run(child).data.params
    assert len(logged) == 153
    assert logged["length.min"] == "20"
    assert logged["languages"] == '["en"]'
    assert logged["rule"] == "x" * 6000


def test_settings_are_an_artifact_named_by_their_digest_without_credentials(
    tracker: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    parent = open_parent(tracker)
    child = open_child(tracker, parent, {"proxy": "http://someone:marked-secret@proxy.example", "n": 1})

    of_parent = Path(client.download_artifacts(parent, "settings/5e77.json", str(tmp_path)))
    assert json.loads(of_parent.read_text()) == SETTINGS
    of_child = Path(client.download_artifacts(child, "settings/aa.json", str(tmp_path))).read_text()
    assert json.loads(of_child) == {"n": 1, "proxy": "http://***@proxy.example"}
    assert "marked-secret" not in str(client.get_run(child).data.to_dictionary())


def test_counters_metrics_and_output_are_read_back_by_a_plain_client(tracker: Tracker, client: MlflowClient) -> None:
    child = open_child(tracker, open_parent(tracker))
    tracker.log_stage(child, CLEANED)

    data = client.get_run(child).data
    assert data.metrics == {**CLEANED.counters, **CLEANED.metrics}
    assert data.tags["autoglm.output_uri"] == CLEANED.uri
    assert data.tags["autoglm.output_digest"] == CLEANED.digest


def test_lineage_is_read_back_and_found_by_digest(tracker: Tracker, client: MlflowClient, experiment: str) -> None:
    child = open_child(tracker, open_parent(tracker))
    tracker.log_stage(child, CLEANED)

    (logged,) = client.get_run(child).inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("crawl", CRAWL.digest)
    assert get_source(logged.dataset).to_dict() == {"uri": CRAWL.uri}
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    (reader,) = client.search_runs([experiment_id], f"dataset.digest = '{CRAWL.digest}'")
    assert reader.info.run_id == child


def test_a_page_and_its_numbers_are_artifacts_and_the_last_ones_logged_are_kept(
    tracker: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    child = open_child(tracker, open_parent(tracker))
    for number in (1, 2):
        tracker.log_page(child, "report.html", f"<p>第{number}页</p>")
        tracker.log_report(child, "report.json", {"page": number})

    page = Path(client.download_artifacts(child, "report.html", str(tmp_path)))
    assert page.read_text(encoding="utf-8") == "<p>第2页</p>"
    assert json.loads(Path(client.download_artifacts(child, "report.json", str(tmp_path))).read_text()) == {"page": 2}


def test_a_stage_logged_twice_doubles_neither_inputs_nor_metrics(tracker: Tracker, client: MlflowClient) -> None:
    child = open_child(tracker, open_parent(tracker))
    tracker.log_stage(child, CLEANED)
    tracker.log_stage(child, CLEANED)

    assert len(client.get_run(child).inputs.dataset_inputs) == 1
    assert [point.value for point in client.get_metric_history(child, "rows_out")] == [7]


def test_names_that_mlflow_refuses_are_cleaned(tracker: Tracker, client: MlflowClient) -> None:
    child = open_child(tracker, open_parent(tracker))
    tracker.log_stage(
        child, StageRecord("clean", "file:///x", "d" * 32, metrics={"rejected/<b>//..": 1, "漢/?": 2, "": 3})
    )

    assert not tracker.is_down
    assert sorted(client.get_run(child).data.metrics.values()) == [1, 2, 3]


def test_a_published_dataset_is_found_by_its_digest_beside_its_readers(
    tracker: Tracker, client: MlflowClient, experiment: str
) -> None:
    parent = open_parent(tracker)
    publish, train = open_child(tracker, parent), open_child(tracker, parent, digest="train")
    dataset = LoggedInput("default", "file:///data/datasets/v3", "e" * 32)
    tracker.log_stage(publish, StageRecord("publish", dataset.uri, dataset.digest, dataset_version=3))
    tracker.log_stage(train, StageRecord("train", "file:///m", "f" * 32, inputs=(dataset,)))

    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    found = client.search_runs([experiment_id], f"dataset.digest = '{dataset[2]}'")
    assert {run.info.run_id for run in found} == {publish, train}
    (published,) = client.search_runs([experiment_id], "tags.`autoglm.dataset_version` = '3'")
    assert published.info.run_id == publish


def test_a_deleted_experiment_is_restored(tracker: Tracker, client: MlflowClient, experiment: str) -> None:
    parent = open_parent(tracker)
    client.delete_experiment(client.get_experiment_by_name(experiment).experiment_id)

    assert open_parent(Tracker(client, experiment)) is not None
    assert client.get_experiment_by_name(experiment).lifecycle_stage == "active"
    assert client.get_run(parent).info.lifecycle_stage == "active"


class RacingClient(MlflowClient):
    """Another attempt does everything just after this one has seen nothing."""

    rival: Tracker

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        found = super().get_experiment_by_name(name)
        if found is None:
            open_parent(self.rival)
        return found

    def search_runs(self, *args: Any, **kwargs: Any) -> list[Run]:
        found = super().search_runs(*args, **kwargs)
        if not found and "child" in str(args):
            open_child(self.rival, open_parent(self.rival))
        return list(found)


def test_two_attempts_at_once_settle_on_one_experiment_and_one_run(
    mlflow_server: MlflowServer, tracker: Tracker, client: MlflowClient, experiment: str
) -> None:
    racing = RacingClient(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri)
    racing.rival = tracker
    late = Tracker(racing, experiment)

    parent = open_parent(late)
    child = open_child(late, parent)

    assert parent == open_parent(tracker)
    assert child == open_child(tracker, parent)
    assert {run.info.run_id for run in runs_of(client, experiment)} == {parent, child}


def test_a_run_has_a_page_in_mlflows_ui(tracker: Tracker, client: MlflowClient, experiment: str) -> None:
    parent = open_parent(tracker)
    experiment_id = client.get_experiment_by_name(experiment).experiment_id

    expected = f"{client.tracking_uri}/#/experiments/{experiment_id}/runs/{parent}"
    assert tracker.run_url(parent) == expected
    assert run_url(f"{client.tracking_uri}/", experiment_id, str(parent)) == expected


def test_what_was_not_opened_is_passed_over(tracker: Tracker, caplog: pytest.LogCaptureFixture) -> None:
    assert open_child(tracker, None) is None
    tracker.log_stage(None, CLEANED)
    tracker.log_report(None, "report.json", {})
    tracker.log_page(None, "report.html", "")
    tracker.close(None, "FINISHED")

    assert tracker.run_url(None) is None
    assert not tracker.is_down
    assert not caplog.records

from __future__ import annotations

import logging
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import TrackingUnavailableError
from airflow_provider_autoglm.tracking import Tracker, catch_up
from tests.mlflow_server import MlflowServer, free_port
from tests.tracking.loopback import serving
from tests.tracking.runs import CLEANED, SETTINGS, child_record, open_child, open_parent, runs_of


def log_everything(tracker: Tracker) -> list[object]:
    parent = open_parent(tracker)
    child = open_child(tracker, parent or "a parent of before")
    return [
        parent,
        child,
        tracker.log_stage("a child of before", CLEANED),
        tracker.log_page("a child of before", "report.html", "<p>"),
        tracker.close("a child of before", "FINISHED"),
        tracker.run_url("a child of before"),
    ]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("airflow_provider_autoglm")
    ]


def test_without_a_server_all_is_none_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    tracker = Tracker(MlflowClient(tracking_uri=uri, registry_uri=uri), "autoglm/away")

    assert log_everything(tracker) == [None] * 6

    (warning,) = warnings_of(caplog)
    assert uri in warning
    assert tracker.is_down


def test_where_tracking_is_required_an_outage_raises_and_may_be_retried() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    tracker = Tracker(MlflowClient(tracking_uri=uri, registry_uri=uri), "autoglm/away", required=True)

    for _ in range(2):
        with pytest.raises(TrackingUnavailableError, match=uri) as raised:
            open_parent(tracker)
    assert raised.value.retry_can_help


def test_a_server_that_accepts_and_never_answers_is_away_too(
    mlflow_server: MlflowServer, tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow_server.freeze()
    try:
        results = log_everything(tracker)
    finally:
        mlflow_server.thaw()

    assert results == [None] * 6
    assert len(warnings_of(caplog)) == 1


def test_a_proxy_without_its_server_is_away_too(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    class BadGateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(502)

    with serving(BadGateway) as uri:
        assert log_everything(Tracker(MlflowClient(tracking_uri=uri, registry_uri=uri), "autoglm/away")) == [None] * 6

    (warning,) = warnings_of(caplog)
    assert "502" in warning
    assert asked == ["/health"], "an outage costs one question, not one a call with retries"


class LosesItsServer(MlflowClient):
    """The server goes in the middle of a call, after the tracker found it well."""

    server: MlflowServer

    def get_run(self, run_id: str, *args: Any, **kwargs: Any) -> Run:
        self.server.stop()
        return super().get_run(run_id, *args, **kwargs)


def test_a_server_lost_in_the_middle_of_a_call_costs_one_warning(
    mlflow_server: MlflowServer, tracker: Tracker, experiment: str, caplog: pytest.LogCaptureFixture
) -> None:
    child = open_child(tracker, open_parent(tracker))
    losing = LosesItsServer(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri)
    losing.server = mlflow_server
    try:
        Tracker(losing, experiment).log_stage(child, CLEANED)
    finally:
        mlflow_server.start()

    assert len(warnings_of(caplog)) == 1


def catch_up_the_run(tracker: Tracker) -> str | None:
    return catch_up(
        tracker,
        dag_id="autoglm_dataset_default",
        run_id="manual__2026-11-01T00:00:00+00:00",
        logical_date="2026-11-01T00:00:00+00:00",
        settings=SETTINGS,
        settings_digest="5e77",
        children=[child_record("clean"), child_record("label", record=None)],
        status="FAILED",
    )


def test_when_the_server_is_back_the_catch_up_logs_the_whole_run(
    mlflow_server: MlflowServer, client: MlflowClient, experiment: str
) -> None:
    tracker = Tracker(client, experiment)
    with mlflow_server.away():
        assert open_parent(tracker) is None
        assert catch_up_the_run(tracker) is None

    parent = catch_up_the_run(Tracker(client, experiment))

    runs = {run.info.run_name: run for run in runs_of(client, experiment)}
    assert runs.keys() == {"manual__2026-11-01T00:00:00+00:00", "clean", "label"}
    assert client.get_run(parent).info.status == "FAILED"
    assert runs["clean"].info.status == "FINISHED"
    assert runs["clean"].data.metrics["rows_out"] == 7
    assert [item.dataset.name for item in runs["clean"].inputs.dataset_inputs] == ["crawl"]
    assert runs["clean"].data.params["length.min"] == "20"
    assert runs["label"].info.status == "FAILED"


def test_the_catch_up_changes_nothing_that_is_logged(tracker: Tracker, client: MlflowClient, experiment: str) -> None:
    catch_up_the_run(tracker)
    before = [run.to_dictionary() for run in runs_of(client, experiment)]

    catch_up_the_run(Tracker(client, experiment))

    assert [run.to_dictionary() for run in runs_of(client, experiment)] == before
    assert len(before) == 3


def test_the_catch_up_finishes_what_a_task_had_begun_and_ends_what_died(tracker: Tracker, client: MlflowClient) -> None:
    parent = open_parent(tracker)
    begun, died = open_child(tracker, parent), open_child(tracker, parent, digest="settings of before")

    assert catch_up_the_run(tracker) == parent

    assert client.get_run(begun).info.status == "FINISHED"
    assert client.get_run(begun).data.metrics["rows_out"] == 7
    assert client.get_run(died).info.status == "KILLED"

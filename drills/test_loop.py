"""The circle is closed once: whatever is killed, lost, doubled or away, each drift makes one dataset version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.publish.reasons import added_reasons
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check
from demo.airflow_api import AirflowApi
from demo.ports import free_port
from demo.stack import AirflowStack
from drills.conftest import FAILOVER, state_connection
from drills.loop_state import KNOWN, NEW, NEW_AREA, Deployment, Pipeline, is_waited_for, running_site
from tests.conftest import REPOSITORY
from tests.mlflow_server import MlflowServer
from tests.mlflow_server import running as running_mlflow
from tests.postgres_server import PostgresServer
from tests.postgres_server import running as running_postgres

_PIPELINES = [f"drill{number}" for number in range(1, 13)]
_ENVIRONMENT = {
    **FAILOVER,
    "AIRFLOW__AUTOGLM__PIPELINES": ",".join(_PIPELINES),
    "AIRFLOW__AUTOGLM__DATASET_SWEEP_SCHEDULE": "* * * * *",
    "AIRFLOW__AUTOGLM__DRIFT_WATCH_SCHEDULE": "",
    # A scheduler that is started in the place of a killed one takes up its tasks when it looks for them.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
}
_TOLD = 20
"""Rows of the new traffic that people gave a label: no stage may lose one."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("loop")
    with ExitStack() as cleanup:
        postgres = cleanup.enter_context(running_postgres(PostgresServer()))
        state_url = postgres.create_database()
        mlflow = cleanup.enter_context(running_mlflow(MlflowServer(folder / "mlflow")))
        site = cleanup.enter_context(running_site())
        database = Database(state_url)
        cleanup.callback(database.close)
        database.migrate()
        environment = {
            **_ENVIRONMENT,
            # On SQLite a burst of writers can end the scheduler.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.create_database().replace("://", "+psycopg2://"),
            "AIRFLOW__AUTOGLM__ROOT": f"file://{folder}/corpora",
        }
        stack = cleanup.enter_context(AirflowStack(folder / "airflow", REPOSITORY / "dags", environment))
        stack.api.set_connection("mlflow_default", "mlflow", host=mlflow.uri)
        stack.api.set_connection("autoglm_state", "autoglm_state", **state_connection(state_url))
        yield Deployment(folder, stack, mlflow, state_url, database, site, iter(_PIPELINES))


@pytest.fixture
def pipeline(deployment: Deployment) -> Iterator[Pipeline]:
    """A pipeline that is owed nothing, with its champion; what begins in it ends with the drill."""
    opened = deployment.open()
    yield opened
    opened.pause()


@pytest.fixture
def told(pipeline: Pipeline) -> set[str]:
    """Traffic of a new area, and the texts of it that people gave a label."""
    return pipeline.tell(pipeline.ask(NEW)[:_TOLD], NEW_AREA)


def assert_answered_by_one_version(pipeline: Pipeline, check: Check, told: set[str]) -> str:
    """One run has answered the check, with the one version there is, told once; returns the run."""
    run_id = pipeline.wait_for_answer(check)
    assert pipeline.wait_for_end(pipeline.dataset_dag, run_id) == "success"
    assert pipeline.answering_run(check) == run_id
    (version,) = pipeline.versions()
    record = version.manifest.dataset or {}
    assert (record["reasons"], record["checks"]) == (["drift"], [check.id])
    (event,) = pipeline.events("dataset")
    assert (event["version"], event["reasons"], event["checks"]) == (version.number, ["drift"], [check.id])
    assert told <= {row["text"] for row in pipeline.rows(version) if row["label_source"] == "feedback"}
    return run_id


def assert_told_once_and_answered_once(pipeline: Pipeline, run_id: str) -> None:
    """The run made one check, sent one event, and one dataset run answers it."""
    assert pipeline.wait_for_end(pipeline.watch_dag, run_id) == "success"
    assert pipeline.task_state(pipeline.watch_dag, run_id, "drift_check") == "success"
    (check,) = pipeline.checks()
    assert (check.run, check.is_confirmed) == (f"{pipeline.watch_dag}/{run_id}", True)
    assert [event["key"] for event in pipeline.events("drift")] == [f"{pipeline.name}/drift/{check.id}"]
    pipeline.unpause(pipeline.dataset_dag)
    answering = pipeline.wait_for_answer(check)
    assert pipeline.wait_for_end(pipeline.dataset_dag, answering) == "success"
    assert pipeline.working_runs() == [answering]


def test_the_workers_are_killed_before_a_check_is_written(pipeline: Pipeline) -> None:
    deployment = pipeline.deployment
    pipeline.ask(KNOWN)
    pipeline.ask(NEW)
    pipeline.unpause(pipeline.watch_dag)
    with deployment.locked(f"select 1 from routes where pipeline = '{pipeline.name}' for update"):
        run_id = pipeline.api.trigger(pipeline.watch_dag)
        deployment.wait_until("the reference is frozen", pipeline.has_reference, every_s=0.05)
        deployment.kill_workers()
    assert pipeline.checks() == []
    deployment.start_workers()
    assert_told_once_and_answered_once(pipeline, run_id)


def test_the_workers_are_killed_after_a_check_is_written(pipeline: Pipeline) -> None:
    deployment = pipeline.deployment
    pipeline.ask(KNOWN)
    pipeline.ask(NEW)
    pipeline.unpause(pipeline.watch_dag)
    with deployment.locked(f"select 1 from routes where pipeline = '{pipeline.name}' for update"):
        run_id = pipeline.api.trigger(pipeline.watch_dag)
        deployment.wait_until("the reference is frozen", pipeline.has_reference, every_s=0.05)
        deployment.mlflow.freeze()  # to which the task logs the check before it ends
    deployment.wait_until("the check is written", lambda: pipeline.checks() != [], every_s=0.05)
    deployment.kill_workers()
    deployment.mlflow.thaw()
    assert pipeline.events("drift") == []
    deployment.start_workers()
    assert_told_once_and_answered_once(pipeline, run_id)


def test_the_workers_are_killed_when_a_dataset_run_has_claimed_its_checks(pipeline: Pipeline, told: set[str]) -> None:
    deployment = pipeline.deployment
    deployment.mlflow.freeze()  # where the task opens a run after the claim
    check = pipeline.confirm()
    pipeline.unpause(pipeline.dataset_dag)
    deployment.wait_until("the claim", lambda: pipeline.answering_run(check) is not None, every_s=0.05)
    deployment.kill_workers()
    deployment.mlflow.thaw()
    deployment.start_workers()
    run_id = assert_answered_by_one_version(pipeline, check, told)
    assert pipeline.working_runs() == [run_id]


def test_the_workers_are_killed_while_traffic_is_collected(pipeline: Pipeline, told: set[str]) -> None:
    deployment = pipeline.deployment
    check = pipeline.confirm()
    with deployment.locked("lock table predictions in access exclusive mode") as holder:
        pipeline.unpause(pipeline.dataset_dag)
        deployment.wait_until("collect_traffic reads the log", lambda: is_waited_for(holder), every_s=0.05)
        deployment.kill_workers()
    deployment.start_workers()
    run_id = assert_answered_by_one_version(pipeline, check, told)
    assert pipeline.working_runs() == [run_id]


def test_the_workers_are_killed_between_a_version_and_its_event(pipeline: Pipeline, told: set[str]) -> None:
    deployment = pipeline.deployment
    check = pipeline.confirm()
    pipeline.unpause(pipeline.dataset_dag)
    deployment.wait_until("the version", lambda: pipeline.versions() != [], every_s=0.02)
    deployment.mlflow.freeze()  # to which the task logs the version before it tells it
    deployment.kill_workers()
    deployment.mlflow.thaw()
    assert pipeline.events("dataset") == []
    deployment.start_workers()
    run_id = assert_answered_by_one_version(pipeline, check, told)
    assert pipeline.working_runs() == [run_id]


def test_a_failed_dataset_run_leaves_its_check_to_a_later_sweep(pipeline: Pipeline, told: set[str]) -> None:
    port = free_port()
    pipeline.set_variable(sources=[{"url": f"http://127.0.0.1:{port}/"}])
    check = pipeline.confirm()
    pipeline.unpause(pipeline.dataset_dag)
    failed = pipeline.wait_for_answer(check)
    assert pipeline.wait_for_end(pipeline.dataset_dag, failed) == "failed"
    assert pipeline.versions() == []
    with running_site(port):
        pipeline.deployment.wait_until("another run", lambda: pipeline.answering_run(check) != failed)
        run_id = assert_answered_by_one_version(pipeline, check, told)
    assert pipeline.working_runs() == [failed, run_id]


def test_a_lost_event_is_made_up_for_by_one_sweep(pipeline: Pipeline, told: set[str]) -> None:
    check = pipeline.confirm()
    pipeline.unpause(pipeline.dataset_dag)
    run_id = assert_answered_by_one_version(pipeline, check, told)
    later = [pipeline.wait_for_sweep() for _ in range(2)]
    states = [pipeline.task_state(pipeline.dataset_dag, sweep, "load_settings") for sweep in later]
    assert states == ["skipped", "skipped"]
    assert pipeline.working_runs() == [run_id]
    assert pipeline.events("drift") == []


def test_a_burst_of_events_is_one_check_a_key_and_each_is_answered_once(pipeline: Pipeline, told: set[str]) -> None:
    """Airflow gives not every event of a burst to a run, so each run reads them all."""
    pipeline.unpause(pipeline.dataset_dag)

    def send(key: str | None) -> None:
        extra = {} if key is None else {"key": key}
        pipeline.send_event("drift", api=AirflowApi(pipeline.deployment.stack.url), **extra)

    sent = ["b", "a", None, "c", "a", None, "b", "c", None, "a"]
    with ThreadPoolExecutor(len(sent)) as clients:
        list(clients.map(send, sent))
    for key in ("c", "a", "b"):
        pipeline.wait_for_check(f"event/{key}")
    send("a")
    runs = [pipeline.wait_for_answer(check) for check in pipeline.checks()]
    assert {pipeline.wait_for_end(pipeline.dataset_dag, run_id) for run_id in runs} == {"success"}
    sweep = pipeline.wait_for_sweep()
    assert pipeline.task_state(pipeline.dataset_dag, sweep, "load_settings") == "skipped"
    assert sorted(check.run for check in pipeline.checks()) == ["event/a", "event/b", "event/c"]
    assert set(pipeline.working_runs()) == set(runs)
    assert [version.number for version in pipeline.versions()] == [1]
    assert [event["version"] for event in pipeline.events("dataset")] == [1]


def test_doubled_and_cleared_checks_are_one_check_a_run_and_one_event(pipeline: Pipeline) -> None:
    pipeline.ask(KNOWN)
    pipeline.ask(NEW)
    pipeline.unpause(pipeline.watch_dag)
    runs = [pipeline.api.trigger(pipeline.watch_dag) for _ in range(2)]
    assert {pipeline.wait_for_end(pipeline.watch_dag, run_id) for run_id in runs} == {"success"}
    checks = pipeline.checks()
    assert sorted(check.run for check in checks) == sorted(f"{pipeline.watch_dag}/{run_id}" for run_id in runs)
    (confirmed,) = (check for check in checks if check.is_confirmed)
    told = pipeline.events("drift")
    assert [event["check"] for event in told] == [confirmed.id]
    run_id = confirmed.run.removeprefix(f"{pipeline.watch_dag}/")
    for _ in range(3):
        pipeline.clear(pipeline.watch_dag, run_id, "drift_check")
        assert pipeline.task_state(pipeline.watch_dag, run_id, "drift_check") == "skipped"
    assert pipeline.checks() == checks
    assert pipeline.events("drift") == told


def test_traffic_like_before_confirms_nothing_and_starts_nothing(pipeline: Pipeline) -> None:
    pipeline.ask(KNOWN)
    pipeline.unpause(pipeline.watch_dag, pipeline.dataset_dag)
    for _ in range(10):
        pipeline.ask(KNOWN)
        pipeline.watch()
    pipeline.wait_for_sweep()
    assert [(check.is_confirmed, check.state == "drifted") for check in pipeline.checks()] == [(False, False)] * 10
    assert pipeline.events("drift") == []
    assert pipeline.working_runs() == []
    assert pipeline.versions() == []


@dataclass(frozen=True)
class WithoutTexts:
    """A drift of traffic whose texts were not kept, with a site that has nothing new either."""

    pipeline: Pipeline
    watch_run: str
    dataset_run: str
    check: Check


@pytest.fixture(scope="module")
def without_texts(deployment: Deployment) -> Iterator[WithoutTexts]:
    """Version 1 was made by hand, which is no reason for this pipeline to train."""
    pipeline = deployment.open()
    pipeline.set_variable(retrain={"on": ["drift"]})
    pipeline.unpause(pipeline.watch_dag, pipeline.dataset_dag)
    first = pipeline.api.trigger(pipeline.dataset_dag)
    assert pipeline.wait_for_end(pipeline.dataset_dag, first) == "success"
    pipeline.ask(KNOWN, keeps_texts=False)
    pipeline.ask(NEW, keeps_texts=False)
    watch_run = pipeline.watch()
    (check,) = pipeline.checks()
    dataset_run = pipeline.wait_for_answer(check)
    assert pipeline.wait_for_end(pipeline.dataset_dag, dataset_run) == "success"
    yield WithoutTexts(pipeline, watch_run, dataset_run, check)
    pipeline.pause()


def test_without_texts_the_drift_is_confirmed_and_everybody_says_it_cannot_be_learned_from(
    without_texts: WithoutTexts,
) -> None:
    pipeline, check = without_texts.pipeline, without_texts.check
    assert (check.state, check.is_confirmed, check.report["learnable"]) == ("drifted", True, False)
    assert [event["learnable"] for event in pipeline.events("drift")] == [False]
    assert "learnable = false" in pipeline.log(pipeline.watch_dag, without_texts.watch_run, "drift_check")
    assert "learnable = false" in pipeline.log(pipeline.dataset_dag, without_texts.dataset_run, "load_settings")
    assert "cannot be learned from" in pipeline.log(pipeline.dataset_dag, without_texts.dataset_run, "collect_traffic")


def test_a_version_that_stays_the_newest_sends_no_event(without_texts: WithoutTexts) -> None:
    pipeline, run_id = without_texts.pipeline, without_texts.dataset_run
    assert pipeline.task_state(pipeline.dataset_dag, run_id, "publish") == "skipped"
    assert "version 1 stays the newest" in pipeline.log(pipeline.dataset_dag, run_id, "publish")
    assert [version.number for version in pipeline.versions()] == [1]
    assert [(event["version"], event["reasons"]) for event in pipeline.events("dataset")] == [(1, ["manual"])]


def test_a_version_nobody_trained_on_is_trained_on_for_a_later_check(without_texts: WithoutTexts) -> None:
    pipeline = without_texts.pipeline
    folder = f"{pipeline.folder.as_uri()}/state/added_reasons"
    assert added_reasons(folder, 1, Storage.local()) == ("drift",)
    pipeline.unpause(pipeline.retrain_dag)
    run_id = pipeline.api.trigger(pipeline.retrain_dag)
    pipeline.wait_for_end(pipeline.retrain_dag, run_id)
    assert pipeline.task_state(pipeline.retrain_dag, run_id, "train") == "success"
    tags = pipeline.tags_of(pipeline.api.xcom(pipeline.retrain_dag, run_id, "train")["version"])
    assert (tags["autoglm.dataset_version"], tags["autoglm.reasons"]) == ("1", "manual,drift")


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the demo wrote of its circle, after it ended without a problem."""
    folder: Path = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MLFLOW"))}
    command = [sys.executable, "-m", "demo", "--exit", "--folder", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["problems"] == []
    return dict(summary["circle"])


def test_the_demo_finds_the_new_area_in_two_checks_and_nothing_before(circle: dict[str, Any]) -> None:
    before, *after = circle["checks"]
    assert before["separation"] < 0.15
    assert [check["separation"] > 0.3 for check in after] == [True, True]
    assert [check["is_confirmed"] for check in (before, *after)] == [False, False, True]


def test_the_demo_learns_the_new_area_from_its_traffic(circle: dict[str, Any]) -> None:
    assert circle["dataset"]["of_the_new_area"] >= 50
    compared = circle["new_area"]
    assert compared["rows"] >= 200
    assert compared["accuracy_after"] > compared["accuracy_before"]
    assert compared["p_value"] < 0.01


def test_in_the_demo_the_champion_goes_back_to_the_check(circle: dict[str, Any]) -> None:
    chain = circle["chain"]
    assert chain["dataset_checks"] == [chain["check"]]
    assert chain["model_tags"]["autoglm.dataset_version"] == str(chain["dataset_version"])
    assert chain["rollout_state"] == "done"
    assert chain["champion"] == chain["model_version"]

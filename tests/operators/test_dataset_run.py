"""The first task of a dataset run, through ``dag.test()``: why it runs, and which checks it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DAG, task

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.corpus.publish.versions import newest_version
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.operators.dataset import _checks_from_outside, load_dataset_settings
from airflow_provider_autoglm.operators.publish import PublishDatasetOperator
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, CheckKind, find_check, read_checks, record_check
from airflow_provider_autoglm.state.routes import Model, read_routes, write_routes
from tests.dags.running import states_after

PIPELINE = "owed"
VARIABLE = {
    "sources": ["https://example.com/"],
    "crawl": {"contact": "crawl@example.org"},
    "labels": [{"name": "a"}, {"name": "b"}],
}


@pytest.fixture
def state(airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    database.migrate()
    connection = {"conn_type": "autoglm_state", "host": database.name}
    monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_STATE", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_VAR_AUTOGLM_OWED", json.dumps({**VARIABLE, "root": f"file://{tmp_path}"}))
    with database.transaction() as connection:
        write_routes(connection, read_routes(database, PIPELINE), champion=Model("1", "runs:/1/model", "sha256:1"))
    yield database
    database.close()


def confirmed(database: Database, run: str, kind: CheckKind = "drift") -> None:
    measured = Check(PIPELINE, kind, run, "drifted", is_confirmed=True, report={"learnable": True})
    record_check(database, measured, lambda check, _earlier, _now: check)


def answered_by(database: Database, run: str, kind: CheckKind = "drift") -> str | None:
    found = find_check(database, PIPELINE, kind, run)
    assert found is not None
    return found.answered_by


def loaded(name: str, *, fails: bool = False) -> dict[str, Any]:
    """What the first task of a run hands to the others; ``fails`` lets one of these fail."""
    runs: list[dict[str, Any]] = []

    @task
    def keep(run: dict[str, Any]) -> None:
        runs.append(run)
        if fails:
            raise ValueError("the run fails")

    with DAG(name, schedule=None) as dag:
        settings: Any = load_dataset_settings(PIPELINE)
        keep(settings["run"])
    assert states_after(dag)["keep"] == ("failed" if fails else "success")
    (run,) = runs
    return run


def test_a_run_by_hand_answers_what_is_owed_and_says_so(state: Database) -> None:
    confirmed(state, "watch/1")
    confirmed(state, "watch/1", "feedback")
    first, second = loaded("own_dataset_1"), loaded("own_dataset_1")
    assert (first["reasons"], len(first["checks"])) == (["drift", "feedback"], 2)
    assert (second["reasons"], second["checks"]) == (["manual"], [])
    assert answered_by(state, "watch/1") == f"own_dataset_1/{first['run_id']}"
    assert answered_by(state, "watch/1", "feedback") == f"own_dataset_1/{first['run_id']}"


def test_what_a_failed_run_has_taken_is_owed_again(state: Database) -> None:
    confirmed(state, "watch/1")
    failed, second = loaded("own_dataset_2", fails=True), loaded("own_dataset_2")
    assert failed["checks"] == second["checks"]
    assert answered_by(state, "watch/1") == f"own_dataset_2/{second['run_id']}"


def test_without_a_champion_the_reason_is_bootstrap(state: Database) -> None:
    with state.transaction() as connection:
        write_routes(connection, read_routes(state, PIPELINE), champion=None)
    assert loaded("own_dataset_3")["reasons"] == ["bootstrap"]


def checks_told(*keys: object) -> list[str]:
    """The runs of the checks that events from outside with these keys become."""
    events: Any = [SimpleNamespace(source_dag_id=None, extra={"key": key}) for key in keys]
    return [check.run for check in _checks_from_outside(PIPELINE, "drift", events)]


def test_events_from_outside_are_checks_by_their_keys() -> None:
    assert checks_told("incident-4711", 4711, "é\n") == ["event/incident-4711", "event/4711", "event/é\n"]
    assert checks_told(None, "", True, 1.5, ["a"], {}) == []


def test_long_keys_of_events_from_outside_are_told_apart(state: Database) -> None:
    runs = checks_told("x" * 1_000 + "1", "x" * 1_000 + "2")
    for run in runs:
        confirmed(state, run)
    assert [answered_by(state, run) for run in runs] == [None, None]
    assert sorted(check.run for check in read_checks(state, PIPELINE)) == sorted(runs)
    assert checks_told("x" * 1_000 + "1") == runs[:1]


@pytest.mark.parametrize(("schedule", "is_start"), [("@quarterly", True), ("@daily", True), ("30 4 * * *", False)])
def test_a_schedule_by_name_is_due_when_airflow_starts_it(
    monkeypatch: pytest.MonkeyPatch, schedule: str, is_start: bool
) -> None:
    monkeypatch.setenv("AIRFLOW__AUTOGLM__DATASET_SCHEDULE", schedule)
    assert configuration.is_due("dataset", datetime(2026, 4, 1, tzinfo=UTC)) is is_start
    assert not configuration.is_due("dataset", datetime(2026, 4, 1, 5, 47, tzinfo=UTC))


def reasons_published(run: dict[str, Any], source: str) -> tuple[list[str], list[int]]:
    """Why the version was made, and for which checks, by what its manifest says."""
    with DAG("own_publication", schedule=None) as dag:
        PublishDatasetOperator(task_id="publish", pipeline=PIPELINE, sources=source, settings={}, run=run)
    assert states_after(dag) == {"publish": "success"}
    newest = newest_version(f"{run['root']}/{PIPELINE}/datasets", Storage.local())
    assert newest is not None
    record = newest.manifest.dataset or {}
    return record["reasons"], record["checks"]


def test_a_run_that_is_cleared_after_another_took_its_checks_over_does_not_answer_them_again(
    state: Database, tmp_path: Path
) -> None:
    confirmed(state, "watch/1")
    failed = loaded("own_dataset_4", fails=True)
    labelled = pa.table({"text": ["a text about tables", "another about the web"], "label": ["a", "b"]})
    source = write_corpus(f"{tmp_path}/label", [labelled], stage="label").uri
    assert reasons_published(failed, source) == (["drift"], failed["checks"])
    loaded("own_dataset_4")
    more = pa.table({"text": ["a third text of its own kind"], "label": ["a"]})
    source = write_corpus(f"{tmp_path}/label-2", [more], stage="label").uri
    assert reasons_published(failed, source) == (["manual"], [])

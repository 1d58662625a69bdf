"""The first task of a dataset run, through ``dag.test()``: why it runs, and which checks it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_autoglm.operators.dataset import load_dataset_settings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, CheckKind, find_check, record_check
from airflow_provider_autoglm.state.routes import Model, read_routes, write_routes
from tests.dags.running import states_after

PIPELINE = "owed"
VARIABLE = {"sources": ["https://example.com/"], "labels": [{"name": "a"}, {"name": "b"}]}


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

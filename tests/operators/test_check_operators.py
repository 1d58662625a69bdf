"""The operators on traffic by themselves, through ``dag.test()``, with a real state and without MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.operators.check import CheckOperator
from airflow_provider_autoglm.operators.drift import DriftCheckOperator
from airflow_provider_autoglm.operators.feedback import FeedbackCheckOperator
from airflow_provider_autoglm.operators.traffic import CollectTrafficOperator
from airflow_provider_autoglm.settings import DriftSettings, FeedbackSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import claim_checks, read_checks
from tests.dags.running import states_after
from tests.monitoring.conftest import ONE, PIPELINE, crown, mixed, say, serve, settings_with


@pytest.fixture
def state(airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    database.migrate()
    connections = {
        "AIRFLOW_CONN_AUTOGLM_STATE": {"conn_type": "autoglm_state", "host": database.name},
        "AIRFLOW_CONN_MLFLOW_DEFAULT": {"conn_type": "mlflow", "host": "http://127.0.0.1:9"},
    }
    for variable, connection in connections.items():
        monkeypatch.setenv(variable, json.dumps(connection))
    yield database
    database.close()


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Any]:
    return {
        "pipeline": PIPELINE,
        "dag_id": "own",
        "run_id": "1",
        "root": f"file://{tmp_path}",
        "folder": f"file://{tmp_path}/run",
    }


def state_after(
    operator: type[CheckOperator], settings: DriftSettings | FeedbackSettings, run: dict[str, Any], number: int
) -> str:
    """How the task ends in the DAG run of that number."""
    with DAG(f"own_{operator.kind}_{Path(run['root']).name}", schedule=None) as dag:
        operator(task_id="check", pipeline=PIPELINE, settings=settings, run={**run, "run_id": str(number)})
    return states_after(dag)["check"]


def test_a_drift_is_told_when_it_is_confirmed_and_only_once(state: Database, run: dict[str, Any]) -> None:
    crown(state, ONE)
    serve(state, mixed(100, "web", "tables"), seed=1)
    assert state_after(DriftCheckOperator, settings_with(), run, 1) == "skipped"
    serve(state, mixed(50, "plots"), seed=2)
    assert state_after(DriftCheckOperator, settings_with(), run, 2) == "skipped"
    serve(state, mixed(50, "plots"), seed=3)
    assert state_after(DriftCheckOperator, settings_with(), run, 3) == "success"
    assert state_after(DriftCheckOperator, settings_with(), run, 3) == "skipped"
    confirmed, *earlier = read_checks(state, PIPELINE, "drift")
    assert confirmed.is_confirmed
    assert [check.is_confirmed for check in earlier] == [False, False]


def test_a_check_that_is_answered_is_not_told_again(state: Database, run: dict[str, Any]) -> None:
    crown(state, ONE)
    say(state, serve(state, mixed(60, "web")), label="web")
    settings = FeedbackSettings(min_rows=50, deadline_s=0)
    assert state_after(FeedbackCheckOperator, settings, run, 1) == "success"
    (claimed,) = claim_checks(state, PIPELINE, "dataset/1", has_failed=lambda _: False)
    assert claimed.kind == "feedback"
    assert state_after(FeedbackCheckOperator, settings, run, 1) == "skipped"


def test_a_confirmed_drift_says_that_it_cannot_be_learned_from(
    state: Database, run: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    crown(state, ONE)
    serve(state, mixed(50, "web"), seed=1)
    serve(state, mixed(50, "plots"), seed=2)
    assert state_after(DriftCheckOperator, settings_with(confirmations=1), run, 1) == "success"
    assert "learnable = false" in capsys.readouterr().out
    assert read_checks(state, PIPELINE)[0].report["learnable"] is False


def collected(run: dict[str, Any], tmp_path: Path) -> Corpus:
    with DAG(f"own_traffic_{tmp_path.name}", schedule=None) as dag:
        CollectTrafficOperator(task_id="collect", settings={}, run=run)
    assert states_after(dag) == {"collect": "success"}
    return Corpus.open(f"{tmp_path}/run/collect_traffic")


def test_traffic_is_collected_by_what_the_frozen_reference_explains(
    state: Database, run: dict[str, Any], tmp_path: Path
) -> None:
    crown(state, ONE)
    serve(state, mixed(50, "web"), seed=1)
    state_after(DriftCheckOperator, settings_with(), run, 1)
    for number in range(30):
        serve(state, ["web"], seed=100 + number, text=f"a page of the web, number {number}")
        serve(state, ["plots"], seed=200 + number, text=f"a plot of numbers, number {number}")
    table = collected(run, tmp_path).to_table()
    assert set(table["source"].to_pylist()) == {"traffic"}
    assert sum("plot" in text for text in table["text"].to_pylist()) > table.num_rows / 2


def test_without_a_state_the_traffic_is_an_empty_corpus(
    airflow_home: Path, run: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert collected(run, tmp_path).rows == 0
    assert "there is no traffic to collect" in caplog.text

"""What DAG files read from `[autoglm]` when they are parsed."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.sdk import AssetOrTimeSchedule
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.assets import drift_asset, feedback_asset
from tests.conftest import REPOSITORY

EITHER = drift_asset("news") | feedback_asset("news")


def test_a_dag_is_woken_by_assets_and_by_each_of_its_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__AUTOGLM__DATASET_SCHEDULE", "0 3 * * *")
    woken = configuration.wake_up(EITHER, "dataset", "dataset_sweep")
    assert isinstance(woken, AssetOrTimeSchedule)
    assert "0 3 * * *" in repr(woken.timetable)
    assert "47 * * * *" in repr(woken.timetable)


def test_without_a_schedule_only_assets_wake_a_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__AUTOGLM__DATASET_SWEEP_SCHEDULE", "")
    assert configuration.wake_up(EITHER, "dataset", "dataset_sweep") is EITHER


def test_a_moment_is_due_if_the_stages_own_schedule_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    three, sweep = datetime(2026, 11, 22, 3, tzinfo=UTC), datetime(2026, 11, 22, 3, 47, tzinfo=UTC)
    assert not configuration.is_due("dataset", three)
    monkeypatch.setenv("AIRFLOW__AUTOGLM__DATASET_SCHEDULE", "0 3 * * *")
    assert configuration.is_due("dataset", three)
    assert not configuration.is_due("dataset", sweep)


@pytest.mark.parametrize("file", sorted((REPOSITORY / "dags").glob("*.py")), ids=lambda file: file.name)
def test_the_fields_of_a_trigger_form_are_of_the_dag_and_not_again_of_each_task(file: Path) -> None:
    (dag,) = (value for name, value in runpy.run_path(str(file)).items() if name.startswith("autoglm_"))
    written = DagSerialization.to_dict(dag)["dag"]
    assert len(written["params"]) == len(dag.params) > 0
    assert all("params" not in task["__var"] for task in written["tasks"])

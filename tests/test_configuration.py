"""What DAG files read from `[autoglm]` when they are parsed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import AssetOrTimeSchedule

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.assets import drift_asset, feedback_asset

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

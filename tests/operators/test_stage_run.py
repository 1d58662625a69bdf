"""What tasks do where the MLflow connection does not exist, and where files must be local."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.operators.stage_run import local_folder, tracker_of
from airflow_provider_autoglm.settings import RunReference


def run_tracked_by(conn_id: str, *, required: bool) -> RunReference:
    return RunReference.parse(
        {
            "pipeline": "default",
            "dag_id": "dag",
            "run_id": "run",
            "root": "file:///data",
            "folder": "file:///data/default/runs/run",
            "tracking": {"conn_id": conn_id, "required": required},
        }
    )


def test_without_a_connection_the_work_goes_on_and_says_so(
    airflow_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert tracker_of(run_tracked_by("no_such_connection", required=False)) is None
    assert "there is no connection no_such_connection; create one of type MLflow" in caplog.text


def test_without_a_connection_that_is_required_the_task_fails_for_good(airflow_home: Path) -> None:
    with pytest.raises(SettingsError, match="there is no connection no_such_connection"):
        tracker_of(run_tracked_by("no_such_connection", required=True))


def test_files_of_a_retry_lie_with_the_run_or_where_that_is_no_folder_on_the_worker(airflow_home: Path) -> None:
    assert local_folder("file:///data/default/runs/run/train/work") == "/data/default/runs/run/train/work"

    folder = local_folder("s3://bucket/default/runs/run/train/work")
    assert Path(folder).parent == airflow_home / "autoglm-work"
    assert folder != local_folder("s3://bucket/default/runs/other/train/work")

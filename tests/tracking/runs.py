"""The DAG run that the tests log: its settings, its tasks and what they did."""

from __future__ import annotations

from typing import Any

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.tracking import ChildRecord, LoggedInput, StageRecord, Tracker

SETTINGS: dict[str, Any] = {"clean": {"languages": ["en", "zh"], "length": {"min": 20}}, "root": "file:///data"}
CRAWL = LoggedInput("crawl", "file:///data/crawl", "c" * 32)
CLEANED = StageRecord(
    stage="clean",
    uri="file:///data/clean",
    digest="d" * 32,
    inputs=(CRAWL,),
    counters={"rows_in": 10, "rows_out": 7, "rejected": 2, "removed": 1, "unchanged": 0},
    metrics={"rejected/too_short": 2.0, "seconds": 1.5},
)


def open_parent(tracker: Tracker, run_id: str = "manual__2026-11-01T00:00:00+00:00") -> str | None:
    return tracker.open_parent("autoglm_dataset_default", run_id, "2026-11-01T00:00:00+00:00", SETTINGS, "5e77")


def open_child(
    tracker: Tracker, parent: str | None, settings: dict[str, Any] | None = None, *, digest: str = "aa", index: int = -1
) -> str | None:
    return tracker.open_child(
        parent,
        name="clean",
        task_id="clean",
        map_index=index,
        settings_digest=digest,
        settings=SETTINGS["clean"] if settings is None else settings,
    )


def child_record(task_id: str = "clean", record: StageRecord | None = CLEANED) -> ChildRecord:
    return ChildRecord(
        name=task_id,
        task_id=task_id,
        map_index=-1,
        settings_digest="aa",
        settings=SETTINGS["clean"],
        record=record,
        status="FAILED" if record is None else "FINISHED",
    )


def runs_of(client: MlflowClient, experiment: str) -> list[Run]:
    """All runs of the experiment, read by a client that knows nothing of ours."""
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))

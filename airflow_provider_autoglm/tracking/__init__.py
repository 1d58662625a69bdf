"""MLflow: runs, lineage and credentials. May import ``exceptions`` and ``settings``; never Airflow."""

from airflow_provider_autoglm.tracking.tracker import (
    ChildRecord,
    LoggedInput,
    RunStatus,
    StageRecord,
    Tracker,
    catch_up,
    log_child,
    run_url,
)

__all__ = [
    "ChildRecord",
    "LoggedInput",
    "RunStatus",
    "StageRecord",
    "Tracker",
    "catch_up",
    "log_child",
    "run_url",
]

"""Settings of MLflow tracking."""

from __future__ import annotations

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings


class TrackingSettings(Settings):
    """Where runs are logged and what happens when MLflow is away."""

    conn_id: str = Field(default="mlflow_default", min_length=1, description="Airflow connection of type `mlflow`.")
    experiment: str = Field(default="", max_length=500, description="Experiment; empty takes `autoglm/<pipeline>`.")
    required: bool = Field(
        default=False, description="Fail a task that cannot log, instead of logging when MLflow is back."
    )

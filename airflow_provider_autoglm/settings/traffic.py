"""Settings of collecting traffic."""

from __future__ import annotations

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings


class TrafficSettings(Settings):
    """What a dataset version takes from the prediction log and from feedback."""

    max_rows: int = Field(
        default=20_000, ge=1, le=1_000_000, description="Newest rows of the log, and of the feedback, that are read."
    )
    sample_rows: int = Field(
        default=500,
        ge=0,
        le=1_000_000,
        description="Documents at most that are drawn from the log, by how little the reference explains them.",
    )

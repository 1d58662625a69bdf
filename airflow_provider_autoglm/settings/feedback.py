"""Settings of feedback checks."""

from __future__ import annotations

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings


class FeedbackSettings(Settings):
    """When labels given by people start a new dataset."""

    min_rows: int = Field(
        default=200,
        ge=1,
        le=100_000_000,
        description="Labelled rows past their deadline that start a dataset and that no confirmed check counted.",
    )
    deadline_s: float = Field(
        default=86_400.0,
        ge=0,
        le=31_536_000,
        description="Seconds after an answer until its label is due; only older answers are counted.",
    )
    cooldown_s: float = Field(
        default=604_800.0,
        ge=0,
        le=31_536_000,
        description="Seconds after a confirmed check in which none is confirmed.",
    )

"""Settings of the retrain policy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings

Reason = Literal["bootstrap", "drift", "feedback", "manual", "schedule"]


class RetrainSettings(Settings):
    """Which dataset versions are trained on."""

    on: tuple[Reason, ...] = Field(
        default=("bootstrap", "drift", "feedback", "manual"),
        min_length=1,
        description="Reasons of a dataset version that start a training; another version is left alone.",
    )

"""Settings of the comparison between challenger and champion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings


class EvaluateSettings(Settings):
    """When a challenger may take the champion's place."""

    metric: Literal["accuracy", "macro_f1"] = Field(
        default="macro_f1", description="What is compared, on the test split of the dataset version."
    )
    min_gain: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="How much better than the champion, or the majority class where there is none, it has to be.",
    )
    min_rows: int = Field(default=20, ge=1, le=1_000_000, description="Labelled rows that the test split needs.")

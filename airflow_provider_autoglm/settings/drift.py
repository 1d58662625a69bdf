"""Settings of drift checks."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from airflow_provider_autoglm.settings.base import Settings


class DriftSettings(Settings):
    """What the traffic is compared with, and when a drift counts."""

    reference: Literal["traffic_baseline", "training"] = Field(
        default="traffic_baseline",
        description="What the champion's traffic is compared with: its first rows as champion, or its training data.",
    )
    baseline_rows: int = Field(
        default=1_000, ge=50, le=100_000, description="Rows that are frozen as the traffic baseline of a champion."
    )
    window_rows: int = Field(default=1_000, ge=50, le=100_000, description="Newest rows that are compared.")
    min_rows: int = Field(
        default=200, ge=50, le=100_000, description="Rows that the window needs; fewer are `insufficient_data`."
    )
    warning: float = Field(default=0.15, ge=0, le=1, description="Score above which a check is a `warning`.")
    threshold: float = Field(
        default=0.3, ge=0, le=1, description="Score above which a check is `drifted`, if it is significant as well."
    )
    max_p_value: float = Field(default=0.01, gt=0, lt=1, description="Largest p-value of a significant drift.")
    confirmations: int = Field(
        default=2, ge=1, le=20, description="Checks in a row that have to be `drifted` to confirm it."
    )
    min_new_rows: int = Field(
        default=200,
        ge=0,
        le=100_000,
        description="Window rows a confirmation needs that no earlier confirmed check counted.",
    )
    cooldown_s: float = Field(
        default=604_800.0,
        ge=0,
        le=31_536_000,
        description="Seconds after a confirmed drift in which none is confirmed.",
    )

    @model_validator(mode="after")
    def _numbers_are_in_order(self) -> Self:
        if self.warning > self.threshold:
            raise ValueError(f"warning ({self.warning:g}) must not be above threshold ({self.threshold:g})")
        if self.min_rows > self.window_rows:
            raise ValueError(f"min_rows ({self.min_rows}) must not be above window_rows ({self.window_rows})")
        if self.min_new_rows > self.window_rows:
            raise ValueError(f"min_new_rows ({self.min_new_rows}) must not be above window_rows ({self.window_rows})")
        return self

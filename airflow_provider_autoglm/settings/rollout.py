"""Settings of a rollout."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

from pydantic import Field, field_validator, model_validator

from airflow_provider_autoglm.settings.base import Settings


class RolloutStep(Settings):
    """One step of a canary: so much traffic for so long."""

    weight_percent: int = Field(ge=1, le=100, description="Share of requests that the challenger is given.")
    bake_s: float = Field(default=600.0, ge=0, le=2_592_000, description="Seconds before the step can be passed.")


class RolloutSettings(Settings):
    """How a challenger is brought to the champion's place, and when it is taken back."""

    state_conn_id: str = Field(
        default="autoglm_state", min_length=1, description="Airflow connection of type `autoglm_state`."
    )
    steps: tuple[RolloutStep, ...] = Field(
        default=(RolloutStep(weight_percent=5), RolloutStep(weight_percent=25), RolloutStep(weight_percent=50)),
        description="Weights in rising order; without steps the challenger is promoted when it is warm.",
    )
    min_requests: int = Field(
        default=800, ge=1, le=100_000_000, description="Requests of its own that a challenger is judged on in a step."
    )
    alpha: float = Field(
        default=0.01, gt=0, lt=0.5, description="Chance that a challenger as good as the champion is rolled back."
    )
    max_step_s: float = Field(
        default=86_400.0,
        gt=0,
        le=2_592_000,
        description="Seconds after which a step with too little traffic is held for a person.",
    )
    warm_timeout_s: float = Field(
        default=900.0, gt=0, le=86_400, description="Seconds in which all gateways have to load the challenger."
    )
    tick_s: float = Field(default=5.0, ge=0.1, le=300, description="Seconds between two looks at a rollout.")
    lease_s: float = Field(
        default=180.0,
        ge=2,
        le=86_400,
        description="Seconds after the last heartbeat until gateways give all traffic back to the champion.",
    )

    @model_validator(mode="after")
    def _steps_can_be_baked(self) -> Self:
        longest = max((step.bake_s for step in self.steps), default=0.0)
        if longest > self.max_step_s:
            raise ValueError(f"a step bakes for {longest:g} s, which max_step_s = {self.max_step_s:g} does not allow")
        return self

    @field_validator("steps")
    @classmethod
    def _weights_rise(cls, value: tuple[RolloutStep, ...]) -> tuple[RolloutStep, ...]:
        if any(later.weight_percent <= earlier.weight_percent for earlier, later in pairwise(value)):
            raise ValueError("the weights of the steps must rise")
        return value

"""Settings of labelling by a language model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from airflow_provider_autoglm.settings.base import Settings


class LlmSettings(Settings):
    """How a language model is asked for labels."""

    conn_id: str = Field(
        default="autoglm_llm", min_length=1, description="Airflow connection of the endpoint: its address and key."
    )
    instructions: str = Field(
        default="", max_length=20_000, description="What the model is told beside the labels and their phrases."
    )
    max_characters: int = Field(
        default=8_000, ge=100, le=1_000_000, description="Characters of a text that are sent; the rest is cut off."
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Requests at once, in each task.")
    timeout_s: float = Field(default=60.0, gt=0, le=600, description="Seconds to wait for one answer.")
    max_attempts: int = Field(
        default=6, ge=1, le=20, description="Requests for one text, with growing pauses between them, before it fails."
    )
    max_tokens_total: int | None = Field(
        default=None, ge=1, description="Tokens, sent and received, that one run's labelling may use; null: no limit."
    )
    max_cost: float | None = Field(
        default=None, gt=0, description="What one run's labelling may cost, by the prices below; null: no limit."
    )
    price_per_million_input: float = Field(
        default=0.0, ge=0, description="Price of a million tokens sent, in the currency of `max_cost`."
    )
    price_per_million_output: float = Field(
        default=0.0, ge=0, description="Price of a million tokens received, in the currency of `max_cost`."
    )

    @model_validator(mode="after")
    def _cost_has_prices(self) -> Self:
        if self.max_cost is not None and not self.price_per_million_input + self.price_per_million_output:
            raise ValueError("max_cost needs price_per_million_input and price_per_million_output")
        return self

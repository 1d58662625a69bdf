"""Settings of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings


class TrainSettings(Settings):
    """How a text classifier is fitted to a dataset version."""

    base_model: str = Field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        min_length=1,
        description="Hugging Face model name or local path; the default is read from the `demo` extra if installed.",
    )
    method: Literal["finetune", "head"] = Field(
        default="finetune",
        description="`finetune`: all weights; `head`: a logistic regression on the frozen encoder, in seconds.",
    )
    epochs: float = Field(default=1.0, gt=0, le=100, description="Passes over the training split (`finetune`).")
    learning_rate: float = Field(default=2e-4, gt=0, le=1, description="Peak learning rate (`finetune`).")
    batch_size: int = Field(
        default=32, ge=1, le=4_096, description="Texts of one optimizer step; halved and accumulated if memory is out."
    )
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="Weight decay (`finetune`).")
    warmup_fraction: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises (`finetune`)."
    )
    max_tokens: int = Field(
        default=128, ge=8, le=8_192, description="Tokens of a text that the model reads, in training and serving."
    )
    max_texts: int | None = Field(
        default=None, ge=2, le=100_000_000, description="Training texts at most, drawn by `doc_id`; unset takes all."
    )
    checkpoint_steps: int = Field(
        default=200, ge=1, le=1_000_000, description="Optimizer steps between checkpoints, which a retry resumes."
    )
    reference_rows: int = Field(
        default=3_000, ge=1, le=3_000, description="Rows (embedding, label) packed with the model for drift checks."
    )
    seed: int = Field(default=42, ge=0, le=2**31 - 1, description="Seed of everything random.")

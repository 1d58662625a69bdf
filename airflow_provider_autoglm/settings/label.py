"""Settings of automatic labelling, and what a label is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings


class LabelDefinition(Settings):
    """A class of the dataset: its name and what its texts are about."""

    name: str = Field(min_length=1, max_length=100, description="Name of the class.")
    phrases: tuple[str, ...] = Field(
        default=(), description="A few phrases that describe its texts; none means the name alone describes it."
    )


class LabelSettings(Settings):
    """How texts are labelled."""

    kind: Literal["embedding"] = Field(
        default="embedding", description="`embedding`: nearest description in the space of a sentence encoder."
    )
    model: str = Field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        min_length=1,
        description="Hugging Face model name or local path; the default is read from the `demo` extra if installed.",
    )
    labels: tuple[LabelDefinition, ...] = Field(
        default=(), description="The classes; in the Variable they come from the key `labels` beside the stages."
    )
    refine: bool = Field(
        default=True, description="Move each label's description to the mean of its confident texts, once."
    )
    refine_texts: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Texts, drawn evenly from the corpus, that the refinement looks at.",
    )
    temperature: float = Field(
        default=0.06, gt=0, le=10, description="Temperature of the softmax over cosine similarities."
    )
    min_score: float = Field(
        default=0.0, ge=0, le=1, description="Score below which a text stays without label (it abstains)."
    )
    max_tokens: int = Field(default=256, ge=8, le=8_192, description="Tokens of a text that the model reads.")
    batch_tokens: int = Field(
        default=2_048, ge=64, le=1_000_000, description="Tokens of one batch, padding included, at most."
    )
    max_rejected_fraction: float = Field(
        default=0.1, ge=0, le=1, description="Share of rows that may be rejected before the stage fails."
    )

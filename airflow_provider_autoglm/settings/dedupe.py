"""Settings of near-duplicate removal."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from airflow_provider_autoglm.settings.base import Settings

_BITS = 64
_ROUNDING = 1e-9


class DedupeSettings(Settings):
    """SimHash or MinHash finds the candidates, Jaccard similarity decides."""

    method: Literal["simhash", "minhash", "both"] = Field(
        default="simhash",
        description="How candidates are found: `minhash` finds more among short and Chinese texts; `both` takes the "
        "candidates of either.",
    )
    similarity: float = Field(
        default=0.85,
        ge=0.75,
        le=1,
        description="Share of equal bits in two 64-bit SimHash fingerprints that makes a candidate: "
        "0.85 allows 9 different bits.",
    )
    min_jaccard: float = Field(
        default=0.5, ge=0, le=1, description="Jaccard similarity of the 4-gram sets that makes a candidate a duplicate."
    )
    keep: Literal["longest", "earliest", "column"] = Field(
        default="longest",
        description="Which of two duplicates stays: the longer text, the one with the earlier `fetched_at`, or the one "
        "with the larger value of `keep_column`; then the smaller `doc_id`. Rows labelled by people come first.",
    )
    keep_column: str | None = Field(
        default=None,
        description="Column of numbers or times for `keep: column`, compared as 64-bit floating-point numbers; rows "
        "without a value come last.",
    )
    max_removed_fraction: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Share of rows that may go for others of the same run before the stage fails.",
    )
    across_runs: bool = Field(
        default=True,
        description="Compare with the documents of earlier runs too; those stay, the new ones go. Documents are stored "
        "for later runs in any case.",
    )
    window_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which documents of earlier runs are forgotten; unset: never.",
    )

    @model_validator(mode="after")
    def _names_the_column(self) -> Self:
        if self.keep == "column" and self.keep_column is None:
            raise ValueError("keep = 'column' needs keep_column")
        return self

    @property
    def max_hamming(self) -> int:
        """Bits that two fingerprints of candidates may differ in."""
        return math.floor((1 - self.similarity) * _BITS + _ROUNDING)

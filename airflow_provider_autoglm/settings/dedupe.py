"""Settings of near-duplicate removal."""

from __future__ import annotations

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings


class DedupeSettings(Settings):
    """SimHash finds the candidates, Jaccard similarity decides."""

    max_hamming: int = Field(
        default=9, ge=0, le=16, description="Bits two 64-bit SimHash fingerprints may differ in to be candidates."
    )
    min_jaccard: float = Field(
        default=0.5, ge=0, le=1, description="Jaccard similarity of the 4-gram sets that makes a candidate a duplicate."
    )
    max_removed_fraction: float = Field(
        default=0.5, ge=0, le=1, description="Share of rows that may be removed before the stage fails."
    )

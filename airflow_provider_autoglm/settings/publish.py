"""Settings of publishing a dataset version."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from airflow_provider_autoglm.settings.base import Settings


class PublishSettings(Settings):
    """What goes into a dataset version and how it is split."""

    labels: tuple[str, ...] = Field(
        default=(), description="Names of the classes; in the Variable they come from the key `labels`."
    )
    title: str = Field(default="", max_length=200, description="Title of the dataset card; empty takes the pipeline.")
    license: str = Field(default="", max_length=100, description="Licence of the texts, for the dataset card.")
    min_class_rows: int = Field(
        default=1, ge=0, le=1_000_000, description="Rows each class needs; 0 allows a class without rows yet."
    )
    test_fraction: float = Field(default=0.1, ge=0, lt=1, description="Share of clusters in the split `test`.")
    validation_fraction: float = Field(
        default=0.1, ge=0, lt=1, description="Share of clusters in the split `validation`."
    )
    split_by: Literal["hash", "time"] = Field(
        default="hash",
        description="How clusters without a split get theirs: `hash`, evenly; `time`, the newest become `test`, those "
        "before them `validation`. A cluster keeps the split it has.",
    )
    window_days: int | None = Field(
        default=None, ge=1, le=36_500, description="Days after which a document is left out; unset keeps all."
    )
    erase_doc_ids: tuple[str, ...] = Field(
        default=(), description="`doc_id`s that no further version carries, e.g. after an erasure request."
    )
    allow_schema_change: bool = Field(
        default=False, description="Publish although columns differ from the previous version's."
    )

    allow_label_change: bool = Field(
        default=False, description="Publish although the names of the classes differ from the previous version's."
    )

    @model_validator(mode="after")
    def _train_keeps_a_share(self) -> Self:
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError("test_fraction and validation_fraction together must be below 1")
        return self

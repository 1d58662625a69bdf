"""All settings of one pipeline: the JSON of the Airflow Variable ``autoglm_<pipeline>``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from airflow_provider_autoglm.settings.base import Settings, refuse_userinfo
from airflow_provider_autoglm.settings.clean import CleanSettings
from airflow_provider_autoglm.settings.crawl import CONTACT_REQUIRED, CrawlSettings
from airflow_provider_autoglm.settings.dedupe import DedupeSettings
from airflow_provider_autoglm.settings.drift import DriftSettings
from airflow_provider_autoglm.settings.evaluate import EvaluateSettings
from airflow_provider_autoglm.settings.feedback import FeedbackSettings
from airflow_provider_autoglm.settings.label import LabelDefinition, LabelSettings, refuse_contradictions
from airflow_provider_autoglm.settings.publish import PublishSettings
from airflow_provider_autoglm.settings.retrain import RetrainSettings
from airflow_provider_autoglm.settings.review import ReviewSettings
from airflow_provider_autoglm.settings.rollout import RolloutSettings
from airflow_provider_autoglm.settings.sources import Source
from airflow_provider_autoglm.settings.tracking import TrackingSettings
from airflow_provider_autoglm.settings.traffic import TrafficSettings
from airflow_provider_autoglm.settings.train import TrainSettings


class PipelineSettings(Settings):
    """One definition of what a pipeline does; every stage takes its own key."""

    sources: tuple[Source, ...] = Field(min_length=1, description="Web sites, files and datasets to read.")
    labels: tuple[LabelDefinition, ...] = Field(
        min_length=2, description="The classes: a name and a few describing phrases each."
    )
    root: str = Field(default="", description="Folder URI of all corpora; empty takes `[autoglm] root`.")
    storage_conn_id: str = Field(default="", description="Airflow connection for `root`; empty for local files.")
    crawl: CrawlSettings = Field(default=CrawlSettings(), description="Crawl.")
    clean: CleanSettings = Field(default=CleanSettings(), description="Cleaning.")
    dedupe: DedupeSettings = Field(default=DedupeSettings(), description="Near-duplicate removal.")
    label: LabelSettings = Field(default=LabelSettings(), description="Automatic labelling.")
    review: ReviewSettings = Field(default=ReviewSettings(), description="Human spot check.")
    publish: PublishSettings = Field(default=PublishSettings(), description="Publishing.")
    traffic: TrafficSettings = Field(default=TrafficSettings(), description="Traffic and feedback as documents.")
    train: TrainSettings = Field(default=TrainSettings(), description="Training.")
    evaluate: EvaluateSettings = Field(default=EvaluateSettings(), description="Challenger against champion.")
    retrain: RetrainSettings = Field(default=RetrainSettings(), description="Which dataset versions are trained on.")
    drift: DriftSettings = Field(default=DriftSettings(), description="Drift checks.")
    feedback: FeedbackSettings = Field(default=FeedbackSettings(), description="Feedback checks.")
    rollout: RolloutSettings = Field(default=RolloutSettings(), description="Rollout.")
    tracking: TrackingSettings = Field(default=TrackingSettings(), description="MLflow tracking.")

    @field_validator("root")
    @classmethod
    def _without_credentials(cls, value: str) -> str:
        return refuse_userinfo(value)

    @field_validator("labels")
    @classmethod
    def _names_differ(cls, value: tuple[LabelDefinition, ...]) -> tuple[LabelDefinition, ...]:
        names = [label.name for label in value]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"label names must differ; repeated: {', '.join(repeated)}")
        return refuse_contradictions(value)

    @model_validator(mode="after")
    def _labels_stand_in_one_place(self) -> Self:
        if self.label.labels or self.publish.labels:
            raise ValueError("set the classes under the key labels, not under label.labels or publish.labels")
        return self

    @model_validator(mode="after")
    def _owners_of_sites_reach_somebody(self) -> Self:
        if not self.crawl.contact and any(source.is_web for source in self.sources):
            raise ValueError(CONTACT_REQUIRED)
        return self

    @model_validator(mode="after")
    def _few_shot_has_examples(self) -> Self:
        if self.label.kind == "few_shot" and not self.label.examples:
            bare = [label.name for label in self.labels if not label.examples]
            if bare:
                raise ValueError(
                    f"label.kind few_shot needs label.examples, or examples of each of labels: {', '.join(bare)}"
                )
        return self

    def effective(self, *, root: str) -> PipelineSettings:
        """The settings as the stages take them: ``labels`` handed to labelling and publishing, ``root`` filled in.

        With a ``publish.window_days`` unchanged pages are emitted: they would fall out of the window otherwise.
        """
        emits = self.crawl.emit_unchanged or self.publish.window_days is not None
        return self.model_copy(
            update={
                "root": self.root or root,
                "crawl": self.crawl.model_copy(update={"emit_unchanged": emits}),
                "label": self.label.model_copy(update={"labels": self.labels}),
                "publish": self.publish.model_copy(update={"labels": tuple(label.name for label in self.labels)}),
            }
        )

"""Settings: one pydantic model a stage, composed into the Airflow Variable. Imports nothing heavy, never Airflow."""

from airflow_provider_autoglm.settings.base import Settings
from airflow_provider_autoglm.settings.clean import CleanSettings, DropLinesRule, RejectRule, ReplaceRule
from airflow_provider_autoglm.settings.crawl import CrawlSettings
from airflow_provider_autoglm.settings.dedupe import DedupeSettings
from airflow_provider_autoglm.settings.drift import DriftSettings
from airflow_provider_autoglm.settings.evaluate import EvaluateSettings
from airflow_provider_autoglm.settings.feedback import FeedbackSettings
from airflow_provider_autoglm.settings.label import LabelDefinition, LabelSettings
from airflow_provider_autoglm.settings.llm import LlmSettings
from airflow_provider_autoglm.settings.pipeline import PipelineSettings
from airflow_provider_autoglm.settings.publish import PublishSettings
from airflow_provider_autoglm.settings.retrain import RetrainSettings
from airflow_provider_autoglm.settings.review import ReviewSettings
from airflow_provider_autoglm.settings.rollout import RolloutSettings, RolloutStep
from airflow_provider_autoglm.settings.run import RunReference
from airflow_provider_autoglm.settings.serving import ServingSettings
from airflow_provider_autoglm.settings.sources import Source
from airflow_provider_autoglm.settings.tracking import TrackingSettings
from airflow_provider_autoglm.settings.traffic import TrafficSettings
from airflow_provider_autoglm.settings.train import TrainSettings

__all__ = [
    "CleanSettings",
    "CrawlSettings",
    "DedupeSettings",
    "DriftSettings",
    "DropLinesRule",
    "EvaluateSettings",
    "FeedbackSettings",
    "LabelDefinition",
    "LabelSettings",
    "LlmSettings",
    "PipelineSettings",
    "PublishSettings",
    "RejectRule",
    "ReplaceRule",
    "RetrainSettings",
    "ReviewSettings",
    "RolloutSettings",
    "RolloutStep",
    "RunReference",
    "ServingSettings",
    "Settings",
    "Source",
    "TrackingSettings",
    "TrafficSettings",
    "TrainSettings",
]

"""Settings: one pydantic model a stage, composed into the Airflow Variable. Imports nothing heavy, never Airflow."""

from airflow_provider_autoglm.settings.base import Settings
from airflow_provider_autoglm.settings.clean import CleanSettings, RejectRule, ReplaceRule
from airflow_provider_autoglm.settings.crawl import CrawlSettings, Source
from airflow_provider_autoglm.settings.dedupe import DedupeSettings
from airflow_provider_autoglm.settings.label import LabelDefinition, LabelSettings
from airflow_provider_autoglm.settings.pipeline import PipelineSettings
from airflow_provider_autoglm.settings.publish import PublishSettings
from airflow_provider_autoglm.settings.run import RunReference
from airflow_provider_autoglm.settings.tracking import TrackingSettings

__all__ = [
    "CleanSettings",
    "CrawlSettings",
    "DedupeSettings",
    "LabelDefinition",
    "LabelSettings",
    "PipelineSettings",
    "PublishSettings",
    "RejectRule",
    "ReplaceRule",
    "RunReference",
    "Settings",
    "Source",
    "TrackingSettings",
]

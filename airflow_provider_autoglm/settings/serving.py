"""Settings of the gateway: read from a file or from ``AUTOGLM_SERVING__<KEY>``; it has no Airflow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings
from airflow_provider_autoglm.settings.run import PIPELINE_NAME


class ServingSettings(Settings):
    """One gateway: it serves one pipeline."""

    pipeline: str = Field(pattern=PIPELINE_NAME, description="Pipeline that is served.")
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65_535, description="Port to listen on; 0 takes any.")
    gateway_id: str = Field(default="", max_length=200, description="Name among the replicas; empty takes host:port.")
    state_url: str = Field(
        default="", description="Database URL of the state without credentials; or give `state_url_file`."
    )
    state_url_file: str = Field(default="", description="File that holds the database URL, credentials included.")
    tracking_uri: str = Field(default="", description="MLflow server that models are downloaded from.")
    cache_dir: str = Field(default="", description="Folder of downloaded models; empty takes the user's cache folder.")
    cache_versions: int = Field(default=5, ge=2, le=1_000, description="Models kept in the cache.")
    spool_dir: str = Field(
        default="", description="Folder of records that wait for the state; empty takes `cache_dir`/spool."
    )
    max_spool_bytes: int = Field(
        default=1024**3, ge=0, description="Bytes of records that may wait for the state; more are dropped."
    )
    poll_s: float = Field(default=1.0, gt=0, le=1, description="Seconds between two looks at the routes.")
    request_timeout_s: float = Field(default=10.0, gt=0, le=600, description="Seconds in which a model has to answer.")
    load_timeout_s: float = Field(
        default=120.0, gt=0, le=3_600, description="Seconds in which a model has to be loaded and warm."
    )
    max_queue: int = Field(default=64, ge=1, le=100_000, description="Requests that wait for a model; more are 429.")
    max_texts: int = Field(default=64, ge=1, le=10_000, description="Texts of one request.")
    max_body_bytes: int = Field(default=4 * 1024**2, ge=1_024, le=1024**3, description="Bytes of one request.")
    breaker_failures: int = Field(
        default=3, ge=1, le=1_000, description="Failures in a row that take a challenger out of traffic."
    )
    log_text: Literal["none", "sample", "full", "hash"] = Field(
        default="none", description="What the prediction log keeps of a text; `sample` keeps `log_sample_fraction`."
    )
    log_sample_fraction: float = Field(default=0.1, ge=0, le=1, description="Share of texts kept under `sample`.")

"""What ``load_settings`` hands to the tasks of one DAG run, beside the settings of their stage."""

from __future__ import annotations

from pydantic import Field

from airflow_provider_autoglm.settings.base import Settings
from airflow_provider_autoglm.settings.tracking import TrackingSettings

PIPELINE_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"
"""What may name a pipeline: it is part of DAG ids and paths."""


class RunReference(Settings):
    """References only: where the run writes, where it logs, and what it recomputes."""

    pipeline: str = Field(min_length=1, pattern=PIPELINE_NAME, description="Name of the pipeline.")
    dag_id: str = Field(description="DAG of the run.")
    run_id: str = Field(description="DAG run.")
    logical_date: str = Field(default="", description="Logical date, ISO 8601; empty for a run without one.")
    root: str = Field(description="Folder URI of all corpora.")
    folder: str = Field(description="Folder URI of this run: `<root>/<pipeline>/runs/<run id>`.")
    storage_conn_id: str = Field(default="", description="Airflow connection for `root`.")
    mlflow_run_id: str | None = Field(default=None, description="Parent run; null while MLflow is away.")
    tracking: TrackingSettings = Field(default=TrackingSettings(), description="MLflow tracking.")
    state_conn_id: str = Field(default="autoglm_state", description="Airflow connection of the state.")
    force_stages: tuple[str, ...] = Field(default=(), description="Stages that recompute a committed corpus.")
    reasons: tuple[str, ...] = Field(default=(), description="Why the run was started; travels with the asset event.")
    checks: tuple[int, ...] = Field(default=(), description="Confirmed checks that the run answers.")
    settings_digest: str = Field(default="", description="Digest of the pipeline's effective settings.")
    documents_digest: str = Field(
        default="", description="Digest of those that decide what becomes of a page: clean, dedupe and label."
    )

    def destination(self, stage: str) -> str:
        """Where ``stage`` writes in this run."""
        return f"{self.folder}/{stage}"

    @property
    def datasets(self) -> str:
        """Folder URI of the pipeline's dataset versions."""
        return f"{self.root}/{self.pipeline}/datasets"

    @property
    def retrains(self) -> str:
        """Folder URI of the claims on dataset versions, one file a version."""
        return f"{self.root}/{self.pipeline}/state/retrains"

    @property
    def added_reasons(self) -> str:
        """Folder URI of reasons that a dataset version was given after it was published."""
        return f"{self.root}/{self.pipeline}/state/added_reasons"

    @property
    def references(self) -> str:
        """Folder URI of what drift checks compare with, one corpus a version and kind."""
        return f"{self.root}/{self.pipeline}/state/references"

    @property
    def kept_documents(self) -> str:
        """Folder URI of what de-duplication remembers of the documents it has kept, one corpus a run."""
        return f"{self.root}/{self.pipeline}/state/dedupe"

    @property
    def known_pages(self) -> str:
        """Folder URI of what crawls saw of each page, one corpus a run."""
        return f"{self.root}/{self.pipeline}/state/crawl"

    @property
    def label_answers(self) -> str:
        """Folder URI of what language models have answered, so that no text is paid for twice."""
        return f"{self.root}/{self.pipeline}/state/label"

    @property
    def key(self) -> str:
        """The DAG run, as claims and rollouts name it."""
        return f"{self.dag_id}/{self.run_id}"

"""One task's share of a DAG run: its destination, its storage and its MLflow child run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from airflow.configuration import AIRFLOW_HOME
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_autoglm.corpus.lineage import child_record, stage_record
from airflow_provider_autoglm.corpus.manifest import digest_of, read_manifest
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import SettingsError, TrackingUnavailableError
from airflow_provider_autoglm.hooks.mlflow import MlflowHook
from airflow_provider_autoglm.hooks.storage import storage_for
from airflow_provider_autoglm.settings import RunReference
from airflow_provider_autoglm.tracking import StageRecord, Tracker, log_child

log = logging.getLogger(__name__)

_UNMAPPED = -1


class _Task(Protocol):
    task_id: str
    mlflow_run_url: str | None


def tracker_of(run: RunReference) -> Tracker | None:
    """The tracker of a run, or None with a warning if its connection does not exist.

    :raises SettingsError: if it does not exist and ``tracking.required`` is set.
    """
    conn_id = run.tracking.conn_id
    try:
        return MlflowHook(conn_id).get_tracker(run.pipeline, run.tracking)
    except AirflowNotFoundException:
        message = f"tracking.conn_id: there is no connection {conn_id}; create one of type MLflow"
        if run.tracking.required:
            raise SettingsError([message]) from None
        log.warning("%s; going on without MLflow", message)
        return None


def local_folder(uri: str) -> str:
    """The path of a folder whose files must be local: its own, or one of this worker if it lies on object storage."""
    local = Storage.local()
    if as_uri(uri).startswith(local.root):
        return local.path(uri)
    return worker_folder(digest_of(as_uri(uri)))


def worker_folder(name: str) -> str:
    """The path of a folder for what this worker keeps for itself."""
    return os.path.join(AIRFLOW_HOME, "autoglm-work", name)


class StageRun:
    """Opens the task's MLflow child run on entry and closes it on exit.

    A mapped task instance logs nothing: the join that follows writes one child run for all parts. Nor does anything
    while MLflow is away: the run's last task logs from the manifests.

    :raises SettingsError: on asking for a destination if neither one nor a run that implies one is given.
    """

    def __init__(
        self, task: _Task, context: Context, run: RunReference | None, stage: str, settings: Mapping[str, Any]
    ) -> None:
        self.run = run
        self._task = task
        self._context = context
        self._stage = stage
        self._settings = dict(settings)
        self._is_mapped = context["ti"].map_index not in (_UNMAPPED, None)
        self._tracker: Tracker | None = None
        self._child_run_id: str | None = None
        self.storage = Storage.local() if run is None else storage_for(run.root, run.storage_conn_id)

    def __enter__(self) -> Self:
        run = self.run
        if run is None or run.mlflow_run_id is None or self._is_mapped:
            return self
        self._tracker = tracker_of(run)
        if self._tracker is not None:
            self._child_run_id = self._tracker.open_child(
                run.mlflow_run_id,
                name=self._stage,
                task_id=self._task.task_id,
                map_index=_UNMAPPED,
                settings_digest=digest_of(self._settings),
                settings=self._settings,
            )
            if self._child_run_id is not None:
                self._task.mlflow_run_url = self._tracker.run_url(self._child_run_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tracker is not None and self._child_run_id is not None:
            self._tracker.close(self._child_run_id, "FINISHED" if error is None else "FAILED")

    @property
    def provenance(self) -> Provenance:
        """What the manifest says of this task."""
        if self.run is None:
            return Provenance()
        return Provenance(
            pipeline=self.run.pipeline,
            mlflow_run_id=self._child_run_id,
            force=self.is_forced(self._stage),
            reasons=self.run.reasons,
            checks=self.run.checks,
        )

    def is_forced(self, stage: str) -> bool:
        """Whether the run recomputes ``stage`` although its corpus is committed."""
        return self.run is not None and stage in self.run.force_stages

    @property
    def as_of(self) -> datetime:
        """The time that orders the DAG run among others: its logical date, else when it was to run.

        Neither changes with a retry or when a task is cleared.
        """
        dag_run = self._context["dag_run"]
        return dag_run.logical_date or dag_run.run_after

    def destination(self, given: str | None) -> str:
        """The given destination, or the stage's folder in the run."""
        if given:
            return given
        if self.run is None:
            raise SettingsError([f"{self._stage}: set destination=, or run= from load_settings, which implies one"])
        return self.run.destination(self._stage)

    @property
    def is_logged(self) -> bool:
        """Whether there is a child run to log to."""
        return self._child_run_id is not None

    @property
    def mlflow_run_id(self) -> str:
        """The child run, for a task that cannot do without.

        :raises TrackingUnavailableError: if there is none.
        """
        if self._child_run_id is None:
            address = "the connection" if self._tracker is None else self._tracker.client.tracking_uri
            raise TrackingUnavailableError(address, f"{self._stage} needs a run to log to")
        return self._child_run_id

    @property
    def work_dir(self) -> str:
        """Folder for what a retry takes up again; see :func:`local_folder`."""
        return local_folder(f"{self.destination(None)}/work")

    def log_corpus(self, uri: str) -> None:
        """Log counters, rates and lineage from the manifest of a committed corpus."""
        self.log_record(stage_record(uri, read_manifest(uri, self.storage)))

    def log_corpus_apart(self, uri: str) -> None:
        """Log a corpus that the task has committed beside its own in a child run of its own."""
        if self._tracker is not None and self.run is not None and self.run.mlflow_run_id is not None:
            record = child_record(self._task.task_id, uri, read_manifest(uri, self.storage))
            log_child(self._tracker, self.run.mlflow_run_id, record)

    def log_report(self, name: str, report: Mapping[str, Any]) -> None:
        """Keep a JSON document with the child run, if the task has one."""
        if self._tracker is not None:
            self._tracker.log_report(self._child_run_id, name, report)

    def log_page(self, name: str, html: str) -> None:
        """Keep an HTML page with the child run, if the task has one."""
        if self._tracker is not None:
            self._tracker.log_page(self._child_run_id, name, html)

    def log_record(self, record: StageRecord) -> None:
        """Log what the task did to its child run, if it has one."""
        if self._tracker is not None and self._child_run_id is not None:
            self._tracker.log_stage(self._child_run_id, record)

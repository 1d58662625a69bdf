"""MLflow runs of a pipeline: one parent a DAG run, one child a task, lineage by corpus digest.

Everything is found again by tags, so that retries, cleared runs and the catch-up continue what is there.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeVar

from mlflow.entities import Experiment, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from airflow_provider_autoglm.exceptions import TrackingUnavailableError
from airflow_provider_autoglm.tracking import values
from airflow_provider_autoglm.tracking.server import SERVER_ERRORS, check_reachable, explain, set_client_defaults

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_log = logging.getLogger(__name__)

_ROLE = "autoglm.role"
_SETTINGS_DIGEST = "autoglm.settings_digest"
_OUTPUT_DIGEST = "autoglm.output_digest"
_DATASET_VERSION = "autoglm.dataset_version"
_PARAMETERS_A_REQUEST = 100


class LoggedInput(NamedTuple):
    """A corpus that a stage read."""

    name: str
    uri: str
    digest: str


@dataclass(frozen=True)
class StageRecord:
    """What a stage did, as its manifest tells it: rows by ``counters``, rates and seconds by ``metrics``.

    ``dataset_version`` is set for a published dataset.
    """

    stage: str
    uri: str
    digest: str
    inputs: tuple[LoggedInput, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    dataset_version: int | None = None


@dataclass(frozen=True)
class ChildRecord:
    """A task's run to catch up; ``record`` is None when the stage committed nothing."""

    name: str
    task_id: str
    map_index: int
    settings_digest: str
    settings: Mapping[str, Any]
    record: StageRecord | None
    status: RunStatus = "FINISHED"


def run_url(tracking_uri: str, experiment_id: str, run_id: str) -> str:
    """Where MLflow's UI shows the run."""
    return f"{tracking_uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def _survives_an_outage(
    method: Callable[Concatenate[Tracker, _P], _T],
) -> Callable[Concatenate[Tracker, _P], _T | None]:
    @functools.wraps(method)
    def surviving(self: Tracker, /, *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        return self._attempt(lambda: method(self, *args, **kwargs))

    return surviving


class Tracker:
    """Log to one experiment, and let the work go on without MLflow.

    When the server is away or refuses, one warning is logged, the tracker is down for its lifetime and every method
    returns None: the manifests keep the records until :func:`catch_up`. A run id of None is passed over in silence,
    since that is what a method returned before.

    :param client: A client with an explicit tracking URI.
    :param experiment: Name of the experiment; created, or restored from the trash, when needed.
    :param required: Raise :class:`TrackingUnavailableError` instead of going on.
    """

    def __init__(self, client: MlflowClient, experiment: str, *, required: bool = False) -> None:
        set_client_defaults()
        self.client = client
        self.experiment = experiment
        self.required = required
        self._down: TrackingUnavailableError | None = None

    @property
    def is_down(self) -> bool:
        """Whether a request failed; nothing more is tried."""
        return self._down is not None

    @_survives_an_outage
    def open_parent(
        self, dag_id: str, run_id: str, logical_date: str, settings: Mapping[str, Any], settings_digest: str
    ) -> str:
        """Find or create the run of a DAG run, set it running, and keep ``settings`` as its artifact."""
        more = {"airflow.logical_date": logical_date, _SETTINGS_DIGEST: settings_digest}
        run = self._find_or_create(run_id, _parent_key(dag_id, run_id), more)
        self._reopen(run, settings, settings_digest)
        return str(run.info.run_id)

    @_survives_an_outage
    def open_child(
        self,
        parent_run_id: str | None,
        *,
        name: str,
        task_id: str,
        map_index: int,
        settings_digest: str,
        settings: Mapping[str, Any],
    ) -> str | None:
        """Find or create the run of a task with these settings, set it running, and log its parameters once."""
        if parent_run_id is None:
            return None
        run = self._find_or_create(name, _child_key(parent_run_id, task_id, map_index, settings_digest), {})
        self._reopen(run, settings, settings_digest)
        missing = [item for item in values.parameters(settings) if item.key not in run.data.params]
        for start in range(0, len(missing), _PARAMETERS_A_REQUEST):
            self.client.log_batch(run.info.run_id, params=missing[start : start + _PARAMETERS_A_REQUEST])
        return str(run.info.run_id)

    @_survives_an_outage
    def log_stage(self, run_id: str | None, record: StageRecord) -> None:
        """Log counters, metrics, the output as tags and the inputs as lineage. Again with the same: no change.

        A published dataset is logged as a dataset too: ``dataset.digest = '…'`` in MLflow's search finds this run and
        all that read it.
        """
        if run_id is None:
            return
        tags = {"autoglm.stage": record.stage, "autoglm.output_uri": record.uri, _OUTPUT_DIGEST: record.digest}
        inputs = [values.dataset_input(*item, context=record.stage) for item in record.inputs]
        if record.dataset_version is not None:
            tags[_DATASET_VERSION] = str(record.dataset_version)
            name = f"{self.experiment}/v{record.dataset_version}"
            inputs.append(values.dataset_input(name, record.uri, record.digest, context="published"))
        self._log(run_id, {**record.counters, **record.metrics}, tags)
        if inputs:
            self.client.log_inputs(run_id, inputs)

    @_survives_an_outage
    def log_report(self, run_id: str | None, name: str, report: Mapping[str, Any]) -> None:
        """Keep a JSON document as the artifact ``name`` of a run."""
        if run_id is not None:
            self.client.log_dict(run_id, dict(report), name)

    @_survives_an_outage
    def log_page(self, run_id: str | None, name: str, html: str) -> None:
        """Keep an HTML page as the artifact ``name`` of a run, which MLflow's UI shows."""
        if run_id is not None:
            self.client.log_text(run_id, html, name)

    @_survives_an_outage
    def close(self, run_id: str | None, status: RunStatus) -> None:
        """End the run, unless it has ended like this already."""
        if run_id is not None and self.client.get_run(run_id).info.status != status:
            self.client.set_terminated(run_id, status)

    @_survives_an_outage
    def find_parent(self, dag_id: str, run_id: str, status: RunStatus) -> str | None:
        """The run of a DAG run, if it has ended with ``status``."""
        run = self._find(_parent_key(dag_id, run_id))
        return str(run.info.run_id) if run is not None and run.info.status == status else None

    @_survives_an_outage
    def has_logged(self, parent_run_id: str, child: ChildRecord) -> bool:
        """Whether the child's run has ended with the child's status and output."""
        key = _child_key(parent_run_id, child.task_id, child.map_index, child.settings_digest)
        run = self._find(key)
        if run is None or run.info.status != child.status:
            return False
        return child.record is None or run.data.tags.get(_OUTPUT_DIGEST) == child.record.digest

    @_survives_an_outage
    def close_children(self, parent_run_id: str) -> None:
        """End as killed what still runs below a parent: tasks that died without a retry."""
        below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = {values.quoted(parent_run_id)} and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([self._experiment_id], below):
            self.client.set_terminated(run.info.run_id, "KILLED")

    @_survives_an_outage
    def run_url(self, run_id: str | None) -> str | None:
        """Where MLflow's UI shows the run."""
        return run_id and run_url(self.client.tracking_uri, self._experiment_id, run_id)

    def _attempt(self, work: Callable[[], _T]) -> _T | None:
        if self._down is None:
            try:
                check_reachable(self.client.tracking_uri)
                return work()
            except SERVER_ERRORS as error:
                self._down = explain(self.client.tracking_uri, error)
                if not self.required:
                    _log.warning("%s; going on without it, the manifests keep what is logged later", self._down)
        if self.required:
            raise self._down
        return None

    @functools.cached_property
    def _experiment_id(self) -> str:
        found = self.client.get_experiment_by_name(self.experiment) or self._create_experiment()
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _create_experiment(self) -> Experiment:
        try:
            return self.client.get_experiment(self.client.create_experiment(self.experiment))
        except MlflowException as error:
            found = self.client.get_experiment_by_name(self.experiment)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                raise
            return found

    def _find(self, key: Mapping[str, str]) -> Run | None:
        filter_string = " and ".join(f"tags.`{tag}` = {values.quoted(value)}" for tag, value in key.items())
        found = self.client.search_runs([self._experiment_id], filter_string)
        return min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)

    def _find_or_create(self, name: str, key: Mapping[str, str], more: Mapping[str, str]) -> Run:
        found = self._find(key)
        if found is not None:
            return found
        created = self.client.create_run(self._experiment_id, tags={**key, **more}, run_name=name)
        # Two attempts at once have both found nothing: all settle on the oldest run.
        oldest = self._find(key) or created
        if oldest.info.run_id != created.info.run_id:
            self.client.delete_run(created.info.run_id)
        return oldest

    def _reopen(self, run: Run, settings: Mapping[str, Any], settings_digest: str) -> None:
        if run.info.status != "RUNNING":
            self.client.update_run(run.info.run_id, status="RUNNING")
        text = json.dumps(values.without_credentials(settings), indent=2, ensure_ascii=False)
        self.client.log_text(run.info.run_id, text, f"settings/{settings_digest}.json")

    def _log(self, run_id: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        known = self.client.get_run(run_id).data.metrics
        run_tags = [RunTag(tag, str(values.without_credentials(value))) for tag, value in tags.items()]
        self.client.log_batch(run_id, metrics=values.metrics(metrics, known), tags=run_tags)


def catch_up(
    tracker: Tracker,
    *,
    dag_id: str,
    run_id: str,
    logical_date: str,
    settings: Mapping[str, Any],
    settings_digest: str,
    children: Sequence[ChildRecord],
    status: RunStatus,
) -> str | None:
    """Log whatever of a finished DAG run MLflow does not hold yet, and close its parent with ``status``.

    Again with the same: no change. Returns the parent's run id, or None when MLflow is (still) away.
    """
    parent = tracker.find_parent(dag_id, run_id, status) or tracker.open_parent(
        dag_id, run_id, logical_date, settings, settings_digest
    )
    if parent is None:
        return None
    for child in children:
        if not tracker.has_logged(parent, child):
            log_child(tracker, parent, child)
    tracker.close_children(parent)
    tracker.close(parent, status)
    return None if tracker.is_down else parent


def log_child(tracker: Tracker, parent: str, child: ChildRecord) -> None:
    """Open the child's run, log its record, if it has one, and end it. Again with the same: no change."""
    run_id = tracker.open_child(
        parent,
        name=child.name,
        task_id=child.task_id,
        map_index=child.map_index,
        settings_digest=child.settings_digest,
        settings=child.settings,
    )
    if child.record is not None:
        tracker.log_stage(run_id, child.record)
    tracker.close(run_id, child.status)


def _parent_key(dag_id: str, run_id: str) -> dict[str, str]:
    return {_ROLE: "parent", "airflow.dag_id": dag_id, "airflow.run_id": run_id}


def _child_key(parent_run_id: str, task_id: str, map_index: int, settings_digest: str) -> dict[str, str]:
    return {
        MLFLOW_PARENT_RUN_ID: parent_run_id,
        _ROLE: "child",
        "airflow.task_id": task_id,
        "airflow.map_index": str(map_index),
        _SETTINGS_DIGEST: settings_digest,
    }

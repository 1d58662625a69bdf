"""The first and the last task of a DAG run: settings read and checked, and the run's end logged."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from airflow.sdk import Context, Variable, get_current_context, task
from airflow.sdk.exceptions import AirflowRuntimeError

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.exceptions import AutoGLMError, SettingsError
from airflow_provider_autoglm.operators.base import airflow_errors
from airflow_provider_autoglm.settings import PipelineSettings, RunReference
from airflow_provider_autoglm.settings.base import unknown_key

log = logging.getLogger(__name__)

_FAILED_STATES = ("failed", "upstream_failed")


@dataclass(frozen=True)
class RunSettings:
    """The Variable as it stands, the trigger form applied, and what it means for this DAG run."""

    settings: PipelineSettings
    effective: dict[str, Any]
    reference: RunReference

    @classmethod
    def read(cls, pipeline: str, context: Context) -> Self:
        """Read the Variable ``autoglm_<pipeline>`` and check it.

        :raises SettingsError: if it is not there, or a key or value is refused.
        """
        path = f"autoglm_{pipeline}"
        _refuse_unknown_fields(context)
        values = _with_overrides(_read_variable(path), context["params"])
        settings = PipelineSettings.parse(values, path=path).effective(root=configuration.root())
        effective = settings.model_dump(mode="json")
        return cls(settings, effective, _reference(pipeline, settings, effective, context))

    def open(self, reference: RunReference) -> dict[str, Any]:
        """Open the parent run in MLflow; returns what the other tasks take, one key a stage and ``run``."""
        from airflow_provider_autoglm.operators.stage_run import tracker_of

        tracker = tracker_of(reference)
        if tracker is not None:
            run = reference
            parent = tracker.open_parent(run.dag_id, run.run_id, run.logical_date, self.effective, run.settings_digest)
            reference = run.model_copy(update={"mlflow_run_id": parent})
        return {**self.effective, "run": reference.model_dump(mode="json")}


@task(multiple_outputs=True)
def load_settings(pipeline: str) -> dict[str, Any]:
    """Read the Variable ``autoglm_<pipeline>``, apply the trigger form, and open the parent run in MLflow.

    Returns the effective settings, one key a stage, and under ``run`` what the other tasks need to know of the run.
    """
    context = get_current_context()
    with airflow_errors():
        run = RunSettings.read(pipeline, context)
        return run.open(run.reference.model_copy(update={"reasons": reasons_of(run.reference, context)}))


@task(trigger_rule="all_done")
def finish_run(
    settings: Mapping[str, Any], corpora: Mapping[str, Any], stages: Mapping[str, Sequence[str]] | None = None
) -> str | None:
    """Log what MLflow missed while it was away and end the parent run with the DAG run's state.

    :param settings: what ``load_settings`` returned.
    :param corpora: what each task returned that committed a corpus, by task id.
    :param stages: of each task that returns something else the folders of the run in which it may have committed a
        corpus, by task id.
    """
    from airflow_provider_autoglm.corpus.lineage import FinishedRun, keep_for_later, log_finished_run
    from airflow_provider_autoglm.hooks.storage import storage_for
    from airflow_provider_autoglm.operators.stage_run import tracker_of

    if not settings:
        log.info("load_settings was skipped or has not finished: there is no run to log")
        return None
    with airflow_errors():
        run = RunReference.parse(settings["run"], path="run")
        returned = {task_id: uri for task_id, value in corpora.items() if (uri := _new_corpus(value))}
        others = {task_id: tuple(map(run.destination, folders)) for task_id, folders in (stages or {}).items()}
        finished = FinishedRun(
            run=run,
            settings={key: value for key, value in settings.items() if key != "run"},
            corpora={**returned, **others},
            status="FAILED" if _has_failed(get_current_context()) else "FINISHED",
        )
        storage = storage_for(run.root, run.storage_conn_id)
        tracker = tracker_of(run)
        parent = None if tracker is None else log_finished_run(tracker, finished, storage)
        if parent is None:
            uri = keep_for_later(finished, storage)
            log.warning("MLflow is away; `airflow autoglm gc %s` logs the run later, from %s", run.pipeline, uri)
    return parent


def _refuse_unknown_fields(context: Context) -> None:
    """A misspelt field of the run's configuration must not be passed over: the run would not do what was meant."""
    fields = list(context["dag"].params)
    unknown = [name for name in context["dag_run"].conf or {} if name not in fields]
    if unknown:
        raise SettingsError([f"run configuration: {unknown_key(name, fields)}" for name in unknown])


def _read_variable(name: str) -> dict[str, Any]:
    try:
        text = Variable.get(name)
    except AirflowRuntimeError:
        raise SettingsError([f"the Variable {name} is not set; create it under Admin → Variables as JSON"]) from None
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError([f"the Variable {name} is no JSON: {error}"]) from None
    if not isinstance(values, dict):
        raise SettingsError([f"the Variable {name} must be a JSON object with the keys sources and labels"])
    return values


def _with_overrides(values: dict[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    overridden = values
    for key, value in params.items():
        if "." in key and value is not None:
            overridden = _with_value(overridden, key.split("."), value, form_field=key)
    return overridden


def _with_value(values: Mapping[str, Any], path: Sequence[str], value: Any, *, form_field: str) -> dict[str, Any]:
    name, *rest = path
    if not rest:
        return {**values, name: value}
    given = values.get(name, {})
    if not isinstance(given, Mapping):
        raise SettingsError([f"the trigger form sets {form_field}, but {name} is no object in the Variable"])
    return {**values, name: _with_value(given, rest, value, form_field=form_field)}


def reasons_of(run: RunReference, context: Context) -> tuple[str, ...]:
    """Why a run was started: ``bootstrap`` while the state knows no champion, else how the DAG run was started."""
    from airflow_provider_autoglm.operators.serving_state import state_of
    from airflow_provider_autoglm.state.routes import read_routes

    database = state_of(run)
    try:
        if database is not None and read_routes(database, run.pipeline).champion is None:
            return ("bootstrap",)
    except AutoGLMError as error:
        log.warning("%s; whether there is a champion is not known", error)
    return ("manual",) if context["dag_run"].run_type == "manual" else ("schedule",)


def _reference(pipeline: str, settings: PipelineSettings, effective: dict[str, Any], context: Context) -> RunReference:
    from airflow_provider_autoglm.corpus.manifest import digest_of
    from airflow_provider_autoglm.corpus.storage import as_uri
    from airflow_provider_autoglm.hooks.storage import storage_for

    dag_run = context["dag_run"]
    root = as_uri(settings.root)
    storage_for(root, settings.storage_conn_id).ensure_usable(root)
    return RunReference.parse(
        {
            "pipeline": pipeline,
            "dag_id": dag_run.dag_id,
            "run_id": dag_run.run_id,
            "logical_date": dag_run.logical_date.isoformat() if dag_run.logical_date else "",
            "root": root,
            "folder": f"{root}/{pipeline}/runs/{folder_name(dag_run.run_id)}",
            "storage_conn_id": settings.storage_conn_id,
            "tracking": settings.tracking,
            "state_conn_id": settings.rollout.state_conn_id,
            "force_stages": tuple(context["params"].get("force_stages") or ()),
            "settings_digest": digest_of(effective),
            "documents_digest": digest_of([effective[stage] for stage in ("clean", "dedupe", "label")]),
        },
        path="run",
    )


def folder_name(run_id: str) -> str:
    """The run id where it can name a folder; else something like it, with a digest that keeps two runs apart."""
    from airflow_provider_autoglm.corpus.manifest import digest_of

    name = re.sub(r"^\.|[^A-Za-z0-9_.:+-]", "_", run_id)
    return name if name == run_id else f"{name}-{digest_of(run_id)[:8]}"


def _new_corpus(value: Any) -> str | None:
    """The corpus that a task has committed; a dataset version that was there before is none."""
    if isinstance(value, dict):
        return str(value["uri"]) if value["has_news"] else None
    return value or None


def _has_failed(context: Context) -> bool:
    dag_run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])
    return any(state in _FAILED_STATES for state in states[dag_run.run_id].values())

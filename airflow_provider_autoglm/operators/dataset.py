"""The first task of a dataset run: why it runs, and which confirmed checks it answers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Context, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.assets import drift_asset, feedback_asset
from airflow_provider_autoglm.operators.base import airflow_errors
from airflow_provider_autoglm.operators.run import RunSettings, reasons_of

if TYPE_CHECKING:
    from airflow.sdk.execution_time.comms import AssetEventResult

    from airflow_provider_autoglm.state import Database
    from airflow_provider_autoglm.state.checks import Check, CheckKind

log = logging.getLogger(__name__)

_BY_HAND = ("manual", "backfill")
_LONGEST_KEY = 200
_HEARD_FOR = timedelta(days=1)
_EVENTS = 200


def load_dataset_settings(pipeline: str) -> Any:
    """The first task of a dataset run: :func:`load_settings`, which also reads what other monitors have told."""
    return load_settings.override(inlets=[drift_asset(pipeline), feedback_asset(pipeline)])(pipeline)


@task(multiple_outputs=True)
def load_settings(pipeline: str) -> dict[str, Any]:
    """Read the settings and claim the confirmed checks that nobody has answered; skipped if there is nothing to do.

    A run that an event or the sweep has started makes a dataset only if a check is owed one. Returns what
    :func:`airflow_provider_autoglm.operators.run.load_settings` returns; ``run`` names the ``reasons`` and the
    ``checks`` that were claimed.
    """
    from airflow_provider_autoglm.operators.serving_state import state_of
    from airflow_provider_autoglm.state.checks import claim_checks

    context = get_current_context()
    with airflow_errors():
        run = RunSettings.read(pipeline, context)
        database = state_of(run.reference)
        owed: tuple[Check, ...] = ()
        if database is not None:
            _record_events_from_outside(database, pipeline, context)
            owed = claim_checks(database, pipeline, run.reference.key, has_failed=lambda key: _has_failed(context, key))
        if not owed and not _is_asked_for(context):
            raise AirflowSkipException("woken, but no confirmed check waits for a dataset")
        for check in owed:
            log.info("answering %s check %d (%s)", check.kind, check.id, check.state)
            if not check.report.get("learnable", False):
                log.warning(
                    "check %d: learnable = false, the gateways keep no texts; only the crawl can bring news", check.id
                )
        reasons = _reasons(run, context, owed)
        checks = tuple(check.id for check in owed)
        return run.open(run.reference.model_copy(update={"reasons": reasons, "checks": checks}))


def _is_asked_for(context: Context) -> bool:
    """Whether a person or the dataset's own schedule has started the run."""
    dag_run = context["dag_run"]
    if dag_run.run_type in _BY_HAND:
        return True
    moment = dag_run.logical_date
    return dag_run.run_type == "scheduled" and moment is not None and configuration.is_due("dataset", moment)


def _reasons(run: RunSettings, context: Context, owed: tuple[Check, ...]) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(check.kind for check in reversed(owed)))
    started_by = reasons_of(run.reference, context)
    return kinds if kinds and started_by != ("bootstrap",) else started_by


def _has_failed(context: Context, key: str) -> bool:
    """Whether the DAG run ``key`` has failed, so that what it has claimed is owed again."""
    dag_id, _, run_id = key.partition("/")
    return bool(context["ti"].get_dr_count(dag_id=dag_id, run_ids=[run_id], states=["failed"]))


def _record_events_from_outside(database: Database, pipeline: str, context: Context) -> None:
    """What another monitor tells with a key of its own becomes a confirmed check, once a key.

    All events of the last day are read: of a burst, Airflow hands most to a run that only the next event starts.
    """
    from airflow_provider_autoglm.state.checks import record_check

    since = (datetime.now(UTC) - _HEARD_FOR).isoformat()
    heard: dict[CheckKind, Asset] = {"drift": drift_asset(pipeline), "feedback": feedback_asset(pipeline)}
    for kind, asset in heard.items():
        newest = context["inlet_events"][asset].after(since).ascending(False).limit(_EVENTS)
        for check in _checks_from_outside(pipeline, kind, reversed(newest)):
            record_check(database, check, lambda measured, _earlier, _now: measured)


def _checks_from_outside(pipeline: str, kind: CheckKind, events: Iterable[AssetEventResult]) -> Iterator[Check]:
    from airflow_provider_autoglm.state.checks import Check

    for event in events:
        extra = event.extra or {}
        key = _key_of(extra)
        if event.source_dag_id is None and key:
            yield Check(
                pipeline,
                kind,
                run=f"event/{key}",
                state="drifted" if kind == "drift" else "enough_labels",
                is_confirmed=True,
                report={"told_from_outside": extra, "learnable": extra.get("learnable", True) is True},
            )


def _key_of(extra: Mapping[str, Any]) -> str:
    """The key that another monitor gave its event; empty if it gave none. Long ones keep apart when they are cut."""
    from airflow_provider_autoglm.corpus.manifest import digest_of

    given = extra.get("key")
    key = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
    return key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}-{digest_of(key)}"

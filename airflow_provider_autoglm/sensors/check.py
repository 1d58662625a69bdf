"""What the sensors of checks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_autoglm.operators.base import airflow_errors
from airflow_provider_autoglm.triggers.check import ConfirmedCheckTrigger

if TYPE_CHECKING:
    from airflow_provider_autoglm.state.checks import CheckKind


class ConfirmedCheckSensor(BaseSensorOperator):
    """Wait for a confirmed check newer than the DAG run.

    Deferrable only: the triggerer looks every ``poke_interval`` seconds, so no worker is held. Newer than the run means
    after its ``run_after``, which stays the same when the task is retried or cleared. Succeeds with the check: its id,
    state, numbers and report.

    :param pipeline: name of the pipeline. Templated.
    :param state_conn_id: connection of type ``autoglm_state``.
    """

    kind: ClassVar[CheckKind]
    template_fields: Sequence[str] = ("pipeline", "state_conn_id")

    def __init__(self, *, pipeline: str, state_conn_id: str = "autoglm_state", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.state_conn_id = state_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once, and leave the waiting to the trigger."""
        from airflow_provider_autoglm.operators.check import as_result
        from airflow_provider_autoglm.triggers.check import newest_confirmed

        since = context["dag_run"].run_after.timestamp()
        with airflow_errors():
            found = newest_confirmed(self.state_conn_id, self.pipeline, self.kind, since)
        if found is not None:
            return as_result(found)
        raise TaskDeferred(
            trigger=ConfirmedCheckTrigger(
                pipeline=self.pipeline,
                kind=self.kind,
                since=since,
                state_conn_id=self.state_conn_id,
                poke_interval_s=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the trigger has found."""
        self.log.info("%s check %s of version %s: %s", self.kind, event["check"], event["version"], event["state"])
        return dict(event)

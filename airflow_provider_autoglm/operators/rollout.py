"""Bring a challenger to the champion's place, or take it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from airflow_provider_autoglm.exceptions import AutoGLMError
from airflow_provider_autoglm.operators.base import ModelOperator, airflow_errors
from airflow_provider_autoglm.operators.run import RunSettings
from airflow_provider_autoglm.settings import RolloutSettings, RunReference
from airflow_provider_autoglm.triggers.rollout import RolloutTrigger

if TYPE_CHECKING:
    from airflow_provider_autoglm.state.rollouts import Rollout

STAGE = "rollout"


@task(task_id="load_settings", multiple_outputs=True)
def load_rollout_settings(pipeline: str) -> dict[str, Any]:
    """Read the settings and find the challenger to roll out; skipped if there is none.

    Returns what ``load_settings`` of the dataset DAG returns, and under ``challenger`` the ``version``, the key that
    its rollout is ``started_by``, and which hold a person has asked to end (``resumes_hold``).
    """
    from airflow_provider_autoglm.operators.serving_state import registry_of, required_state_of
    from airflow_provider_autoglm.rollout.candidates import NothingToRollOut, next_candidate

    context = get_current_context()
    with airflow_errors():
        run = RunSettings.read(pipeline, context)
        candidate = next_candidate(
            required_state_of(run.reference),
            pipeline,
            registry_of(run.reference),
            version=context["params"].get("model_version"),
            requested_by=run.reference.key,
        )
        if isinstance(candidate, NothingToRollOut):
            raise AirflowSkipException(candidate.why)
        return {**run.open(run.reference), "challenger": candidate.to_dict()}


class CanaryDeployOperator(ModelOperator):
    """Roll a challenger out in steps, judged against the champion, and roll it back on trouble.

    Deferrable only: the triggerer drives the rollout, so no worker is held while a step bakes. The rollout lives in the
    state and not in this task: cleared or killed at any line the task finds it there and goes on. Without a champion
    the challenger takes the place as soon as it is warm.

    :param challenger: what ``load_settings`` returned under ``challenger``: ``version``, ``started_by``,
        ``resumes_hold``. Templated.
    :param settings: :class:`~airflow_provider_autoglm.settings.RolloutSettings` or its dict. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    """

    template_fields: Sequence[str] = ("challenger", *ModelOperator.template_fields)

    def __init__(self, *, challenger: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.challenger = challenger

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the rollout, or find it where it is; then leave it to the trigger until it comes to rest."""
        with airflow_errors():
            run, settings = self._parsed()
            rollout = self._found_or_started(run, settings)
            if rollout.is_at_rest:
                return self._outcome(context, run, rollout)
            own = RolloutSettings.parse(rollout.settings, path=f"rollout {rollout.id}")
        raise TaskDeferred(
            trigger=RolloutTrigger(
                rollout_id=rollout.id,
                run=run.model_dump(mode="json"),
                tick_s=own.tick_s,
                lease_s=own.lease_s,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Read the rollout's end from the state; the event is only a wake-up."""
        from airflow_provider_autoglm.operators.serving_state import required_state_of
        from airflow_provider_autoglm.state.rollouts import read_rollout

        with airflow_errors():
            run, _ = self._parsed()
            return self._outcome(context, run, read_rollout(required_state_of(run), event["rollout_id"]))

    def _parsed(self) -> tuple[RunReference, RolloutSettings]:
        run = RunReference.parse(self.run, path="run")
        return run, RolloutSettings.parse(self.settings, path=f"autoglm_{run.pipeline}.{STAGE}")

    def _found_or_started(self, run: RunReference, settings: RolloutSettings) -> Rollout:
        from airflow_provider_autoglm.operators.serving_state import driver_of, registry_of, required_state_of
        from airflow_provider_autoglm.state.rollouts import rollout_started_by, start_rollout
        from airflow_provider_autoglm.state.routes import Model

        database = required_state_of(run)
        found = rollout_started_by(database, self.challenger["started_by"])
        if found is not None:
            self.log.info("rollout %d of version %s is %s", found.id, found.model.version, found.state)
            if found.state == "held" and found.transitions == self.challenger["resumes_hold"]:
                return driver_of(run, found.id).resume_held()
            return found
        version = registry_of(run).version(str(self.challenger["version"]))
        return start_rollout(
            database,
            run.pipeline,
            Model(version.version, version.model_uri, version.digest),
            started_by=self.challenger["started_by"],
            settings=settings.model_dump(mode="json"),
        )

    def _outcome(self, context: Context, run: RunReference, rollout: Rollout) -> dict[str, Any]:
        log = self.log.info if rollout.state == "done" else self.log.warning
        log("rollout %d of version %s: %s. %s", rollout.id, rollout.model.version, rollout.state, rollout.reason)
        try:
            self._log_outcome(context, run, rollout)
        except AutoGLMError as error:  # what is served is decided: a run that is missing in MLflow does not undo it
            self.log.warning("rollout %d is not logged: %s", rollout.id, error)
        return {
            "outcome": rollout.state,
            "rollout_id": rollout.id,
            "version": rollout.model.version,
            "champion": rollout.champion_version,
            "reason": rollout.reason,
        }

    def _log_outcome(self, context: Context, run: RunReference, rollout: Rollout) -> None:
        from airflow_provider_autoglm.operators.serving_state import registry_of
        from airflow_provider_autoglm.operators.stage_run import StageRun
        from airflow_provider_autoglm.tracking import StageRecord

        model = rollout.model
        metrics = {
            "seconds": rollout.entered_at - rollout.created_at,
            "is_promoted": float(rollout.state == "done"),
        }
        logged = {**rollout.settings, "rollout_id": rollout.id, "version": model.version}
        with StageRun(self, context, run, STAGE, logged) as stage_run:
            stage_run.log_record(StageRecord(STAGE, model.model_uri, model.digest, metrics=metrics))
            self.mlflow_model_url = registry_of(run).version_url(model.version)


class RollbackOperator(BaseOperator):
    """Take a version back, whether it is rolled out or champion already, and repair the aliases.

    The champion before gets its place again. A version that is not served is left alone, so a retry is harmless.

    :param version: the version to take back. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    :param reason: why, for the events. Templated.
    """

    template_fields: Sequence[str] = ("version", "run", "reason")

    def __init__(self, *, version: str, run: Mapping[str, Any], reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run
        self.reason = reason
        self.version = version

    def execute(self, context: Context) -> dict[str, Any]:
        """Roll back; returns the versions that serve and that were withdrawn."""
        from airflow_provider_autoglm.operators.serving_state import registry_of, required_state_of
        from airflow_provider_autoglm.rollout.rollback import roll_back

        with airflow_errors():
            run = RunReference.parse(self.run, path="run")
            outcome = roll_back(
                required_state_of(run),
                run.pipeline,
                reason=self.reason,
                registry=lambda: registry_of(run),
                version=str(self.version),
            )
        for problem in outcome.problems:
            self.log.warning("%s", problem)
        return {
            "champion": outcome.champion.version if outcome.champion else None,
            "withdrawn": outcome.withdrawn.version if outcome.withdrawn else None,
            "problems": list(outcome.problems),
        }

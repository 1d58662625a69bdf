"""One rollout: the challenger beside the champion in steps, promoted or rolled back.

Woken by the model asset, and by the clock for events that were lost. Started by hand, the field ``model_version`` names
a version: one that was rolled back is tried again, one that is held goes on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, dag

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.assets import model_asset
from airflow_provider_autoglm.operators.rollout import CanaryDeployOperator, load_rollout_settings
from airflow_provider_autoglm.operators.run import finish_run

# Parse-time constants; [autoglm] in airflow.cfg sets those that are read from there.
RETRIES = configuration.retries()
POOL = configuration.pool()
STAGES = ("rollout",)
RETRY_DELAY = timedelta(seconds=30)


def build(pipeline: str) -> DAG:
    """The rollout DAG of one pipeline."""

    @dag(
        dag_id=f"autoglm_canary_rollout_{pipeline}",
        schedule=configuration.wake_up(model_asset(pipeline), "canary_rollout"),
        catchup=False,
        max_active_runs=1,
        default_args={"retries": RETRIES, "retry_delay": RETRY_DELAY, "pool": POOL},
        tags=["autoglm", pipeline],
        doc_md=__doc__,
    )
    def canary_rollout() -> None:
        settings: Any = load_rollout_settings(pipeline)

        # A task that asks a person whether to start belongs here; what is held or awaits promotion is decided after.
        canary = CanaryDeployOperator(
            task_id="canary", challenger=settings["challenger"], settings=settings["rollout"], run=settings["run"]
        )

        canary >> finish_run(settings, {}).as_teardown()

    form = {
        "model_version": configuration.optional_param(
            "model_version", "string", "Version to roll out. Empty: the challenger that has had no rollout yet."
        ),
        **configuration.override_params(*STAGES),
    }
    return configuration.with_form(canary_rollout(), form)


for name in configuration.pipelines():
    globals()[f"autoglm_canary_rollout_{name}"] = build(name)

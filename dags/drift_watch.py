"""One look at the traffic: has it drifted, and have people given enough labels?

By the clock. A confirmed check updates the asset ``drift`` or ``feedback``, which wakes the DAG ``dataset``; any other
is recorded, and its task skipped. See the settings ``drift`` and ``feedback`` of the Variable ``autoglm_<pipeline>``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, dag

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.operators.drift import DriftCheckOperator
from airflow_provider_autoglm.operators.feedback import FeedbackCheckOperator
from airflow_provider_autoglm.operators.run import finish_run, load_settings

# Parse-time constants; [autoglm] in airflow.cfg sets those that are read from there.
SCHEDULE = configuration.schedule("drift_watch")
RETRIES = configuration.retries()
POOL = configuration.pool()
STAGES = ("drift", "feedback")
RETRY_DELAY = timedelta(seconds=30)


def build(pipeline: str) -> DAG:
    """The DAG that watches the traffic of one pipeline."""

    @dag(
        dag_id=f"autoglm_drift_watch_{pipeline}",
        schedule=SCHEDULE,
        catchup=False,
        max_active_runs=1,
        default_args={"retries": RETRIES, "retry_delay": RETRY_DELAY, "pool": POOL},
        tags=["autoglm", pipeline],
        doc_md=__doc__,
    )
    def drift_watch() -> None:
        settings: Any = load_settings(pipeline)
        run = settings["run"]

        drift = DriftCheckOperator(task_id="drift_check", pipeline=pipeline, settings=settings["drift"], run=run)
        feedback = FeedbackCheckOperator(
            task_id="feedback_check", pipeline=pipeline, settings=settings["feedback"], run=run
        )

        [drift, feedback] >> finish_run(settings, {}).as_teardown()

    return configuration.with_form(drift_watch(), configuration.override_params(*STAGES))


for name in configuration.pipelines():
    globals()[f"autoglm_drift_watch_{name}"] = build(name)

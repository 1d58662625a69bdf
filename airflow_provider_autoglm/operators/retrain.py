"""The first task of a retrain: which dataset version, and whether there is anything to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_autoglm.exceptions import TrackingUnavailableError
from airflow_provider_autoglm.operators.base import airflow_errors
from airflow_provider_autoglm.operators.run import RunSettings


@task(task_id="load_settings", multiple_outputs=True)
def load_retrain_settings(pipeline: str) -> dict[str, Any]:
    """Read the settings and claim the dataset version to train on; skipped if the policy names none.

    Returns what ``load_settings`` of the dataset DAG returns, and under ``dataset`` the version's ``uri``, ``version``,
    ``digest`` and ``reasons``.
    """
    from airflow_provider_autoglm.hooks.storage import storage_for
    from airflow_provider_autoglm.operators.serving_state import registry_of
    from airflow_provider_autoglm.tracking.server import check_access
    from airflow_provider_autoglm.training.plan import NothingToTrain, plan_retrain

    context = get_current_context()
    with airflow_errors():
        run = RunSettings.read(pipeline, context)
        reference = run.reference
        client = registry_of(reference).client
        check_access(client)  # before the claim on a dataset version, which is for good
        plan = plan_retrain(
            reference.datasets,
            reference.retrains,
            run.settings.retrain,
            claimed_by=reference.key,
            version=context["params"].get("dataset_version"),
            added=reference.added_reasons,
            storage=storage_for(reference.root, reference.storage_conn_id),
        )
        if isinstance(plan, NothingToTrain):
            raise AirflowSkipException(plan.why)
        opened = run.open(reference.model_copy(update={"reasons": plan.reasons}))
        if opened["run"]["mlflow_run_id"] is None:
            raise TrackingUnavailableError(client.tracking_uri, "it went away; a training cannot do without")
    return {**opened, "dataset": {**asdict(plan), "reasons": list(plan.reasons)}}

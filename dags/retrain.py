"""One challenger: train on the newest dataset version, register, and judge against the champion.

Woken by the dataset asset, and by the clock for events that were lost. ``retrain.on`` of the Variable
``autoglm_<pipeline>`` names the reasons of a dataset version that start a training; started by hand, the field
``dataset_version`` names one whatever its reasons are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, dag

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.assets import dataset_asset
from airflow_provider_autoglm.operators.evaluate import EvaluateModelOperator
from airflow_provider_autoglm.operators.retrain import load_retrain_settings
from airflow_provider_autoglm.operators.run import finish_run
from airflow_provider_autoglm.operators.train import TrainModelOperator

# Parse-time constants; [autoglm] in airflow.cfg sets those that are read from there.
RETRIES = configuration.retries()
POOL = configuration.pool()
STAGES = ("train", "evaluate")
RETRY_DELAY = timedelta(seconds=30)


def build(pipeline: str) -> DAG:
    """The retrain DAG of one pipeline."""

    @dag(
        dag_id=f"autoglm_retrain_{pipeline}",
        schedule=configuration.wake_up(dataset_asset(pipeline), "retrain"),
        catchup=False,
        max_active_runs=1,
        default_args={"retries": RETRIES, "retry_delay": RETRY_DELAY, "pool": POOL},
        tags=["autoglm", pipeline],
        doc_md=__doc__,
    )
    def retrain() -> None:
        settings: Any = load_retrain_settings(pipeline)
        run, dataset = settings["run"], settings["dataset"]

        train = TrainModelOperator(task_id="train", dataset=dataset, settings=settings["train"], run=run)

        evaluate = EvaluateModelOperator(
            task_id="evaluate",
            pipeline=pipeline,
            dataset=dataset,
            challenger="{{ ti.xcom_pull(task_ids='train')['version'] }}",
            settings=settings["evaluate"],
            run=run,
        )

        train >> evaluate >> finish_run(settings, {}).as_teardown()

    form = {
        "dataset_version": configuration.optional_param(
            "dataset_version", "integer", "Dataset version to train on. Empty: the newest, if the policy names it."
        ),
        **configuration.override_params(*STAGES),
    }
    return configuration.with_form(retrain(), form)


for name in configuration.pipelines():
    globals()[f"autoglm_retrain_{name}"] = build(name)

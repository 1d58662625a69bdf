"""One Airflow for all end-to-end tests, since its start takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mlflow.tracking import MlflowClient

from demo.stack import AirflowStack
from demo.variable import demo_variable
from tests.conftest import REPOSITORY, Site
from tests.end_to_end.cooking import COOKING
from tests.end_to_end.deployment import DATASET_DAG, Deployment
from tests.end_to_end.serving import RETRAIN_DAG, ROLLOUT_DAG, Serving, serving_in
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer, running

# What takes most tasks longer to import than to use: their processes are forked from one that has it.
_PRELOADED = (
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow_provider_autoglm.operators.stage_run",
    "airflow_provider_autoglm.corpus.dedupe",
    "airflow_provider_autoglm.labeling.stage",
    "airflow_provider_autoglm.training.train",
    "mlflow.tracking",
    "transformers.modeling_utils",
)


@pytest.fixture(scope="package")
def deployment(small_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("deployment")
    variable = demo_variable(small_site.url, is_own_site=True)
    variable["crawl"]["pages_per_shard"] = 60
    variable["publish"]["min_class_rows"] = 0
    variable["labels"].append(COOKING)
    # Each part of a corpus would read the texts of all parts to refine labels.
    variable["label"] = {"refine": False, "max_tokens": 64, "explain_texts": 2}
    environment = {
        "AIRFLOW__AUTOGLM__ROOT": f"file://{home}/corpora",
        "AIRFLOW__AUTOGLM__RETRIES": "0",
        "AIRFLOW__AUTOGLM__PIPELINES": "default,reviewed",
        "AIRFLOW__AUTOGLM__DATASET_SWEEP_SCHEDULE": "",
        "AIRFLOW__AUTOGLM__DRIFT_WATCH_SCHEDULE": "",
        "AIRFLOW__AUTOGLM__RETRAIN_SCHEDULE": "",
        "AIRFLOW__AUTOGLM__CANARY_ROLLOUT_SCHEDULE": "",
        "AIRFLOW__CORE__MP_FORKSERVER_PRELOAD": ",".join(_PRELOADED),
        "AIRFLOW__SCHEDULER__MP_START_METHOD": "forkserver",
        # No file changes while the tests run, and what is due is due at once.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",
    }
    with running(MlflowServer(home / "mlflow", basic_auth=True)) as mlflow:
        stack = AirflowStack(home / "airflow", REPOSITORY / "dags", environment)
        with stack:
            made = Deployment(stack, mlflow, home / "corpora", variable)
            made.set_variable()
            stack.api.set_connection("mlflow_default", "mlflow", host=mlflow.uri, login=ADMIN, password=ADMIN_PASSWORD)
            stack.wait_for_dag(DATASET_DAG)
            stack.api.unpause(DATASET_DAG)
            yield made
            # The one would take ten seconds to end, the other as long as what the last event has started.
            for component in ("triggerer", "scheduler"):
                stack.kill(component)


@pytest.fixture(scope="package")
def first_run(deployment: Deployment) -> str:
    """The run that publishes dataset version 1."""
    return deployment.run()


@pytest.fixture(scope="package")
def registry(deployment: Deployment) -> Iterator[MlflowClient]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
        environment.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN_PASSWORD)
        environment.delenv("MLFLOW_TRACKING_AUTH", raising=False)
        yield MlflowClient(tracking_uri=deployment.mlflow.uri)


@pytest.fixture(scope="package")
def serving(deployment: Deployment, first_run: str, registry: MlflowClient) -> Iterator[Serving]:
    with serving_in(deployment, registry) as made:
        yield made


@pytest.fixture(scope="package")
def first_model(serving: Serving) -> str:
    """The run of the retrain DAG that an asset event from outside has started, its rollout at its end."""
    deployment = serving.deployment
    trained, rolled_out = deployment.runs(RETRAIN_DAG), deployment.runs(ROLLOUT_DAG)
    deployment.send_asset_event("dataset")
    run_id = deployment.wait_for_another_run(RETRAIN_DAG, trained)
    assert set(deployment.states(run_id, dag_id=RETRAIN_DAG).values()) == {"success"}
    rollout_run = deployment.wait_for_another_run(ROLLOUT_DAG, rolled_out)
    assert set(deployment.states(rollout_run, dag_id=ROLLOUT_DAG).values()) == {"success"}
    return run_id

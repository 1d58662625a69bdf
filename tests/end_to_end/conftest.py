"""One Airflow for all end-to-end tests, since its start takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.stack import AirflowStack
from demo.variable import demo_variable
from tests.conftest import REPOSITORY, Site
from tests.end_to_end.deployment import DATASET_DAG, Deployment
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer, running


@pytest.fixture(scope="session")
def deployment(small_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("deployment")
    variable = demo_variable(small_site.url, is_own_site=True)
    variable["crawl"]["pages_per_shard"] = 60
    variable["publish"]["min_class_rows"] = 0
    environment = {
        "AIRFLOW__AUTOGLM__ROOT": f"file://{home}/corpora",
        "AIRFLOW__AUTOGLM__RETRIES": "0",
        "AIRFLOW__AUTOGLM__RETRAIN_SCHEDULE": "",
        "AIRFLOW__AUTOGLM__CANARY_ROLLOUT_SCHEDULE": "",
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


@pytest.fixture(scope="session")
def first_run(deployment: Deployment) -> str:
    """The run that publishes dataset version 1."""
    return deployment.run()

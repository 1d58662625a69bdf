"""A deployment whose parts can be killed: Airflow, MLflow, a state on PostgreSQL, and a gateway under traffic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.rollouts import Rollout, latest_rollout
from airflow_provider_autoglm.state.routes import read_routes
from airflow_provider_autoglm.state.tables import predictions, rollouts
from airflow_provider_autoglm.tracking.registry import Registry, model_digest
from demo.gateway import Gateway
from demo.stack import AirflowStack
from demo.variable import demo_variable
from tests.conftest import REPOSITORY
from tests.gateway import Client, wait_until
from tests.mlflow_server import MlflowServer, running
from tests.packaged import Answer, write_tiny_model
from tests.postgres_server import PostgresServer
from tests.postgres_server import running as running_postgres

PIPELINE = "default"
ROLLOUT_DAG = "autoglm_canary_rollout_default"
COMPONENTS = ("api-server", "scheduler", "triggerer", "dag-processor")
LEASE_S = 15.0
_RUN_LIMIT_S = 600
FAILOVER = {
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_DETECTION_INTERVAL": "3",
    "AIRFLOW__AUTOGLM__RETRIES": "3",
    "AIRFLOW__AUTOGLM__RETRAIN_SCHEDULE": "",
    "AIRFLOW__AUTOGLM__CANARY_ROLLOUT_SCHEDULE": "",
}
_POLICY = {
    "rollout": {
        "steps": [{"weight_percent": 50, "bake_s": 20}],
        "min_requests": 50,
        "tick_s": 1,
        "lease_s": LEASE_S,
    }
}
_TEXTS = ("a table of numbers", "a web page", "tables and the web")


@dataclass
class Loop:
    """What a drill kills and looks at."""

    folder: Path
    stack: AirflowStack
    mlflow: MlflowServer
    postgres: PostgresServer
    database: Database
    gateway: Gateway
    registry: Registry
    client: Client

    @property
    def answers(self) -> Counter[tuple[int, str | None]]:
        """What the client saw, by status and version."""
        return self.client.answers

    def register(self, *, answer: Answer = "keyword", when: str = "") -> str:
        """A new version that answers like this."""
        package = write_tiny_model(self.folder / f"model-{time.monotonic_ns()}", answer=answer, when=when)
        client = self.registry.client
        experiment = client.get_experiment_by_name("drills")
        identifier = experiment.experiment_id if experiment else client.create_experiment("drills")
        run_id = client.create_run(identifier).info.run_id
        client.log_artifacts(run_id, package, "model")
        client.set_terminated(run_id)
        return self.registry.register(run_id, "model", model_digest(package), {}).version

    def start_rollout(self, version: str) -> str:
        """Trigger the rollout DAG; returns the run id."""
        return self.stack.api.trigger(ROLLOUT_DAG, {"model_version": version})

    def wait_for_end(self, run_id: str) -> str:
        """The state in which the DAG run ends."""
        self.stack.processes.wait_until(
            f"the end of {run_id}",
            lambda: self.stack.api.run_state(ROLLOUT_DAG, run_id) in ("success", "failed"),
            timeout_s=_RUN_LIMIT_S,
        )
        return self.stack.api.run_state(ROLLOUT_DAG, run_id)

    def roll_out(self, version: str) -> str:
        """Roll a version out to the end; returns the rollout's state."""
        assert self.wait_for_end(self.start_rollout(version)) == "success"
        return self.rollout(version).state

    def rollout(self, version: str) -> Rollout:
        found = latest_rollout(self.database, PIPELINE, version)
        assert found is not None
        return found

    def rollout_or_none(self, version: str) -> str | None:
        """The state of the version's rollout, None before it has one."""
        found = latest_rollout(self.database, PIPELINE, version)
        return found.state if found else None

    def count_rollouts(self, version: str) -> int:
        """How many rollouts the version had."""
        query = sa.select(sa.func.count()).select_from(rollouts).where(rollouts.c.version == version)
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def wait_for_step(self, version: str) -> None:
        """Wait until the gateway gives the version half of the requests."""
        wait_until(f"version {version} gets traffic", lambda: self.gateway.routes()["effective_weight"] == 50)

    def champion(self) -> str | None:
        champion = read_routes(self.database, PIPELINE).champion
        return champion.version if champion else None

    def assigned_since(self, version: str, moment: float) -> int:
        """Requests that were assigned to a version after a moment of the database's clock."""
        query = (
            sa.select(sa.func.count())
            .select_from(predictions)
            .where(predictions.c.assigned_version == version, predictions.c.at > moment)
        )
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def last_prediction(self) -> int:
        """The highest id in the prediction log, once everything that was answered before is in it."""
        wait_until("the log is written", lambda: self.gateway.routes()["log_backlog_rows"] == 0)
        with self.database.reading() as connection:
            return connection.execute(sa.select(sa.func.max(predictions.c.id))).scalar_one() or 0

    def count_predictions(self, *, since: int) -> int:
        """How many predictions were logged after the one of this id."""
        query = sa.select(sa.func.count()).select_from(predictions).where(predictions.c.id > since)
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def traffic(self) -> AbstractContextManager[None]:
        """A client that asks all the time."""
        return self.client.asking(every_s=0.02)


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("loop")
    with ExitStack() as cleanup:
        postgres = cleanup.enter_context(running_postgres(PostgresServer()))
        mlflow = cleanup.enter_context(running(MlflowServer(folder / "mlflow")))
        url = postgres.create_database()
        (folder / "state-url").write_text(url)
        database = Database(url)
        cleanup.callback(database.close)
        database.migrate()
        environment = {**FAILOVER, "AIRFLOW__AUTOGLM__ROOT": f"file://{folder}/corpora"}
        stack = cleanup.enter_context(AirflowStack(folder / "airflow", REPOSITORY / "dags", environment))
        stack.api.set_variable("autoglm_default", demo_variable("http://127.0.0.1:9", is_own_site=False) | _POLICY)
        stack.api.set_connection("mlflow_default", "mlflow", host=mlflow.uri)
        stack.api.set_connection("autoglm_state", "autoglm_state", **state_connection(url))
        stack.wait_for_dag(ROLLOUT_DAG)
        stack.api.unpause(ROLLOUT_DAG)
        gateway = Gateway(
            folder / "gateway",
            {"pipeline": PIPELINE, "state_url_file": str(folder / "state-url"), "tracking_uri": mlflow.uri},
        )
        gateway.start()
        cleanup.callback(gateway.stop)
        registry = Registry(MlflowClient(tracking_uri=mlflow.uri), PIPELINE)
        yield Loop(folder, stack, mlflow, postgres, database, gateway, registry, Client(gateway, _TEXTS))


@pytest.fixture
def champion(loop: Loop) -> str:
    """A sound version that serves, made anew for each drill."""
    version = loop.register()
    with loop.traffic():
        assert loop.roll_out(version) == "done"
    loop.answers.clear()
    return version


def state_connection(url: str) -> dict[str, str | None]:
    parts = sa.make_url(url)
    address = parts._replace(username=None, password=None).render_as_string()
    return {"host": address, "login": parts.username, "password": parts.password}

"""What docker-compose.yaml names starts here without containers, is healthy by its own checks, and closes the loop."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from demo.airflow_api import AirflowApi, AirflowApiError
from demo.ports import HOST
from demo.processes import Processes
from tests.compose.composed import compose, make_env
from tests.compose.native import Native, NativeService
from tests.labeling.sentences import COOKING, FOOTBALL, SPACE

DAGS = tuple(f"autoglm_{stage}_default" for stage in ("dataset", "retrain", "canary_rollout"))
_READY_S = 300
_RUN_S = 900
_SUBJECTS = {"cooking": COOKING, "football": FOOTBALL, "space": SPACE}


@dataclass
class Deployment:
    """All services of the file, running."""

    native: Native
    processes: Processes
    api: AirflowApi
    workers: tuple[NativeService, NativeService]
    secrets: dict[str, str]

    def url(self, service: str) -> str:
        return f"http://{HOST}:{self.native.ports[service]}"

    def log(self, service: NativeService) -> str:
        return self.processes.log_file(service.name).read_text(errors="replace")

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for ``condition`` as long as no run of a DAG has failed."""

        def holds() -> bool:
            runs = [(dag_id, run_id) for dag_id in DAGS for run_id in self.api.run_ids(dag_id)]
            assert "failed" not in {self.api.run_state(*run) for run in runs}
            return condition()

        self.processes.wait_until(what, holds, timeout_s=_RUN_S, every_s=2)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """``docker compose up``, in the order that depends_on gives, each service awaited by its own health check."""
    folder = tmp_path_factory.mktemp("compose")
    secrets = make_env(folder / ".env")
    native = Native(compose(folder / ".env"), folder / "root")
    native.write_configs()
    with native.postgres() as _, Processes(folder / "logs") as processes:

        def up(*services: NativeService) -> None:
            for service in services:
                processes.start(service.name, service.command, env=service.environment, is_server=True)
            for service in services:
                processes.wait_until(f"{service.name} healthy", service.is_healthy, timeout_s=_READY_S, every_s=2)

        assert native.service("postgres").is_healthy()
        up(native.service("redis"))
        init = native.service("init")
        processes.run("init", init.command, env=init.environment)
        up(native.service("api-server"), native.service("mlflow"), native.service("gateway"))
        workers = _worker(native, 1), _worker(native, 2)
        up(*(native.service(name) for name in ("scheduler", "dag-processor", "triggerer")), *workers)
        api = AirflowApi(
            f"http://{HOST}:{native.ports['api-server']}", login=("admin", secrets["AIRFLOW_ADMIN_PASSWORD"])
        )
        yield Deployment(native, processes, api, workers, secrets)


def _worker(native: Native, instance: int) -> NativeService:
    """A worker under a name of its own, which it has in a container from the host's."""
    worker = native.service("worker", instance)
    worker.command.extend(["--celery-hostname", f"celery@{worker.name}"])
    return worker


def _write_documents(folder: Path) -> None:
    """180 texts on three subjects, no two alike."""
    chosen = random.Random(4)
    texts = [" ".join(chosen.sample(sentences, 4)) for sentences in _SUBJECTS.values() for _ in range(60)]
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"text": texts}), folder / "texts.parquet")


def _variable(source: Path) -> dict[str, Any]:
    return {
        "sources": [{"files": f"file://{source}", "name": "texts"}],
        "labels": [{"name": name, "phrases": list(sentences[:4])} for name, sentences in _SUBJECTS.items()],
        "clean": {"min_chars": 20, "languages": ["en"]},
        "dedupe": {"max_removed_fraction": 0.9},
        "train": {"method": "head", "max_tokens": 64},
        "evaluate": {"min_rows": 5},
        "rollout": {"tick_s": 1},
    }


def test_every_service_is_healthy_and_lets_nobody_in_without_a_password(deployment: Deployment) -> None:
    stranger = AirflowApi(deployment.api.url, login=("admin", "wrong"))
    with pytest.raises(AirflowApiError) as refused:
        stranger.run_ids("autoglm_dataset_default")
    assert refused.value.status == 401
    experiments = f"{deployment.url('mlflow')}/api/2.0/mlflow/experiments/search?max_results=10"
    assert requests.get(experiments, timeout=30).status_code == 401
    allowed = requests.get(experiments, auth=("admin", deployment.secrets["MLFLOW_ADMIN_PASSWORD"]), timeout=30)
    assert allowed.status_code == 200


def test_a_second_init_changes_nothing(deployment: Deployment) -> None:
    deployment.api.set_variable("autoglm_default", {"edited": "in the UI"})
    init = deployment.native.service("init")
    deployment.processes.run("init-again", init.command, env=init.environment)
    kept = deployment.api.call("GET", "variables/autoglm_default")["value"]
    assert json.loads(kept) == {"edited": "in the UI"}


def test_the_loop_runs_through_two_workers_to_a_champion_that_answers(deployment: Deployment) -> None:
    native, api = deployment.native, deployment.api
    volume = Path(native.path("/var/lib/autoglm"))
    _write_documents(volume / "inbox")
    api.set_variable("autoglm_default", _variable(volume / "inbox"))
    deployment.processes.wait_until("the DAGs", lambda: all(map(api.has_dag, DAGS)), timeout_s=_READY_S)
    assert api.import_errors() == []
    for dag_id in DAGS:
        api.unpause(dag_id)

    run_id = api.trigger(DAGS[0])
    deployment.wait_for("the dataset", lambda: api.run_state(DAGS[0], run_id) == "success")
    assert (volume / "corpora/default/datasets/v1/_manifest.json").exists()
    assert all("succeeded" in deployment.log(worker) for worker in deployment.workers)

    gateway = requests.Session()
    gateway.trust_env = False
    deployment.wait_for("the champion", lambda: gateway.get(f"{deployment.url('gateway')}/ready", timeout=30).ok)
    answer = gateway.post(f"{deployment.url('gateway')}/invocations", json={"inputs": list(COOKING[:4])}, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "1"
    assert [row["label"] for row in answer.json()["predictions"]].count("cooking") >= 3

"""A real Airflow of four processes and a real MLflow server on loopback, for the demo and the end-to-end tests."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from demo.airflow_api import AirflowApi
from demo.ports import HOST, PortTakenError, free_port
from demo.processes import Processes

_READY_S = 240.0
_DAG_S = 60.0
_MLFLOW_READY_S = 180.0
_PORTS_TRIED = 3

_COMPONENTS: dict[str, tuple[str, ...]] = {
    "airflow-api-server": ("api-server",),
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
}
_SERVER = "airflow-api-server"
_MLFLOW = "mlflow"


class DagImportError(RuntimeError):
    """A DAG file cannot be imported by the dag-processor."""

    def __init__(self, dag_id: str, stack_traces: list[str]) -> None:
        self.dag_id = dag_id
        self.stack_traces = stack_traces
        super().__init__(f"{dag_id} does not appear; import errors:\n" + "\n".join(stack_traces))


class AirflowStack:
    """Airflow in its own home: api-server, scheduler, triggerer and dag-processor, driven through :attr:`api`.

    SQLite and the LocalExecutor on a free port: ``port`` and ``url`` are certain once it is healthy. The keys that the
    processes share are kept in the home, so that a stack started again there reads its Connections. Use it as a
    context, or call :meth:`stop`.

    :param home: AIRFLOW_HOME; made if absent. Logs of the processes go to ``<home>/logs/processes``.
    :param dags_folder: the folder of DAG files.
    :param env: further environment, e.g. ``AIRFLOW__AUTOGLM__ROOT``.
    :param port: port of the api-server if it is free; 0 takes any.
    :param processes: where to start the processes, if not in a group of the stack's own.
    """

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        processes: Processes | None = None,
    ) -> None:
        self.home = home.resolve()
        self.dags_folder = dags_folder.resolve()
        self.task_logs = self.home / "logs"
        self.home.mkdir(parents=True, exist_ok=True)
        self._more_env = dict(env or {})
        self._take_port(port)
        self.processes = processes or Processes(self.task_logs / "processes")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Migrate the database, start the four processes and wait until all are healthy (about 50 s).

        :raises ProcessEndedError: if one of them ends.
        :raises TimeoutError: if they are not healthy in time.
        """
        try:
            self.launch()
            self.wait_healthy()
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Migrate the database and start the four processes, without waiting for them."""
        self.processes.run("airflow-db-migrate", self._airflow("db", "migrate"), env=self.env)
        self._launch_components()

    def wait_healthy(self) -> None:
        """Wait for the health of all parts, on another port if this one was taken; raises as :meth:`start` does."""
        for _ in range(_PORTS_TRIED):
            try:
                self.processes.wait_for_server(_COMPONENTS, self.port, self.api.is_healthy, timeout_s=_READY_S)
                return
            except PortTakenError:
                self.processes.end(_COMPONENTS)
                self._take_port()
                self._launch_components()
        raise PortTakenError(self.port)

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until the DAG can be triggered.

        :raises DagImportError: if it does not appear and DAG files have import errors.
        :raises TimeoutError: if it does not appear for another reason.
        """
        try:
            self.processes.wait_until(f"the DAG {dag_id}", lambda: self.api.has_dag(dag_id), timeout_s=_DAG_S)
        except TimeoutError:
            errors = self.api.import_errors()
            if errors:
                raise DagImportError(dag_id, errors) from None
            raise

    def stop(self) -> None:
        """End every process of the stack."""
        self.processes.stop()

    def kill(self, component: str) -> None:
        """SIGKILL to ``api-server``, ``scheduler``, ``triggerer`` or ``dag-processor``, and to the tasks it runs."""
        self.processes.kill(f"airflow-{component}")

    def start_again(self, component: str) -> None:
        """Start a component that was killed, without waiting for it."""
        name = f"airflow-{component}"
        command = self._airflow(*_COMPONENTS[name])
        self.processes.start(name, command, env=self.env, is_server=name == _SERVER)

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> Path:
        """The log of a task's latest attempt: JSON lines."""
        folder = self.task_logs / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        if map_index >= 0:
            folder = folder / f"map_index={map_index}"
        attempts = sorted(folder.glob("attempt=*.log"), key=lambda file: file.stat().st_mtime)
        return attempts[-1] if attempts else folder / "attempt=1.log"

    def _take_port(self, preferred: int = 0) -> None:
        self.port = free_port(preferred)
        self.url = f"http://{HOST}:{self.port}"
        self.api = AirflowApi(self.url)
        self.env = {**self._environment(), **self._more_env}

    def _launch_components(self) -> None:
        for name, arguments in _COMPONENTS.items():
            self.processes.start(name, self._airflow(*arguments), env=self.env, is_server=name == _SERVER)

    def _airflow(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "airflow", *arguments]

    def _environment(self) -> dict[str, str]:
        keys = self._keys()
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags_folder),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__FERNET_KEY": keys["fernet"],
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.task_logs),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": keys["api"],
            "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
            # A resume within min_heartbeat_interval of the deferral can be marked failed (upstream #66374).
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # The first request after the start finds a cold execution API.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        }

    def _keys(self) -> dict[str, str]:
        file = self.home / "keys.json"
        if not file.exists():
            keys = {
                "jwt": secrets.token_hex(64),
                "api": secrets.token_hex(32),
                "fernet": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            }
            file.touch(mode=0o600)
            file.write_text(json.dumps(keys))
        return dict(json.loads(file.read_text()))


class MlflowServer:
    """A real ``mlflow server`` on SQLite that serves its artifacts, on a free port of loopback."""

    def __init__(self, home: Path, processes: Processes, *, port: int = 0) -> None:
        self.home = home.resolve()
        self.processes = processes
        self.port = free_port(port)

    @property
    def url(self) -> str:
        """Address of server and UI; certain once it is healthy."""
        return f"http://{HOST}:{self.port}"

    def launch(self) -> None:
        """Start the server without waiting for it."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.processes.start(
            _MLFLOW,
            [
                *(sys.executable, "-m", "mlflow", "server"),
                *("--host", HOST, "--port", str(self.port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{self.home / 'mlflow.db'}"),
                *("--artifacts-destination", str(self.home / "artifacts")),
                *("--allowed-hosts", f"{HOST}:{self.port},localhost:{self.port}"),
            ],
            env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            is_server=True,
        )

    def wait_healthy(self) -> None:
        """Wait until it answers, on another port if this one was taken.

        :raises ProcessEndedError: if it ends.
        :raises TimeoutError: if it does not answer in time.
        """
        for _ in range(_PORTS_TRIED):
            try:
                self.processes.wait_for_server([_MLFLOW], self.port, self._is_healthy, timeout_s=_MLFLOW_READY_S)
                return
            except PortTakenError:
                self.processes.end([_MLFLOW])
                self.port = free_port()
                self.launch()
        raise PortTakenError(self.port)

    def _is_healthy(self) -> bool:
        with requests.Session() as session:
            session.trust_env = False
            try:
                return session.get(f"{self.url}/health", timeout=10).ok
            except requests.RequestException:
                return False

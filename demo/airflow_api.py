"""Airflow's REST API as the demo and the end-to-end tests use it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import requests

_TIMEOUT_S = 60
_TRIES = 5
_PAGE = 100
_SERVER_ERROR = 500
_MOMENTS = ("start_date", "end_date")
FINISHED = ("success", "failed")


class AirflowApiError(RuntimeError):
    """The API refused a request."""

    def __init__(self, method: str, path: str, status: int, answer: str) -> None:
        self.status = status
        self.answer = answer
        super().__init__(f"{method} {path} was answered {status}: {answer}")


@dataclass(frozen=True)
class TaskState:
    """One task instance; ``map_index`` is -1 for a task that is not mapped, ``state`` None before it is scheduled."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def name(self) -> str:
        """``label`` or ``label[3]``."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it has not ended."""
        return (self.ended_at - self.started_at).total_seconds() if self.started_at and self.ended_at else None


class AirflowApi:
    """A client with a token of its own; a 500 (two writers on SQLite) is tried again.

    :param login: name and password of a user; without, Airflow has to let in everybody as admin.
    """

    def __init__(self, url: str, *, login: tuple[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._login = login
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the machine must not stand between here and loopback

    def is_healthy(self) -> bool:
        """Whether scheduler, triggerer and dag-processor all beat."""
        try:
            answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=_TIMEOUT_S)
            health = answer.json() if answer.ok else {}
        except (requests.RequestException, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG is parsed and serialised."""
        try:
            self.call("GET", f"dags/{dag_id}")
        except AirflowApiError as error:
            if error.status == requests.codes.not_found:
                return False
            raise
        return True

    def import_errors(self) -> list[str]:
        """Stack traces of DAG files that cannot be imported."""
        return [entry["stack_trace"] for entry in self.call("GET", "importErrors")["import_errors"]]

    def set_variable(self, key: str, value: Any) -> None:
        """Create or replace a Variable; anything but a string is stored as JSON."""
        self._create_or_replace("variables", key, {"key": key, "value": value})

    def set_connection(self, conn_id: str, conn_type: str, **fields: Any) -> None:
        """Create or replace a Connection; ``fields`` as the API names them: host, port, login, password, extra …"""
        self._create_or_replace("connections", conn_id, {"connection_id": conn_id, "conn_type": conn_type, **fields})

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a DAG run and return its id."""
        run = self.call("POST", f"dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf or {}})
        return str(run["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.call("GET", f"dags/{dag_id}/dagRuns/{_quoted(run_id)}")["state"])

    def run_ids(self, dag_id: str) -> list[str]:
        """The runs of a DAG, whatever started them, the oldest first; 100 at most."""
        page = self.call("GET", f"dags/{dag_id}/dagRuns", params={"limit": _PAGE, "order_by": "id"})
        return [str(run["dag_run_id"]) for run in page["dag_runs"]]

    def task_states(self, dag_id: str, run_id: str) -> list[TaskState]:
        """All task instances of a run."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call(
                "GET",
                f"dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances",
                params={"limit": _PAGE, "offset": len(found)},
            )
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                break
        return [_task_state(item) for item in found]

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """A value that a task pushed.

        :raises AirflowApiError: with status 404 if there is none.
        """
        path = f"dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", path, params={"map_index": map_index, "deserialize": False})["value"]

    def call(self, method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"], path: str, **arguments: Any) -> Any:
        """Send a request below ``/api/v2`` and return the decoded answer.

        :raises AirflowApiError: if the answer is no success, for a 5xx after five tries.
        """
        for attempt in range(_TRIES):
            if "Authorization" not in self._session.headers:
                self._log_in()
            answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=_TIMEOUT_S, **arguments)
            if answer.status_code == requests.codes.unauthorized:
                del self._session.headers["Authorization"]
            elif answer.status_code < _SERVER_ERROR:
                break
            else:
                self._session.close()  # after a 500 the server closes the connection: another try on it would be reset
            time.sleep(attempt * 0.5)
        if not answer.ok:
            raise AirflowApiError(method, path, answer.status_code, answer.text[:1_000])
        return answer.json() if answer.content else None

    def _log_in(self) -> None:
        # GET hands out a token without a password where all are admins (AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS).
        method = "POST" if self._login else "GET"
        body = dict(zip(("username", "password"), self._login, strict=True)) if self._login else None
        answer = self._session.request(method, f"{self.url}/auth/token", json=body, timeout=_TIMEOUT_S)
        if not answer.ok:
            raise AirflowApiError(method, "/auth/token", answer.status_code, answer.text[:1_000])
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _create_or_replace(self, kind: str, key: str, body: dict[str, Any]) -> None:
        try:
            self.call("POST", kind, json=body)
        except AirflowApiError as error:
            if error.status != requests.codes.conflict:
                raise
            self.call("PATCH", f"{kind}/{_quoted(key)}", json=body)


def _task_state(item: dict[str, Any]) -> TaskState:
    started, ended = (None if item[key] is None else datetime.fromisoformat(item[key]) for key in _MOMENTS)
    return TaskState(item["task_id"], item["map_index"], item["state"], item["try_number"], started, ended)


def _quoted(part: str) -> str:
    return quote(part, safe="")

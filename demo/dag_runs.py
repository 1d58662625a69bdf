"""DAG runs before your eyes: started by hand or by an asset, followed to their end task by task."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from demo.airflow_api import FINISHED, TaskState
from demo.stack import AirflowStack
from demo.task_log import readable_tail

_LINES_OF_A_TASK_LOG = 30
_WOKEN_S = 60.0


class RunFailedError(RuntimeError):
    """A DAG run did not do all it should; the message holds the end of the log of the task that stopped it."""


_FORMS = ("review", "review_again")
"""Tasks that ask people: there is none of them where nobody is asked."""


@dataclass(frozen=True)
class DagRun:
    """A DAG run that is over. ``may_skip`` are tasks that are skipped where they have nothing to tell."""

    dag_id: str
    run_id: str
    url: str
    tasks: Sequence[TaskState]
    may_skip: Collection[str] = ()

    @property
    def seconds(self) -> float:
        """From the first start of a task to the last end."""
        started = [task.started_at for task in self.tasks if task.started_at]
        ended = [task.ended_at for task in self.tasks if task.ended_at]
        return (max(ended) - min(started)).total_seconds() if started and ended else 0.0

    @property
    def unfinished(self) -> list[TaskState]:
        """The tasks that did not succeed, without those that were skipped and may be."""
        return [
            task
            for task in self.tasks
            if task.state != "success"
            and not (task.state == "skipped" and task.task_id in self.may_skip)
            and not is_form_nobody_needs(task)
        ]


def is_form_nobody_needs(task: TaskState) -> bool:
    """Whether a task that asks people was skipped, as it is where the settings ask for no spot check."""
    return task.state == "skipped" and task.task_id in _FORMS


class DagRuns:
    """Runs of the DAGs of one Airflow; ``done`` are those that were followed, in order.

    :param say: takes a line of progress.
    """

    def __init__(self, airflow: AirflowStack, say: Callable[[str], None]) -> None:
        self._airflow = airflow
        self._say = say
        self._seen: set[str] = set()
        self.done: list[DagRun] = []

    def unpause(self, dag_ids: Sequence[str]) -> None:
        """Wait until the DAGs are parsed and let the scheduler run them."""
        for dag_id in dag_ids:
            self._airflow.wait_for_dag(dag_id)
            self._airflow.api.unpause(dag_id)

    def run(self, dag_id: str, conf: dict[str, Any] | None = None, *, may_skip: Collection[str] = ()) -> DagRun:
        """Trigger a DAG and follow it to its end.

        :param may_skip: tasks that are skipped where they have nothing to tell.
        :raises RunFailedError: if one of its tasks does not succeed.
        """
        run_id = self._airflow.api.trigger(dag_id, conf)
        given = f" with {conf}" if conf else ""
        self._say(f"triggered {dag_id}{given}: {self._url(dag_id, run_id)}")
        return self._follow(dag_id, run_id, may_skip)

    def follow_woken(self, dag_id: str) -> DagRun:
        """Wait for the run that an asset event starts, and follow it to its end.

        :raises RunFailedError: if one of its tasks does not succeed.
        :raises TimeoutError: if no run appears.
        """
        found: list[str] = []

        def has_run() -> bool:
            found[:] = [run_id for run_id in self._airflow.api.run_ids(dag_id) if run_id not in self._seen]
            return bool(found)

        self._airflow.processes.wait_until(f"a run of {dag_id}, woken by an asset", has_run, timeout_s=_WOKEN_S)
        self._say(f"an asset event woke {dag_id}: {self._url(dag_id, found[0])}")
        return self._follow(dag_id, found[0])

    def result(self, run: DagRun, task_id: str, *, key: str = "return_value") -> Any:
        """What a task of a run returned."""
        return self._airflow.api.xcom(run.dag_id, run.run_id, task_id, key=key)

    def _follow(self, dag_id: str, run_id: str, may_skip: Collection[str] = ()) -> DagRun:
        self._seen.add(run_id)
        shown: dict[str, str | None] = {}
        state = ""
        while state not in FINISHED:
            self._airflow.processes.check()
            state = self._airflow.api.run_state(dag_id, run_id)
            tasks = self._airflow.api.task_states(dag_id, run_id)
            for task in tasks:
                if task.state != shown.get(task.name):
                    shown[task.name] = task.state
                    took = f" after {task.seconds:.1f} s" if task.seconds and task.state in FINISHED else ""
                    self._say(f"  {task.name:<16} {task.state}{took}")
            time.sleep(0 if state in FINISHED else 1)
        run = DagRun(dag_id, run_id, self._url(dag_id, run_id), tasks, may_skip)
        self._say(f"the run is finished: {state}")
        if run.unfinished:
            raise RunFailedError(self._what_stopped(run))
        self.done.append(run)
        return run

    def _what_stopped(self, run: DagRun) -> str:
        stopped = [task for task in run.unfinished if task.state in ("failed", "skipped") and task.started_at]
        states = ", ".join(f"{task.name} {task.state}" for task in run.unfinished)
        parts = [f"{run.dag_id} {run.run_id}: {states}"]
        for task in sorted(stopped, key=lambda task: (task.state != "failed", task.started_at))[:1]:
            log = self._airflow.task_log(run.dag_id, run.run_id, task.task_id, map_index=task.map_index)
            parts.append(f"the end of the log of {task.name} ({log}):\n{readable_tail(log, _LINES_OF_A_TASK_LOG)}")
        return "\n".join(parts)

    def _url(self, dag_id: str, run_id: str) -> str:
        return f"{self._airflow.url}/dags/{dag_id}/runs/{run_id}"

"""``python -m demo``: run the dataset pipeline once in front of your eyes, then leave Airflow and MLflow to look at.

Environment: ``SITE=https://…`` crawls that site instead of the demo's own, ``EXIT=1`` leaves after the run with status
0 only if every step succeeded, ``DEMO_DIR`` is where everything is kept (default ``.demo``).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow_provider_autoglm.exceptions import SettingsError
from demo.airflow_api import FINISHED, AirflowApiError
from demo.folder import FolderInUseError, claim
from demo.ports import PortTakenError
from demo.processes import ProcessEndedError, Processes
from demo.report import report
from demo.stack import AirflowStack, DagImportError, MlflowServer
from demo.summary import Summary, summarise
from demo.task_log import readable_tail
from demo.variable import demo_variable

DAG_ID = "autoglm_dataset_default"
VARIABLE = "autoglm_default"
_REPOSITORY = Path(__file__).resolve().parent.parent
_SITE_READY_S = 120.0
_AIRFLOW_PORT, _MLFLOW_PORT = 8080, 5000
_LINES_OF_A_TASK_LOG = 30
_PR_SET_PDEATHSIG = 1


class RunFailedError(RuntimeError):
    """The DAG run did not succeed; the message holds the end of the failing task's log."""


_FAILURES = (RunFailedError, ProcessEndedError, PortTakenError, DagImportError, AirflowApiError, TimeoutError)


class Demo:
    """One demo in ``folder``: ``site`` is what it crawls, empty for the site of its own."""

    def __init__(self, folder: Path, processes: Processes, site: str, pages_per_area: int) -> None:
        self.folder = folder
        self.processes = processes
        self.site = site
        self.pages_per_area = pages_per_area
        self.truth_file = folder / "truth.json"
        self.mlflow = MlflowServer(folder / "mlflow", processes, port=_MLFLOW_PORT)
        self.airflow = AirflowStack(
            folder / "airflow",
            _REPOSITORY / "dags",
            {"AIRFLOW__AUTOGLM__ROOT": (folder / "corpora").as_uri()},
            port=_AIRFLOW_PORT,
            processes=processes,
        )
        self._started = time.monotonic()

    def run(self) -> Summary:
        """Start everything, run the pipeline once and read what came of it; ``summary.json`` is written."""
        self._start()
        run_id = self._trigger()
        self._follow(run_id)
        self.say("reading the figures")
        summary = self._summarise(run_id)
        (self.folder / "summary.json").write_text(summary.to_json() + "\n")
        return summary

    def say(self, text: str) -> None:
        """One line of progress, with the seconds since the start."""
        print(f"[{time.monotonic() - self._started:5.0f} s] {text}", flush=True)

    def _start(self) -> None:
        is_own_site = not self.site
        if is_own_site:
            command = [sys.executable, "-m", "demo.site", "--truth", str(self.truth_file)]
            command += ["--pages-per-area", str(self.pages_per_area)]
            self.processes.start("site", command, is_server=True)
        self.say(f"starting MLflow and Airflow; logs are in {self.processes.logs}")
        self.mlflow.launch()
        self.airflow.launch()
        if is_own_site:
            self.processes.wait_until("demo site", self._site_answers, timeout_s=_SITE_READY_S, names=["site"])
            self.say(f"demo site: {self.site}")
        self.mlflow.wait_healthy()
        self.say(f"MLflow:  {self.mlflow.url}")
        self.airflow.wait_healthy()
        self.say(f"Airflow: {self.airflow.url}")
        api = self.airflow.api
        api.set_variable(VARIABLE, demo_variable(self.site, is_own_site=is_own_site))
        api.set_connection("mlflow_default", "mlflow", host=self.mlflow.url)
        self.say(f"Variable {VARIABLE} and Connection mlflow_default are set")

    def _site_answers(self) -> bool:
        first_line, newline, _ = self.processes.log_file("site").read_text().partition("\n")
        if newline:
            self.site = str(json.loads(first_line)["url"])
        return bool(newline)

    def _trigger(self) -> str:
        self.airflow.wait_for_dag(DAG_ID)
        self.airflow.api.unpause(DAG_ID)
        run_id = self.airflow.api.trigger(DAG_ID)
        self.say(f"triggered {DAG_ID}: {self.airflow.url}/dags/{DAG_ID}/runs/{run_id}")
        return run_id

    def _follow(self, run_id: str) -> None:
        shown: dict[str, str | None] = {}
        while True:
            self.processes.check()
            state = self.airflow.api.run_state(DAG_ID, run_id)
            for task in self.airflow.api.task_states(DAG_ID, run_id):
                if task.state != shown.get(task.name):
                    shown[task.name] = task.state
                    took = f" after {task.seconds:.1f} s" if task.seconds and task.state in FINISHED else ""
                    self.say(f"  {task.name:<16} {task.state}{took}")
            if state in FINISHED:
                self.say(f"the run is finished: {state}")
                break
            time.sleep(1)
        if state != "success":
            raise RunFailedError(self._why_failed(run_id))

    def _why_failed(self, run_id: str) -> str:
        failed = [task for task in self.airflow.api.task_states(DAG_ID, run_id) if task.state == "failed"]
        parts = [f"{DAG_ID} {run_id} failed"]
        for task in failed[:1]:
            log = self.airflow.task_log(DAG_ID, run_id, task.task_id, map_index=task.map_index)
            parts.append(f"the end of the log of {task.name} ({log}):\n{readable_tail(log, _LINES_OF_A_TASK_LOG)}")
        return "\n".join(parts)

    def _summarise(self, run_id: str) -> Summary:
        api = self.airflow.api
        return summarise(
            site=self.site,
            run=api.xcom(DAG_ID, run_id, "load_settings", key="run"),
            published=api.xcom(DAG_ID, run_id, "publish"),
            tasks=api.task_states(DAG_ID, run_id),
            truth=json.loads(self.truth_file.read_text()) if self.truth_file.exists() else None,
            airflow_url=f"{self.airflow.url}/dags/{DAG_ID}/runs/{run_id}",
            mlflow_url=self.mlflow.url,
            cache=self.folder / "cache",
        )


def main() -> int:
    arguments = _arguments()
    if arguments.with_parent:
        _end_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, _leave)
    folder = arguments.folder.resolve()
    try:
        if arguments.site:
            demo_variable(arguments.site, is_own_site=False)
        with claim(folder), Processes(folder / "logs") as processes:
            return _run(Demo(folder, processes, arguments.site, arguments.pages_per_area), stay=not arguments.exit)
    except (FolderInUseError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    except ProcessEndedError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", flush=True)
        return 130


def _run(demo: Demo, *, stay: bool) -> int:
    try:
        summary = demo.run()
    except _FAILURES as error:
        print(f"\nFAILED: {error}\n\nlogs: {demo.processes.logs} and {demo.airflow.task_logs}", file=sys.stderr)
        status = 1
    else:
        print(report(summary))
        print(f"Figures: {demo.folder / 'summary.json'}", flush=True)
        problems = summary.problems()
        for problem in problems:
            print(f"PROBLEM: {problem}", file=sys.stderr)
        status = 1 if problems else 0
    if stay:
        print("\nAirflow and MLflow stay up until Ctrl-C.", flush=True)
        with suppress(KeyboardInterrupt):
            _wait_for_the_end(demo.processes.check)
    demo.say("stopping")
    return status


def _wait_for_the_end(check: Callable[[], None]) -> None:
    while True:
        check()
        time.sleep(1)


def _leave(number: int, _frame: Any) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies: a killed ``make`` cannot pass anything on."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    environment = os.environ
    parser.add_argument("--site", default=environment.get("SITE", ""), help="address to crawl; empty: the demo's own")
    parser.add_argument("--exit", action="store_true", default=environment.get("EXIT") == "1")
    parser.add_argument("--folder", type=Path, default=Path(environment.get("DEMO_DIR") or ".demo"))
    parser.add_argument("--pages-per-area", type=int, default=200)
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process does")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

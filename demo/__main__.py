"""``python -m demo``: from a site to a champion, back from a broken challenger, and around by drift, in front of you.

It leaves Airflow, MLflow and the gateway to look at. Environment: ``SITE=https://…`` crawls that site instead of the
demo's own, whose owner reaches ``CONTACT=you@…``, and leaves out the drift, since nobody knows the truth there;
``EXIT=1`` leaves at the end with status 0 only if every expectation was met; ``DEMO_DIR`` is where all is kept (default
``.demo``).
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from airflow_provider_autoglm.exceptions import AutoGLMError, SettingsError
from demo.airflow_api import AirflowApiError
from demo.circle_story import NotConfirmedError
from demo.dag_runs import RunFailedError
from demo.folder import FolderInUseError, claim
from demo.ports import HOST, PortTakenError
from demo.processes import ProcessEndedError, Processes
from demo.report import report
from demo.sabotage import NotSabotagedError
from demo.stack import DagImportError
from demo.story import Demo
from demo.variable import demo_variable

_PR_SET_PDEATHSIG = 1
_FAILURES = (
    RunFailedError,
    NotConfirmedError,
    ProcessEndedError,
    PortTakenError,
    DagImportError,
    AirflowApiError,
    AutoGLMError,
    NotSabotagedError,
    requests.RequestException,
    TimeoutError,
)


def main() -> int:
    arguments = _arguments()
    if arguments.with_parent:
        _end_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, _leave)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"{HOST},localhost"  # MLflow's client asks these
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # its lines are for servers
    folder = arguments.folder.resolve()
    try:
        if arguments.site:
            demo_variable(arguments.site, is_own_site=False, contact=arguments.contact)
        with claim(folder), Processes(folder / "logs") as processes:
            return _run(_demo(folder, processes, arguments), stay=not arguments.exit)
    except (FolderInUseError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    except ProcessEndedError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", flush=True)
        return 130


def _demo(folder: Path, processes: Processes, arguments: argparse.Namespace) -> Demo:
    return Demo(folder, processes, arguments.site, arguments.pages_per_area, contact=arguments.contact)


def _run(demo: Demo, *, stay: bool) -> int:
    try:
        outcome = demo.run()
    except _FAILURES as error:
        print(f"\nFAILED: {error}\n\nlogs: {demo.processes.logs} and {demo.airflow.task_logs}", file=sys.stderr)
        status = 1
    else:
        print(report(outcome))
        print(f"Figures: {demo.folder / 'summary.json'}", flush=True)
        problems = outcome.problems()
        for problem in problems:
            print(f"PROBLEM: {problem}", file=sys.stderr)
        status = 1 if problems else 0
    if stay:
        print("\nAirflow, MLflow and the gateway stay up until Ctrl-C.", flush=True)
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
    parser.add_argument(
        "--contact", default=environment.get("CONTACT", ""), help="e-mail or page of yours; needed with --site"
    )
    parser.add_argument("--exit", action="store_true", default=environment.get("EXIT") == "1")
    parser.add_argument("--folder", type=Path, default=Path(environment.get("DEMO_DIR") or ".demo"))
    parser.add_argument("--pages-per-area", type=int, default=200)
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process does")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

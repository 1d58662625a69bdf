"""Child processes with their logs in files, of which nothing is left running whatever way their owner ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from demo import watchdog
from demo.ports import HOST, is_served_by

_STOP_LIMIT_S = 15.0
_LINES_OF_A_TAIL = 30
_REPOSITORY = Path(__file__).resolve().parent.parent


class ProcessEndedError(RuntimeError):
    """A process that should run on has ended."""

    def __init__(self, name: str, status: int, log_file: Path) -> None:
        self.name = name
        self.status = status
        self.log_file = log_file
        super().__init__(f"{name} ended with status {status}; the end of {log_file}:\n{tail(log_file)}")


class Processes:
    """Starts processes, watches them and stops them all.

    Each carries a marker in its environment, and so does everything it starts in turn. A watchdog holds the other end
    of a pipe to this process: when the pipe closes (at :meth:`stop`, or because this process died in any way), it ends
    whatever carries the marker.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.marker = uuid.uuid4().hex
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._servers: set[str] = set()
        logs.mkdir(parents=True, exist_ok=True)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "demo.watchdog", self.marker],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=_REPOSITORY,
            env={key: value for key, value in os.environ.items() if key != watchdog.MARKER},
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, is_server: bool = False
    ) -> None:
        """Start a process that runs until :meth:`stop`; its output goes to ``<logs>/<name>.log``.

        A server is stopped after the others, which still talk to it while they end.
        """
        if is_server:
            self._servers.add(name)
        with self.log_file(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=_REPOSITORY,
                env=self._environment(env),
                start_new_session=True,  # Ctrl-C in the terminal is for the owner, who stops the others in order
            )

    def run(self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Run a process to its end.

        :raises ProcessEndedError: if its status is not 0.
        """
        self.start(name, command, env=env)
        status = self._running.pop(name).wait()
        if status != 0:
            raise ProcessEndedError(name, status, self.log_file(name))

    def check(self, names: Collection[str] | None = None) -> None:
        """:raises ProcessEndedError: if one of the named processes, or any, has ended."""
        for name in self._running if names is None else names:
            status = self._running[name].poll()
            if status is not None:
                raise ProcessEndedError(name, status, self.log_file(name))

    def log_file(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self.logs / f"{name}.log"

    def wait_until(
        self,
        what: str,
        condition: Callable[[], bool],
        *,
        timeout_s: float,
        every_s: float = 0.5,
        names: Collection[str] | None = None,
    ) -> None:
        """Wait for ``condition`` while the named processes, or all, run.

        :raises ProcessEndedError: if one of them ends meanwhile.
        :raises TimeoutError: after ``timeout_s`` seconds.
        """
        give_up_at = time.monotonic() + timeout_s
        while not condition():
            self.check(names)
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{what}: not after {timeout_s:g} s; logs are in {self.logs}")
            time.sleep(every_s)

    def wait_for_server(
        self, names: Collection[str], port: int, is_healthy: Callable[[], bool], *, timeout_s: float
    ) -> None:
        """Wait until what the named processes serve on ``port`` is healthy.

        :raises PortTakenError: if another program listens there.
        :raises ProcessEndedError: if one of the processes ends meanwhile.
        :raises TimeoutError: after ``timeout_s`` seconds.
        """

        def is_ready() -> bool:
            return is_served_by(port, watchdog.marked_processes(self.marker)) and is_healthy()

        self.wait_until(f"{', '.join(names)} healthy", is_ready, timeout_s=timeout_s, names=names)

    def kill(self, name: str) -> None:
        """SIGKILL to a process and to all that it has started, as the end of a machine would."""
        process = self._running.pop(name)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()

    def end(self, names: Collection[str]) -> None:
        """End some of the processes, as :meth:`stop` does with all."""
        _end([self._running.pop(name) for name in names])

    def stop(self) -> None:
        """SIGTERM to each process, servers last; what has not ended after 15 s is killed, with all it started."""
        _end([process for name, process in self._running.items() if name not in self._servers])
        _end([process for name, process in self._running.items() if name in self._servers])
        self._running.clear()
        watchdog.end_marked(self.marker, grace_s=0)
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        self._watchdog.wait()

    def _environment(self, env: Mapping[str, str] | None) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "MLFLOW"))}
        # SPT_NOENV: setproctitle, which Airflow calls, else overwrites the environment in which the marker is found.
        local = {"SPT_NOENV": "1", "NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost"}
        return {**inherited, **local, "PYTHONUNBUFFERED": "1", **(env or {}), watchdog.MARKER: self.marker}


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    give_up_at = time.monotonic() + _STOP_LIMIT_S
    for process in processes:
        try:
            process.wait(max(0.0, give_up_at - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tail(file: Path, lines: int = _LINES_OF_A_TAIL) -> str:
    """The last lines of a file; empty if there is no such file."""
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""

"""A real MLflow server on loopback that can be stopped and started again at the same address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

ADMIN = "admin"
ADMIN_PASSWORD = "marked-admin-password-7f3a"
_START_TIMEOUT_S = 180
_STOP_TIMEOUT_S = 20


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class MlflowServer:
    """``mlflow server`` over SQLite in ``folder``; with ``basic_auth`` only :data:`ADMIN` may use it.

    ``allowed_hosts`` are the host names it accepts for itself, comma-separated; by default those of loopback.
    """

    folder: Path
    basic_auth: bool = False
    allowed_hosts: str = ""
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> MlflowServer:
        """Start and wait until ``/health`` answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_healthy()
        return self

    def stop(self) -> None:
        """Stop the server and its workers: the process group it leads."""
        if self._process is None:
            return
        process, self._process = self._process, None
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @contextmanager
    def away(self) -> Iterator[None]:
        """An outage for the length of a ``with`` block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def freeze(self) -> None:
        """Let it accept connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        if self.allowed_hosts:
            command += ["--allowed-hosts", self.allowed_hosts]
        return [*command, "--app-name", "basic-auth"] if self.basic_auth else command

    def _environment(self) -> dict[str, str]:
        # MLFLOW_ variables of the test process belong to its clients.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        if self.basic_auth:
            settings |= {
                "MLFLOW_AUTH_CONFIG_PATH": str(self._auth_config()),
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "for-tests-only",
            }
        return inherited | settings

    def _auth_config(self) -> Path:
        config = self.folder / "auth.ini"
        config.write_text(
            "[mlflow]\n"
            "default_permission = READ\n"
            f"database_uri = sqlite:///{self.folder}/auth.db\n"
            f"admin_username = {ADMIN}\n"
            f"admin_password = {ADMIN_PASSWORD}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 60\n"
        )
        return config

    def _wait_until_healthy(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if requests.get(f"{self.uri}/health", timeout=5).ok:
                    return
            except requests.RequestException:
                # The port is not open yet: the child's end is what the wait is for.
                self._wait_for_exit(0.2)
        self.stop()
        raise RuntimeError(f"the MLflow server did not start:\n{self.log_file.read_text()[-3000:]}")

    def _wait_for_exit(self, seconds: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return


@contextmanager
def running(server: MlflowServer) -> Iterator[MlflowServer]:
    """The server, started; stopped at the end whatever happens."""
    try:
        yield server.start()
    finally:
        server.stop()

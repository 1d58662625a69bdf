"""A gateway process on loopback, and a client of it. It keeps its port over restarts, as a service would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import requests

_STOP_LIMIT_S = 40.0
_ANSWER_LIMIT_S = 60.0

Setting = str | int | float | bool


class GatewayEndedError(RuntimeError):
    """The gateway ended before it listened."""


class Gateway:
    """``python -m airflow_provider_autoglm.serving`` with ``settings``; its files are in ``folder``.

    :param environment: variables in place of those of this process.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Setting], *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.settings = {"host": "127.0.0.1", "port": 0, "cache_dir": str(folder / "cache"), **settings}
        self.url = ""
        self._environment = dict(os.environ if environment is None else environment)
        self._process: subprocess.Popen[str] | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def log_file(self) -> Path:
        """What it says of itself."""
        return self.folder / "gateway.log"

    @property
    def command(self) -> Sequence[str]:
        """How it is started."""
        return [sys.executable, "-m", "airflow_provider_autoglm.serving", "--config", str(self.folder / "gateway.toml")]

    def write_config(self) -> None:
        """Write the settings where :attr:`command` reads them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items()]
        (self.folder / "gateway.toml").write_text("".join(lines))

    def start(self) -> Gateway:
        """Start it and wait until it listens, which is before it can answer: see :meth:`is_ready`.

        :raises GatewayEndedError: if it does not come to that.
        """
        self.write_config()
        with self.log_file.open("a") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,  # Ctrl-C in the terminal is for the owner
            )
        self.url = _last_word(self._process.stdout)
        if not self.url.startswith("http"):
            status = self._process.wait()
            raise GatewayEndedError(f"the gateway ended with status {status}:\n{self.log_file.read_text()[-3000:]}")
        self.settings["port"] = int(self.url.rpartition(":")[2])
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        """SIGTERM; returns the status with which it ended. One that does not end is killed."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._gone()

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._gone()

    def is_ready(self) -> bool:
        """Whether it can answer."""
        return self.get("/ready").ok

    def invoke(self, *texts: str, request_id: str | None = None) -> requests.Response:
        """Ask for the labels of texts."""
        headers = {} if request_id is None else {"x-request-id": request_id}
        return self.post("/invocations", {"inputs": list(texts)}, headers=headers)

    def feedback(self, request_id: str, **values: Any) -> requests.Response:
        """Say what was right."""
        return self.post("/feedback", {"request_id": request_id, **values})

    def routes(self) -> dict[str, Any]:
        """What it does right now."""
        return dict(self.get("/v1/routes").json())

    def get(self, path: str) -> requests.Response:
        """GET."""
        return self._session.get(f"{self.url}{path}", timeout=_ANSWER_LIMIT_S)

    def post(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> requests.Response:
        """POST of JSON, or of bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self._session.post(f"{self.url}{path}", data=data, headers=headers, timeout=_ANSWER_LIMIT_S)

    def _gone(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        status = self._process.wait()
        self._process.stdout.close()
        self._process = None
        return status


def _last_word(banner: IO[str] | None) -> str:
    assert banner is not None
    words = banner.readline().split()
    return words[-1] if words else ""

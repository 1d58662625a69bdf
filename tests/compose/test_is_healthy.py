"""The health check of the containers against a server that is well, and one that is not."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.conftest import REPOSITORY
from tests.mlflow_server import free_port

_HEALTH = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}, "triggerer": {"status": None}}


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/ill" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(_HEALTH).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the check with a proxy in the environment, which it must not ask."""
    environment = {"http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, str(REPOSITORY / "compose/is_healthy.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_server_that_answers_is_healthy(url: str) -> None:
    assert check(f"{url}/health").returncode == 0


def test_a_component_is_what_airflow_says_of_it(url: str) -> None:
    assert check(f"{url}/health", "metadatabase").returncode == 0
    ill = check(f"{url}/health", "scheduler")
    assert (ill.returncode, ill.stderr) == (1, f"{url}/health: scheduler is unhealthy\n")
    assert check(f"{url}/health", "triggerer").returncode == 1


def test_an_error_is_not_healthy(url: str) -> None:
    ill = check(f"{url}/ill")
    assert ill.returncode == 1
    assert "503" in ill.stderr


def test_nobody_listening_is_not_healthy() -> None:
    assert check(f"http://127.0.0.1:{free_port()}/health").returncode == 1

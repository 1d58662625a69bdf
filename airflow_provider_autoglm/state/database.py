"""One database of operational state: SQLite for one machine, PostgreSQL for more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from airflow_provider_autoglm.exceptions import (
    InvalidStateUrlError,
    MissingExtraError,
    StateNotMigratedError,
    StateUnavailableError,
)
from airflow_provider_autoglm.settings.base import redact_userinfo
from airflow_provider_autoglm.state.clock import database_now

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_BUSY_TIMEOUT_S = 10
_CONNECT_TIMEOUT_S = 5
_MIGRATIONS = os.path.join(os.path.dirname(__file__), "migrations")


class Database:
    """A pool of connections to the state; safe to share between threads, not across a fork.

    :param url: ``sqlite:////absolute/path.db`` or ``postgresql://[user[:password]@]host[:port]/database``; it is never
        shown with its credentials.
    :raises InvalidStateUrlError: if it is neither.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self._url = _checked(url)
        self.engine = _create_engine(self._url)
        self._reader = self.engine.execution_options(is_reader=True)

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @property
    def name(self) -> str:
        """The address without credentials."""
        return redact_userinfo(self._url.render_as_string(hide_password=True))

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end of the block; on SQLite it holds the write lock from the start.

        :raises StateUnavailableError: if the database cannot be reached, or is locked for 10 s.
        :raises StateNotMigratedError: if the tables are not there.
        """
        with self._begun(self.engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads, and waits for nobody; raises as :meth:`transaction` does."""
        with self._begun(self._reader) as connection:
            yield connection

    @contextmanager
    def _begun(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._explained(error) from error

    def now(self) -> float:
        """The database's time, in seconds since the epoch."""
        with self.reading() as connection:
            return float(connection.execute(sa.select(database_now())).scalar_one())

    def migrate(self) -> str:
        """Bring the tables to the newest revision, whoever else does so at the same time; returns the revision."""
        from alembic import command

        folder = os.path.dirname(self._url.database or "")
        if self._url.drivername == "sqlite" and folder:
            os.makedirs(folder, exist_ok=True)
        with self.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('autoglm_state'))"))
            command.upgrade(_alembic_config(connection), "head")
        return self.revision() or ""

    def revision(self) -> str | None:
        """The revision of the tables, or None before the first migration."""
        from alembic.runtime.migration import MigrationContext

        with self.reading() as connection:
            return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()

    def check(self) -> None:
        """Return if the tables are there and of the newest revision.

        :raises StateNotMigratedError: if not.
        :raises StateUnavailableError: if the database cannot be reached.
        """
        found, newest = self.revision(), newest_revision()
        if found != newest:
            raise StateNotMigratedError(self.name, found, newest)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _explained(self, error: SQLAlchemyError) -> Exception:
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        if "no such table" in cause or 'relation "' in cause:
            return StateNotMigratedError(self.name, None, newest_revision())
        if isinstance(error, DBAPIError) and not isinstance(error, sa.exc.IntegrityError):
            return StateUnavailableError(self.name, redact_userinfo(cause))
        return error


VERSION_TABLE = "autoglm_alembic_version"
"""A name of its own, so that the state can live in the database of another application."""


def newest_revision() -> str:
    """The revision that this version of the package works with."""
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory.from_config(_alembic_config(None)).get_current_head())


def _alembic_config(connection: sa.Connection | None) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _MIGRATIONS.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _checked(url: str | sa.URL) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except SQLAlchemyError:
        raise InvalidStateUrlError("it cannot be read as a URL") from None
    driver = _DRIVERS.get(parsed.drivername.partition("+")[0])
    if driver is None:
        raise InvalidStateUrlError(f"{parsed.drivername} is not supported")
    if driver == "sqlite" and not os.path.isabs(parsed.database or ""):
        raise InvalidStateUrlError("the path of an SQLite file must be absolute: sqlite:////folder/state.db")
    return parsed.set(drivername=driver)


def _create_engine(url: sa.URL) -> sa.Engine:
    if url.drivername == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False})
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin)
        return engine
    try:
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S})
    except ImportError:
        raise MissingExtraError("psycopg", "postgres") from None


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # pysqlite would begin on its own, and only at the first change
    cursor = connection.cursor()
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = normal")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # A transaction that begins as a reader cannot become a writer once another one has written.
    is_reader = connection.get_execution_options().get("is_reader", False)
    connection.exec_driver_sql("begin" if is_reader else "begin immediate")

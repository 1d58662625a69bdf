"""One database of operational state: SQLite for one machine, PostgreSQL for more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_autoglm.exceptions import StateNotMigratedError, StateUnavailableError
from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.engine import address, checked_url, create_engine
from airflow_provider_autoglm.state.failures import is_of_another_revision, outage
from airflow_provider_autoglm.state.revision import alembic_config, current_revision, known_revisions, newest_revision


class Database:
    """A pool of connections to the state; safe to share between threads, not across a fork.

    It connects at first use, and again after the database was away.

    :param url: ``sqlite:////absolute/path.db`` or ``postgresql://[user[:password]@]host[:port]/database``; it is never
        shown with its credentials.
    :raises InvalidStateUrlError: if it is neither.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self._url = checked_url(url)
        self.engine = create_engine(self._url)
        self._reader = self.engine.execution_options(is_reader=True)

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @property
    def name(self) -> str:
        """The address without credentials."""
        return address(self._url)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end of the block; on SQLite it holds the write lock from the start.

        :raises StateUnavailableError: if the database cannot be reached, or is locked for 10 s.
        :raises StateNotMigratedError: if the tables are not there, or not as this version knows them.
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
        """Bring the tables to the newest revision, whoever else does so at the same time; returns the revision.

        :raises StateNotMigratedError: if a newer version of this package has migrated them further.
        :raises StateUnavailableError: if the database cannot be reached, or its file not be created.
        """
        from alembic import command

        self._create_file()
        with self.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('autoglm_state'))"))
            self._refuse_unknown(current_revision(connection))
            command.upgrade(alembic_config(connection), "head")
        return self.revision() or ""

    def revision(self) -> str | None:
        """The revision of the tables, or None before the first migration."""
        with self.reading() as connection:
            return current_revision(connection)

    def check(self) -> None:
        """Return if the tables are there and of the newest revision.

        :raises StateNotMigratedError: if not.
        :raises StateUnavailableError: if the database cannot be reached.
        """
        found, newest = self.revision(), newest_revision()
        self._refuse_unknown(found)
        if found != newest:
            raise StateNotMigratedError(self.name, found, newest)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _create_file(self) -> None:
        path = self._url.database or ""
        if self._url.drivername != "sqlite":
            return
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
        except OSError as error:
            raise StateUnavailableError(self.name, error.strerror) from error

    def _refuse_unknown(self, found: str | None) -> None:
        if found is not None and found not in known_revisions():
            remedy = "a newer version of airflow-provider-autoglm has migrated it: install that version"
            raise StateNotMigratedError(self.name, found, newest_revision(), remedy)

    def _explained(self, error: SQLAlchemyError) -> Exception:
        if is_of_another_revision(error):
            return self._not_migrated(error)
        return outage(self._url, error) or error

    def _not_migrated(self, error: SQLAlchemyError) -> Exception:
        """What keeps a table from being there; the error itself if the revision is the right one."""
        try:
            self.check()
        except (StateNotMigratedError, StateUnavailableError) as reason:
            return reason
        return error

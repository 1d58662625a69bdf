"""Errors of the database in our words: away, damaged, not migrated; what is a mistake in a statement stays as it is."""

from __future__ import annotations

import os
import sqlite3

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from airflow_provider_autoglm.exceptions import AutoGLMError, DamagedStateError, StateUnavailableError
from airflow_provider_autoglm.settings.base import redact_userinfo
from airflow_provider_autoglm.state.engine import address

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNDEFINED_TABLE, _UNDEFINED_COLUMN, _NO_PERMISSION, _IS_READ_ONLY = "42P01", "42703", "42501", "25006"


def is_of_another_revision(error: SQLAlchemyError) -> bool:
    """Whether a table or a column is not there."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return str(cause).startswith(("no such table", "no such column")) or "has no column named" in str(cause)
    return getattr(cause, "sqlstate", None) in (_UNDEFINED_TABLE, _UNDEFINED_COLUMN)


def outage(url: sa.URL, error: SQLAlchemyError) -> AutoGLMError | None:
    """The error as ours if the database is away, locked or damaged; None if the statement is to blame."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return _sqlite_outage(url, cause)
    if isinstance(error, sa.exc.TimeoutError):  # all connections of the pool are in use
        return StateUnavailableError(address(url), error)
    if not isinstance(error, DBAPIError):
        return None
    is_away = error.connection_invalidated or isinstance(error, (InterfaceError, OperationalError))
    if is_away or getattr(cause, "sqlstate", None) in (_NO_PERMISSION, _IS_READ_ONLY):
        return StateUnavailableError(address(url), _in_words(cause))
    return None


def _sqlite_outage(url: sa.URL, cause: sqlite3.Error) -> AutoGLMError | None:
    code = (getattr(cause, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DAMAGED:
        return DamagedStateError(address(url), _in_words(cause))
    if code == sqlite3.SQLITE_CANTOPEN and not os.path.exists(url.database or ""):
        return StateUnavailableError(
            address(url), "there is no such file; correct the path, or create it with: airflow autoglm db migrate"
        )
    if isinstance(cause, sqlite3.IntegrityError) or code == sqlite3.SQLITE_ERROR:
        return None
    return StateUnavailableError(address(url), _in_words(cause))


def _in_words(cause: object) -> str:
    return redact_userinfo(" ".join(str(cause).split()))

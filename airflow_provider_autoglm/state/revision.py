"""Revisions of the tables: the one that is there, the one that is needed, and the way between them."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa

VERSION_TABLE = "autoglm_alembic_version"
"""A name of its own, so that the state can live in the database of another application."""

_MIGRATIONS = os.path.join(os.path.dirname(__file__), "migrations")


def newest_revision() -> str:
    """The revision that this version of the package works with."""
    return str(_scripts().get_current_head())


def known_revisions() -> set[str]:
    """The revisions that this version of the package can migrate from."""
    return {script.revision for script in _scripts().walk_revisions()}


def current_revision(connection: sa.Connection) -> str | None:
    """The revision of the tables, or None before the first migration."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    # Alembic's own way to ask writes two lines to the log each time.
    version = sa.table(VERSION_TABLE, sa.column("version_num", sa.String()))
    return connection.execute(sa.select(version.c.version_num)).scalar_one_or_none()


def alembic_config(connection: sa.Connection | None) -> Any:
    """What Alembic's commands take; they run in the transaction of ``connection``."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _MIGRATIONS.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _scripts() -> Any:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_config(None))

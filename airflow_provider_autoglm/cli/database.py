"""``airflow autoglm db``, and how every command that needs the state comes by it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_autoglm.exceptions import AutoGLMError, InvalidStateUrlError, StateUnavailableError

if TYPE_CHECKING:
    from airflow_provider_autoglm.state import Database


def migrate(args: argparse.Namespace) -> None:
    """Create the tables, or bring them to the revision that this version needs."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # what it did is said below
    with opened_state(args) as database:
        try:
            before = database.revision()
        except StateUnavailableError:  # an SQLite file that is not there yet; what is really away fails below
            before = None
        revision = database.migrate()
        if before == revision:
            print(f"the state database {database.name} is at revision {revision} already")
        else:
            print(f"the state database {database.name} was brought from revision {before or 'none'} to {revision}")


@contextmanager
def opened_state(args: argparse.Namespace) -> Iterator[Database]:
    """The state that ``--state-url-file`` or ``--state-conn-id`` names; an error ends the command with its message."""
    try:
        database = _named_database(args)
        try:
            yield database
        finally:
            database.close()
    except AutoGLMError as error:
        sys.exit(str(error))


def require_known(database: Database, pipeline: str) -> None:
    """End the command if the state has never heard of ``pipeline``, which is a mistyped name most of the time."""
    from airflow_provider_autoglm.state.pipelines import known_pipelines

    database.check()
    known = known_pipelines(database)
    if pipeline not in known:
        names = ", ".join(known) or "none yet"
        sys.exit(f"the state database {database.name} knows no pipeline {pipeline}; it knows {names}")


def use_stored_connections() -> None:
    """Let connections be found in Airflow's database: a command is no task, which has another way to them."""
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


def _named_database(args: argparse.Namespace) -> Database:
    if args.state_url_file:
        return _from_file(args.state_url_file)
    from airflow.sdk.exceptions import AirflowNotFoundException

    use_stored_connections()
    from airflow_provider_autoglm.hooks.state import StateHook

    try:
        return StateHook(args.state_conn_id).get_database()
    except AirflowNotFoundException:
        sys.exit(
            f"there is no connection {args.state_conn_id}, or Airflow's database is away; create one of type "
            "AutoGLM state, or give --state-url-file"
        )


def _from_file(path: str) -> Database:
    from airflow_provider_autoglm.state import Database

    try:
        with open(path, encoding="utf-8") as file:
            return Database(file.read().strip())
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"--state-url-file {path} cannot be read: {error}")
    except InvalidStateUrlError as error:
        sys.exit(f"--state-url-file {path}: {error}")

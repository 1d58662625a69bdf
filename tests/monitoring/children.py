"""Checks in processes of their own that end at a chosen moment, or begin at the same one."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from typing import Any, Literal

import sqlalchemy as sa

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.monitoring.drift_check import check_drift
from airflow_provider_autoglm.settings import DriftSettings
from airflow_provider_autoglm.state import Database
from tests.monitoring.conftest import PIPELINE, unreachable

Moment = Literal["before the manifest", "after the manifest", "before the commit", "after the commit"]

KILLED = 9
DEADLINE_S = 120
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.monitoring.children"])


class _DyingStorage(Storage):
    """Ends the process when a manifest is to be written, right before or right after."""

    is_written_first = False

    def create(self, uri: str, data: bytes) -> None:
        if self.is_written_first:
            super().create(uri, data)
        os._exit(KILLED)


class _LateDyingStorage(_DyingStorage):
    is_written_first = True


def _die_at_commit(database: Database) -> None:
    """End the process when the transaction that wrote a check is to be committed."""
    is_written = False

    @sa.event.listens_for(database.engine, "after_cursor_execute")
    def _note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal is_written
        is_written |= statement.startswith("INSERT INTO checks")

    @sa.event.listens_for(database.engine, "commit")
    def _die(_connection: Any) -> None:
        if is_written:
            os._exit(KILLED)


def _check(url: str, references: str, settings: DriftSettings, run: str, moment: Moment | Barrier) -> None:
    database, local = Database(url), Storage.local()
    storage = local
    if moment == "before the manifest":
        storage = _DyingStorage(local.filesystem, local.root)
    elif moment == "after the manifest":
        storage = _LateDyingStorage(local.filesystem, local.root)
    elif moment == "before the commit":
        _die_at_commit(database)
    elif not isinstance(moment, str):
        moment.wait(DEADLINE_S)
    check_drift(database, PIPELINE, settings, run=run, references=references, packed=unreachable, storage=storage)
    if moment == "after the commit":
        os._exit(KILLED)


def start_check(
    database: Database, references: str, settings: DriftSettings, *, run: str, moment: Moment | Barrier
) -> BaseProcess:
    """Start a check in a process of its own that dies at ``moment``, or that waits for the others before it begins."""
    url = database.engine.url.render_as_string(hide_password=False)
    process = _CONTEXT.Process(target=_check, args=(url, references, settings, run, moment))
    process.start()
    return process


def barrier(parties: int) -> Barrier:
    return _CONTEXT.Barrier(parties)

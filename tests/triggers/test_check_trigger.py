"""Waiting for a confirmed check in the triggerer."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, record_check
from airflow_provider_autoglm.triggers.check import ConfirmedCheckTrigger


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/state.db"
    monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_STATE", json.dumps({"conn_type": "autoglm_state", "host": url}))
    return url


def trigger() -> ConfirmedCheckTrigger:
    return ConfirmedCheckTrigger(
        pipeline="watched", kind="drift", since=0.0, state_conn_id="autoglm_state", poke_interval_s=0.02
    )


def test_it_can_be_made_again_from_what_it_serializes(url: str) -> None:
    path, arguments = trigger().serialize()
    assert path == "airflow_provider_autoglm.triggers.check.ConfirmedCheckTrigger"
    assert ConfirmedCheckTrigger(**arguments).serialize() == (path, arguments)


def test_it_goes_on_looking_while_the_state_is_away(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> dict[str, object]:
        events = trigger().run()
        event = asyncio.create_task(anext(events))
        async with asyncio.timeout(60):
            while "looking again" not in capsys.readouterr().out:
                assert not event.done()
                await asyncio.sleep(0.01)
        await asyncio.to_thread(confirm)
        return dict((await event).payload)

    def confirm() -> None:
        database = Database(f"{url}.new")
        database.migrate()
        measured = Check("watched", "drift", "run", "drifted", is_confirmed=True)
        record_check(database, measured, lambda check, _earlier, _now: check)
        database.close()
        file = url.removeprefix("sqlite:///")
        os.rename(f"{file}.new", file)

    found = asyncio.run(run())
    assert (found["check"], found["is_confirmed"]) == (1, True)

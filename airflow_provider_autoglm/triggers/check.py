"""Waiting for a confirmed check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_autoglm.exceptions import StateUnavailableError

if TYPE_CHECKING:
    from airflow_provider_autoglm.state.checks import Check, CheckKind


class ConfirmedCheckTrigger(BaseTrigger):
    """
    Fire when a check of a kind has been confirmed after a moment; the event is the check.

    Looks in a thread, with a short transaction each time. While the state is away it goes on looking.

    :param pipeline: name of the pipeline.
    :param kind: ``drift`` or ``feedback``.
    :param since: seconds since the epoch.
    :param state_conn_id: connection of type ``autoglm_state``.
    :param poke_interval_s: seconds between two looks, the first of which is a wait too.
    """

    def __init__(
        self, *, pipeline: str, kind: CheckKind, since: float, state_conn_id: str, poke_interval_s: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline = pipeline
        self.kind = kind
        self.since = since
        self.state_conn_id = state_conn_id
        self.poke_interval_s = poke_interval_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, for the metadata database."""
        arguments = {
            "pipeline": self.pipeline,
            "kind": self.kind,
            "since": self.since,
            "state_conn_id": self.state_conn_id,
            "poke_interval_s": self.poke_interval_s,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is one."""
        from airflow_provider_autoglm.operators.check import as_result

        found = None
        while found is None:
            await asyncio.sleep(self.poke_interval_s)
            found = await asyncio.to_thread(self._look)
        yield TriggerEvent(as_result(found))  # type: ignore[no-untyped-call]

    def _look(self) -> Check | None:
        try:
            return newest_confirmed(self.state_conn_id, self.pipeline, self.kind, self.since)
        except StateUnavailableError as error:
            self.log.warning("%s; looking again in %g s", error, self.poke_interval_s)
            return None


def newest_confirmed(state_conn_id: str, pipeline: str, kind: CheckKind, since: float) -> Check | None:
    """The latest confirmed check of a kind, if it was made after ``since`` (seconds since the epoch)."""
    from airflow_provider_autoglm.hooks.state import StateHook
    from airflow_provider_autoglm.state.checks import confirmed_checks

    database = StateHook(state_conn_id).get_database()
    try:
        found = confirmed_checks(database, pipeline, kind, limit=1)
    finally:
        database.close()
    return found[0] if found and found[0].at > since else None

"""What passes between a gateway and the state outside of requests: routes in; heartbeat and events out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import sqlalchemy as sa

from airflow_provider_autoglm.exceptions import AutoGLMError
from airflow_provider_autoglm.serving.database_clock import DatabaseClock
from airflow_provider_autoglm.serving.fleet import Fleet
from airflow_provider_autoglm.serving.route_table import RouteFile, RouteTable
from airflow_provider_autoglm.settings.serving import ServingSettings
from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.events import Event, record_event
from airflow_provider_autoglm.state.replicas import Replica, VersionStatus, forget_replica, report_replica
from airflow_provider_autoglm.state.routes import Model, Routes, mark_lease_lost, routes_in

_log = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 2.0
_SAY_EVERY_S = 60.0


class Poller:
    """Looks at the routes every ``poll_s``; while the state is away the last table stays and it tries on, ever slower.

    SQL runs in threads, so that no request waits for it.

    :param champion: the model that answers now, if any.
    """

    def __init__(
        self,
        settings: ServingSettings,
        *,
        database: Database,
        fleet: Fleet,
        clock: DatabaseClock,
        champion: Callable[[], Model | None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._fleet = fleet
        self._clock = clock
        self._champion = champion
        self._route_file = RouteFile(settings.cache_dir, pipeline=settings.pipeline, state_name=database.name)
        self._events: list[Event] = []
        self._stopping = asyncio.Event()
        self._is_checked = False
        self._pause_s = 0.0
        self._say_again_at = 0.0
        self.table: RouteTable | None = None
        self.problem = "it has not been asked yet"

    async def run(self) -> None:
        """Poll until :meth:`stop`."""
        self.table = await asyncio.to_thread(self._route_file.load)
        while not self._stopping.is_set():
            problem = await self._poll()
            self._say(problem)
            self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s or self._settings.poll_s) if problem else 0.0
            try:
                await asyncio.wait_for(self._stopping.wait(), self._pause_s or self._settings.poll_s)
            except TimeoutError:
                continue

    async def stop(self, running: asyncio.Task[None]) -> None:
        """End :meth:`run`, and take the gateway out of the replicas."""
        self._stopping.set()
        await running
        try:
            await asyncio.to_thread(self._forget)
        except AutoGLMError as error:
            _log.warning("the gateway stays among the replicas until its heartbeat is old: %s", error)

    def note_breaker(self, model: Model, reason: str) -> None:
        """A breaker has opened: the state is told at the next poll."""
        assert self.table is not None
        routes = self.table.routes
        scope = f"routes/{routes.generation}" if routes.rollout_id is None else f"rollout/{routes.rollout_id}"
        gateway_id = self._settings.gateway_id
        self._events.append(
            Event(
                pipeline=self._settings.pipeline,
                key=f"{scope}/breaker/{model.version}/{gateway_id}",
                kind="breaker",
                rollout_id=routes.rollout_id,
                version=model.version,
                generation=routes.generation,
                detail={"reason": reason, "gateway_id": gateway_id},
            )
        )

    async def _poll(self) -> str:
        """Look once; returns what was wrong with the state, or nothing."""
        problem = await self._attempt(self._read())
        mistake = await self._attempt(self._want())
        return problem or mistake or await self._attempt(self._report())

    async def _attempt(self, step: Awaitable[None]) -> str:
        try:
            await step
        except AutoGLMError as error:
            return str(error)
        except Exception as error:  # a gateway that stops to poll would keep its table for ever
            _log.exception("the state cannot be polled")
            return type(error).__name__
        return ""

    async def _read(self) -> None:
        asked_at = time.monotonic()
        routes, database_time, answered_at = await asyncio.to_thread(self._ask)
        self._clock.set(database_time, monotonic=answered_at)
        table = RouteTable.read(routes, asked_at=asked_at)
        self.table = table.following(self.table, ready_before=self._champion())
        await asyncio.to_thread(self._route_file.save, routes)

    def _ask(self) -> tuple[Routes, float, float]:
        if not self._is_checked:
            self._database.check()
            self._is_checked = True
        with self._database.reading() as connection:
            routes = routes_in(connection, self._settings.pipeline)
            database_time = float(connection.execute(sa.select(database_now())).scalar_one())
        return routes, database_time, time.monotonic()

    async def _want(self) -> None:
        if self.table is not None:
            await self._fleet.want(self.table.models(), champions=self.table.champions())

    async def _report(self) -> None:
        assert self.table is not None
        events = tuple(self._events)
        await asyncio.to_thread(self._write, self.table.routes, dict(self._fleet.statuses()), events)
        del self._events[: len(events)]

    def _write(self, routes: Routes, versions: Mapping[str, VersionStatus], events: Sequence[Event]) -> None:
        pipeline, gateway_id = self._settings.pipeline, self._settings.gateway_id
        heartbeat = Replica(pipeline, gateway_id, routes.generation, versions, self._settings.log_text)
        with self._database.transaction() as connection:
            report_replica(connection, heartbeat)
            for event in events:
                record_event(connection, event)
            is_lease_over = routes.lease_s is not None and routes.lease_s <= 0 and not routes.is_lease_lost
            if is_lease_over and mark_lease_lost(connection, pipeline, routes.generation):
                record_event(connection, _lease_lost(routes, gateway_id))

    def _forget(self) -> None:
        with self._database.transaction() as connection:
            forget_replica(connection, self._settings.pipeline, self._settings.gateway_id)

    def _say(self, problem: str) -> None:
        """Log what is wrong, once a minute, and that it is over."""
        if problem and (not self.problem or time.monotonic() >= self._say_again_at):
            _log.warning("the state cannot be used, the last routes stay: %s", problem)
            self._say_again_at = time.monotonic() + _SAY_EVERY_S
        if self.problem and not problem:
            _log.info("the state can be used")
        self.problem = problem


def _lease_lost(routes: Routes, gateway_id: str) -> Event:
    return Event(
        pipeline=routes.pipeline,
        key=f"routes/{routes.generation}/lease_lost",
        kind="lease_lost",
        rollout_id=routes.rollout_id,
        version=routes.challenger.version if routes.challenger else None,
        generation=routes.generation,
        detail={"gateway_id": gateway_id},
    )

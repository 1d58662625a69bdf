"""The loop of a rollout, without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_autoglm.exceptions import FencedError, StateUnavailableError

if TYPE_CHECKING:
    from airflow_provider_autoglm.rollout.driver import RolloutDriver
    from airflow_provider_autoglm.state.rollouts import Rollout

_EARLIEST_EVENT_S = 6.0
"""A task that resumes while its supervisor still ends can be marked failed: it lingers 5 s by default."""
_HEARTBEATS_A_LEASE = 4


class RolloutTrigger(BaseTrigger):
    """
    Drive a rollout until it is done, rolled back or held for a person.

    Each tick looks at the state, judges and acts; heartbeats that keep the lease alive run beside it, so that a long
    tick does not lose it. All of that happens in threads. A trigger that another process has taken over from only
    watches, and takes over again when that one falls silent for the length of the lease. While the state is away it
    goes on trying; gateways give the traffic back when the lease is over.

    :param rollout_id: the rollout.
    :param run: what ``load_settings`` returned under ``run``: connections by their ids, no secret.
    :param tick_s: seconds between two looks.
    :param lease_s: seconds of the lease.
    """

    def __init__(self, *, rollout_id: int, run: dict[str, Any], tick_s: float, lease_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rollout_id = rollout_id
        self.run_reference = run
        self.tick_s = tick_s
        self.lease_s = lease_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, for the metadata database."""
        arguments = {
            "rollout_id": self.rollout_id,
            "run": self.run_reference,
            "tick_s": self.tick_s,
            "lease_s": self.lease_s,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Drive the rollout; the one event names the state it has come to rest in."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        driver = await self._until_state_is_there()
        heartbeat = asyncio.create_task(self._keep_lease(driver))
        try:
            rollout = await self._drive(driver)
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)
            await asyncio.to_thread(driver.close)
        await asyncio.sleep(started + _EARLIEST_EVENT_S - loop.time())
        yield TriggerEvent({"rollout_id": self.rollout_id, "state": rollout.state})  # type: ignore[no-untyped-call]

    async def _until_state_is_there(self) -> RolloutDriver:
        while True:
            try:
                return await asyncio.to_thread(self._take_over)
            except StateUnavailableError as error:
                self.log.warning("rollout %d: %s; trying again", self.rollout_id, error)
                await asyncio.sleep(self.tick_s)

    def _take_over(self) -> RolloutDriver:
        # A triggerer without the extra is to fail before there is traffic, not when it has to judge.
        import airflow_provider_autoglm.rollout.judge  # noqa: F401
        from airflow_provider_autoglm.operators.serving_state import driver_of
        from airflow_provider_autoglm.settings import RunReference

        driver = driver_of(RunReference.parse(self.run_reference, path="run"), self.rollout_id)
        driver.take_over()
        return driver

    async def _drive(self, driver: RolloutDriver) -> Rollout:
        while True:
            rollout = await self._tick(driver)
            if rollout is not None and rollout.is_at_rest:
                return rollout
            await asyncio.sleep(self.tick_s)

    async def _tick(self, driver: RolloutDriver) -> Rollout | None:
        """The rollout after one tick, or as it is where another process acts; None while the state is away."""
        try:
            try:
                return await asyncio.to_thread(driver.tick)
            except FencedError:
                return await asyncio.to_thread(self._watch, driver)
        except StateUnavailableError as error:
            self.log.warning("rollout %d: %s; trying again", self.rollout_id, error)
            return None

    def _watch(self, driver: RolloutDriver) -> Rollout:
        """Look only, until the one who has taken over falls silent."""
        rollout = driver.look()
        if not rollout.is_at_rest and rollout.silent_s > self.lease_s:
            self.log.warning("nobody has driven rollout %d for %.0f s; taking over", rollout.id, rollout.silent_s)
            driver.take_over()
        return rollout

    async def _keep_lease(self, driver: RolloutDriver) -> None:
        while True:
            try:
                await asyncio.to_thread(driver.heartbeat)
            except FencedError as error:
                self.log.debug("%s; watching", error)
            except Exception as error:  # whatever it was, the next beat may succeed, and the tick tells what is wrong
                self.log.warning("rollout %d: no heartbeat: %s", self.rollout_id, error)
            await asyncio.sleep(min(self.tick_s, self.lease_s / _HEARTBEATS_A_LEASE))

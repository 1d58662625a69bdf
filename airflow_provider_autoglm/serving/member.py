"""One version in a gateway: loaded, watched, and loaded again when its host ends, until it is let go."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from airflow_provider_autoglm.serving.breaker import Breaker
from airflow_provider_autoglm.serving.model_host import ModelHost
from airflow_provider_autoglm.settings.base import redact_userinfo
from airflow_provider_autoglm.settings.serving import ServingSettings
from airflow_provider_autoglm.state.predictions import Status
from airflow_provider_autoglm.state.replicas import VersionStatus
from airflow_provider_autoglm.state.routes import Model

log = logging.getLogger(__name__)

CHAMPION_PAUSE_S = 1.0
"""Seconds before a champion is loaded again; twice as many after each failure, up to :data:`LONGEST_PAUSE_S`."""
CHALLENGER_PAUSE_S = 15.0
LONGEST_PAUSE_S = 60.0

_STEADY_S = 60.0
_LONGEST_REASON = 300


class Member:
    """A version that the routes name.

    :param fetch: gives the folder of a model.
    :param turn: is held while a challenger loads, since loading takes a core that answers need.
    :param on_breaker_open: is told the reason when a challenger's breaker opens.
    """

    def __init__(
        self,
        model: Model,
        settings: ServingSettings,
        *,
        is_champion: bool,
        fetch: Callable[[Model], Awaitable[str]],
        turn: asyncio.Lock,
        on_breaker_open: Callable[[Model, str], None],
    ) -> None:
        self.model = model
        self._settings = settings
        self._is_champion = is_champion
        self._fetch = fetch
        self._turn = turn
        self._on_breaker_open = on_breaker_open
        self._breaker = self._new_breaker()
        self._host: ModelHost | None = None
        self._failure: VersionStatus | None = None
        self._retry_now = asyncio.Event()
        self._task = asyncio.create_task(self._keep_running())

    @property
    def host(self) -> ModelHost | None:
        """Its host, if it is ready."""
        return self._host if self._host is not None and self._host.status.state == "ready" else None

    @property
    def breaker(self) -> Breaker | None:
        """Its breaker; a champion has none."""
        return None if self._is_champion else self._breaker

    @property
    def status(self) -> VersionStatus:
        """How it is, its breaker included."""
        status = VersionStatus("ready") if self.host is not None else self._failure or VersionStatus("loading")
        if self._is_champion or not self._breaker.is_open:
            return status
        return replace(status, is_breaker_open=True, reason=status.reason or f"breaker: {self._breaker.reason}")

    def take_role(self, *, is_champion: bool) -> None:
        """Serve as champion or as challenger from now on, by the same process; a change of role begins anew."""
        if is_champion == self._is_champion:
            return
        self._is_champion = is_champion
        self.renew()

    def renew(self) -> None:
        """Forget what the breaker has counted, and load at once if a pause is on: another rollout begins."""
        self._breaker = self._new_breaker()
        self._retry_now.set()

    async def stop(self) -> None:
        """Answer what waits and end its process."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._host is not None:
            await self._host.stop()

    def _new_breaker(self) -> Breaker:
        def tell(reason: str) -> None:
            log.warning("version %s is out of traffic: %s", self.model.version, reason)
            self._on_breaker_open(self.model, reason)

        return Breaker(self._settings.breaker_failures, tell)

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            self._failure = await self._load_and_watch()
            is_steady = time.monotonic() - began > _STEADY_S
            failures = 1 if is_steady else failures + 1
            await self._pause(failures)

    async def _load_and_watch(self) -> VersionStatus:
        """Load it, wait until its host ends, and return why it is not ready any more."""
        try:
            host = await self._load()
        except Exception as error:  # whatever it is, the next attempt may succeed, and the routes still want it
            reason = redact_userinfo(f"{type(error).__name__}: {error}")[:_LONGEST_REASON]
            log.warning("version %s cannot be loaded: %s", self.model.version, reason)
            return VersionStatus("failed", reason=reason)
        failure = await host.ended()
        if not self._is_champion:
            self._breaker.open(failure.status)
        return VersionStatus("failed", reason=str(failure)[:_LONGEST_REASON])

    async def _load(self) -> ModelHost:
        began = time.monotonic()
        folder = await self._fetch(self.model)
        async with AsyncExitStack() as stack:
            # A champion that crashed does not wait for a challenger that is slow to load.
            if not (self._is_champion and self._turn.locked()):
                await stack.enter_async_context(self._turn)
            self._failure = None
            host = ModelHost(
                folder,
                name=f"version {self.model.version}",
                load_timeout_s=self._settings.load_timeout_s,
                max_queue=self._settings.max_queue,
                on_outcome=self._record,
            )
            await host.start()
        self._host = host
        log.info("version %s is ready after %.1f s", self.model.version, time.monotonic() - began)
        return host

    def _record(self, status: Status) -> None:
        if self._is_champion:
            return
        if status == "ok":
            self._breaker.record_success()
        else:
            self._breaker.record_failure(status)

    async def _pause(self, failures: int) -> None:
        first = CHAMPION_PAUSE_S if self._is_champion else CHALLENGER_PAUSE_S
        self._retry_now.clear()
        try:
            async with asyncio.timeout(min(first * 2 ** (failures - 1), LONGEST_PAUSE_S)):
                await self._retry_now.wait()
        except TimeoutError:
            return

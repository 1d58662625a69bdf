"""The hosts of a gateway: loads the versions that the routes name, keeps them running, lets the others go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

from airflow_provider_autoglm.serving.breaker import Breaker
from airflow_provider_autoglm.serving.cache import ModelCache, open_cache
from airflow_provider_autoglm.serving.member import Member
from airflow_provider_autoglm.serving.model_host import ModelHost
from airflow_provider_autoglm.settings.serving import ServingSettings
from airflow_provider_autoglm.state.replicas import VersionStatus
from airflow_provider_autoglm.state.routes import Model

_POLLS_TO_LINGER = 2


class Fleet:
    """All model hosts of one gateway, on one event loop.

    Outcomes of ``ModelHost.predict`` reach the breaker by themselves: the router must not record them again.

    :param on_breaker_open: is told the challenger and the reason (``invalid_output``, ``crash``, ...) once, on the
        event loop; it must not block.
    """

    def __init__(self, settings: ServingSettings, *, on_breaker_open: Callable[[Model, str], None]) -> None:
        self._settings = settings
        self._on_breaker_open = on_breaker_open
        self._cache: ModelCache = open_cache(settings)
        self._turn = asyncio.Lock()
        self._members: dict[str, Member] = {}
        self._lingering: dict[Member, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def want(self, models: Sequence[Model], *, champions: Collection[str]) -> None:
        """Say which models the routes name now; returns at once, loading and leaving happen in the background.

        Call it on each poll, after the new routes are in use. ``champions`` are versions that answer for the champion:
        they are loaded first, and have no breaker.
        """
        wanted = {model.version: model for model in models}
        self._cache.want({model.digest for model in models})
        for version, member in list(self._members.items()):
            if version not in wanted or wanted[version].digest != member.model.digest:
                self._let_go(self._members.pop(version))
        for version in sorted(wanted, key=lambda version: version not in champions):
            self._keep(wanted[version], is_champion=version in champions)

    def host(self, version: str) -> ModelHost | None:
        """The host of a version that is ready, also one that is leaving and still answers; else None."""
        members = [member for member in self._lingering if member.model.version == version]
        if version in self._members:
            members = [self._members[version]]
        return members[-1].host if members else None

    def breaker(self, version: str) -> Breaker | None:
        """The breaker of a wanted version that is not the champion; else None."""
        member = self._members.get(version)
        return None if member is None else member.breaker

    def statuses(self) -> Mapping[str, VersionStatus]:
        """Every wanted version, as the gateway reports it in ``replicas``."""
        return {version: member.status for version, member in self._members.items()}

    async def close(self) -> None:
        """Stop all hosts after their requests are answered."""
        members = [*self._members.values(), *self._lingering]
        for task in self._lingering.values():
            task.cancel()
        self._members.clear()
        self._lingering.clear()
        await asyncio.gather(*(member.stop() for member in members), *self._leaving)
        self._cache.close()

    def _keep(self, model: Model, *, is_champion: bool) -> None:
        member = self._members.get(model.version) or self._back(model)
        if member is None:
            member = Member(
                model,
                self._settings,
                is_champion=is_champion,
                fetch=self._fetch,
                turn=self._turn,
                on_breaker_open=self._on_breaker_open,
            )
        member.take_role(is_champion=is_champion)
        self._members[model.version] = member

    def _back(self, model: Model) -> Member | None:
        """A member that is wanted again before it has left."""
        for member in self._lingering:
            if (member.model.version, member.model.digest) == (model.version, model.digest):
                self._lingering.pop(member).cancel()
                member.renew()
                return member
        return None

    def _let_go(self, member: Member) -> None:
        """Stop it a little later: a request that has just read the routes before these may still come."""
        self._lingering[member] = asyncio.create_task(self._linger(member))

    async def _linger(self, member: Member) -> None:
        await asyncio.sleep(_POLLS_TO_LINGER * self._settings.poll_s)
        del self._lingering[member]
        leaving = asyncio.create_task(member.stop())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _fetch(self, model: Model) -> str:
        return await _in_thread(partial(self._cache.fetch, model))


async def _in_thread(work: Callable[[], str]) -> str:
    """As ``asyncio.to_thread``, in a thread that does not keep the process from ending: MLflow may hang for minutes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def settle(result: str | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result or "")

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="fetch-model", daemon=True).start()
    return await done

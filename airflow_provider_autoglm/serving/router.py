"""Which version answers a request, and what became of the one that was to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_autoglm.serving.fleet import Fleet
from airflow_provider_autoglm.serving.model_host import Answer, HostFailure, QueueFull
from airflow_provider_autoglm.serving.route_table import RouteTable, share_of
from airflow_provider_autoglm.state.predictions import Status
from airflow_provider_autoglm.state.routes import Model


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    :param assigned_status: how the version did that was to answer, in ``assigned_ms`` milliseconds.
    :param served_version: the version that answered; None if none did, and ``refusal`` says why.
    """

    assigned_version: str
    assigned_status: Status
    assigned_ms: float
    rollout_id: int | None
    served_version: str | None = None
    answer: Answer | None = None
    refusal: HostFailure | QueueFull | None = None


@dataclass(frozen=True)
class _Attempt:
    version: str
    status: Status
    ms: float
    answer: Answer | None = None
    refusal: HostFailure | QueueFull | None = None


class NoChampionError(Exception):
    """No version can answer yet; the message says why."""


class Router:
    """Gives requests to the hosts of a fleet.

    :param table: the table in force; None before there is one.
    """

    def __init__(self, table: Callable[[], RouteTable | None], fleet: Fleet, *, timeout_s: float) -> None:
        self._table = table
        self._fleet = fleet
        self._timeout_s = timeout_s

    def champion(self) -> Model:
        """The model that answers now: that of the routes, or the one before until it is ready.

        :raises NoChampionError: if none is.
        """
        return self._champion(self._table())

    def challenger_weight(self) -> int:
        """Percentage of requests that the challenger is given now."""
        table = self._table()
        return 0 if table is None else self._weight(table)

    async def answer(self, request_id: str, texts: Sequence[str]) -> Outcome:
        """Let the version answer that the request's id falls to; if it is the challenger and fails, the champion does.

        :raises NoChampionError: if there is no champion to answer.
        """
        table = self._table()
        champion = self._champion(table)
        assert table is not None
        assigned = self._assigned(table, champion, request_id)
        first = await self._ask(assigned, texts)
        last = first
        if first.answer is None and assigned is not champion:
            last = await self._ask_champion(champion, texts)
        elif first.answer is None:
            last = first = await self._ask_successor(champion, first, texts)
        return Outcome(
            assigned_version=first.version,
            assigned_status=first.status,
            assigned_ms=first.ms,
            rollout_id=table.routes.rollout_id,
            served_version=None if last.answer is None else last.version,
            answer=last.answer,
            refusal=last.refusal,
        )

    def _assigned(self, table: RouteTable, champion: Model, request_id: str) -> Model:
        challenger = table.routes.challenger
        is_share = share_of(request_id, purpose="route") * 100 < self._weight(table)
        return challenger if challenger is not None and is_share else champion

    def _weight(self, table: RouteTable) -> int:
        weight = table.challenger_weight(time.monotonic())
        if weight == 0 or table.routes.challenger is None:
            return 0
        status = self._fleet.statuses().get(table.routes.challenger.version)
        is_able = status is not None and status.state == "ready" and not status.is_breaker_open
        return weight if is_able else 0

    def _champion(self, table: RouteTable | None) -> Model:
        if table is None:
            raise NoChampionError("the routes have not been read yet")
        candidates = [model for model in (table.routes.champion, table.stand_in) if model is not None]
        for model in candidates:
            if self._fleet.host(model.version) is not None:
                return model
        if not candidates:
            raise NoChampionError(f"{table.routes.pipeline} has no champion yet")
        status = self._fleet.statuses().get(candidates[0].version)
        reason = "is not loaded" if status is None else f"is {status.state} {status.reason}".rstrip()
        raise NoChampionError(f"the champion, version {candidates[0].version}, {reason}")

    async def _ask_champion(self, champion: Model, texts: Sequence[str]) -> _Attempt:
        attempt = await self._ask(champion, texts)
        return attempt if attempt.answer is not None else await self._ask_successor(champion, attempt, texts)

    async def _ask_successor(self, champion: Model, failed: _Attempt, texts: Sequence[str]) -> _Attempt:
        """Once more, if another model has become the champion since; else the failure."""
        try:
            successor = self.champion()
        except NoChampionError:
            return failed
        return failed if successor == champion else await self._ask(successor, texts)

    async def _ask(self, model: Model, texts: Sequence[str]) -> _Attempt:
        began = time.monotonic()
        status: Status = "ok"
        answer: Answer | None = None
        refusal: HostFailure | QueueFull | None = None
        try:
            host = self._fleet.host(model.version)
            if host is None:
                raise HostFailure("unavailable", "its host is gone")
            answer = await host.predict(texts, timeout_s=self._timeout_s)
        except HostFailure as error:
            status, refusal = error.status, error
        except QueueFull as error:
            status, refusal = "unavailable", error
        return _Attempt(model.version, status, (time.monotonic() - began) * 1_000, answer, refusal)

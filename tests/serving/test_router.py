"""Which version answers, over real hosts of tiny models."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_autoglm.serving.fleet import Fleet
from airflow_provider_autoglm.serving.model_host import HostFailure, QueueFull
from airflow_provider_autoglm.serving.route_table import RouteTable, share_of
from airflow_provider_autoglm.serving.router import NoChampionError, Outcome, Router
from airflow_provider_autoglm.settings import ServingSettings
from airflow_provider_autoglm.state.routes import Model, Routes
from tests.serving.hosts import until

TEXTS = ["of tables now", "of the web"]
IDS = [f"request {number}" for number in range(40)]


class Rig:
    """A fleet, a router, and the table that a test sets."""

    def __init__(self, settings: ServingSettings) -> None:
        self.table: RouteTable | None = None
        self.opened: list[tuple[str, str]] = []
        self.fleet = Fleet(settings, on_breaker_open=lambda model, reason: self.opened.append((model.version, reason)))
        self.router = Router(lambda: self.table, self.fleet, timeout_s=settings.request_timeout_s)

    async def use(self, table: RouteTable, *, is_awaited: bool = True) -> None:
        self.table = table
        await self.fleet.want(table.models(), champions=table.champions())
        if is_awaited:
            await until(lambda: all(status.state == "ready" for status in self.fleet.statuses().values()))

    async def answers(self) -> list[Outcome]:
        return [await self.router.answer(request_id, TEXTS) for request_id in IDS]


@pytest.fixture
def settings(tmp_path: Path) -> ServingSettings:
    return ServingSettings(pipeline="docs", cache_dir=str(tmp_path), request_timeout_s=30, poll_s=0.1)


@asynccontextmanager
async def rig(settings: ServingSettings) -> AsyncIterator[Rig]:
    rig = Rig(settings)
    try:
        yield rig
    finally:
        await rig.fleet.close()


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


def table(champion: Model | None, challenger: Model | None = None, *, weight: int = 0) -> RouteTable:
    lease_s = 1_000.0 if weight else None
    routes = Routes(
        "docs", 1, champion=champion, challenger=challenger, challenger_weight=weight, rollout_id=7, lease_s=lease_s
    )
    return RouteTable.read(routes, asked_at=time.monotonic())


def test_requests_are_shared_by_their_ids(models: dict[str, Model], settings: ServingSettings) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            await it.use(table(models["keyword"], models["last"], weight=40))
            outcomes = await it.answers()
            chosen = ["2" if share_of(request_id, purpose="route") < 0.4 else "1" for request_id in IDS]
            assert [outcome.served_version for outcome in outcomes] == chosen
            assert {"1", "2"} == set(chosen)
            assert [outcome.assigned_version for outcome in outcomes] == chosen
            assert {(outcome.assigned_status, outcome.rollout_id) for outcome in outcomes} == {("ok", 7)}
            assert all(outcome.answer is not None and len(outcome.answer.logits) == 2 for outcome in outcomes)
            assert it.router.challenger_weight() == 40

            assert it.table is not None
            it.table = replace(it.table, lease_deadline=time.monotonic())  # the lease is over
            assert {outcome.assigned_version for outcome in await it.answers()} == {"1"}
            assert it.router.challenger_weight() == 0

    run(scenario())


def test_the_champion_answers_for_a_challenger_that_fails_until_its_breaker_opens(
    models: dict[str, Model], settings: ServingSettings
) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            await it.use(table(models["keyword"], models["nan"], weight=100))
            outcomes = await it.answers()
            assert {outcome.served_version for outcome in outcomes} == {"1"}
            assert [outcome.assigned_version for outcome in outcomes] == ["3"] * 3 + ["1"] * 37
            assert [outcome.assigned_status for outcome in outcomes][:4] == [*["invalid_output"] * 3, "ok"]
            assert {outcome.refusal for outcome in outcomes} == {None}
            assert it.opened == [("3", "invalid_output")]
            assert it.router.challenger_weight() == 0

    run(scenario())


def test_a_challenger_that_crashes_or_is_not_there_costs_no_answer(
    models: dict[str, Model], settings: ServingSettings
) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            await it.use(table(models["keyword"], models["crash"], weight=100))
            outcomes = await it.answers()
            assert {outcome.served_version for outcome in outcomes} == {"1"}
            assert [outcome.assigned_status for outcome in outcomes if outcome.assigned_version == "4"] == ["crash"]
            assert it.opened == [("4", "crash")]

            it.table = table(models["keyword"], models["last"], weight=100)  # which nobody has loaded yet
            assert it.router.challenger_weight() == 0
            assert (await it.router.answer("r", TEXTS)).assigned_version == "1"

    run(scenario())


def test_a_challenger_without_room_is_answered_for(models: dict[str, Model], settings: ServingSettings) -> None:
    async def scenario() -> None:
        async with rig(settings.model_copy(update={"max_queue": 1})) as it:
            await it.use(table(models["keyword"], models["slow"], weight=100))
            asked = [asyncio.create_task(it.router.answer(str(number), ["web now"])) for number in range(3)]
            outcomes = await asyncio.gather(*asked)
            assert [outcome.served_version for outcome in outcomes] == ["5", "5", "1"]
            assert (outcomes[2].assigned_version, outcomes[2].assigned_status) == ("5", "unavailable")

    run(scenario())


def test_a_champion_that_fails_is_not_answered_for(models: dict[str, Model], settings: ServingSettings) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            await it.use(table(models["error"], models["nan"], weight=50))
            nobody = await it.answers()
            assert {outcome.served_version for outcome in nobody} == {None}
            assert {outcome.assigned_version for outcome in nobody} == {"3", "6"}
            assert all(isinstance(outcome.refusal, HostFailure) for outcome in nobody)
            assert {outcome.refusal.status for outcome in nobody if isinstance(outcome.refusal, HostFailure)} == {
                "error"
            }

    run(scenario())


def test_a_champion_without_room_or_time_says_so(models: dict[str, Model], settings: ServingSettings) -> None:
    async def scenario() -> None:
        async with rig(settings.model_copy(update={"max_queue": 1, "request_timeout_s": 0.3})) as it:
            await it.use(table(models["slow"]))
            asked = [asyncio.create_task(it.router.answer(str(number), ["web now"])) for number in range(3)]
            outcomes = await asyncio.gather(*asked)
            assert [outcome.assigned_status for outcome in outcomes] == ["timeout", "timeout", "unavailable"]
            assert isinstance(outcomes[2].refusal, QueueFull)

    run(scenario())


def test_a_request_of_a_champion_that_is_replaced_meanwhile_goes_to_the_new_one(
    models: dict[str, Model], settings: ServingSettings
) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            await it.use(table(models["slow"], models["keyword"]))
            asked = asyncio.create_task(it.router.answer("r", ["web now"]))
            await asyncio.sleep(0)
            await it.use(table(models["keyword"]), is_awaited=False)
            host = it.fleet.host("5")
            assert host is not None
            assert host.pid is not None
            os.kill(host.pid, signal.SIGKILL)
            outcome = await asked
            assert (outcome.assigned_version, outcome.served_version) == ("1", "1")
            assert outcome.assigned_status == "ok"

    run(scenario())


def test_a_champion_whose_host_ends_with_nobody_after_it_has_failed(
    models: dict[str, Model], settings: ServingSettings
) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            await it.use(table(models["crash"]))
            outcome = await it.router.answer("r", TEXTS)
            assert isinstance(outcome.refusal, HostFailure)
            assert (outcome.assigned_status, outcome.served_version) == ("crash", None)

    run(scenario())


def test_a_challenger_that_fails_while_its_champion_is_replaced_is_answered_for_by_the_new_one(
    models: dict[str, Model], settings: ServingSettings
) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            canary = table(models["keyword"], models["slow"], weight=100)
            await it.use(replace(canary, stand_in=models["last"]))  # so that it is loaded before its time
            asked = asyncio.create_task(it.router.answer("r", ["web now"]))
            await asyncio.sleep(0)
            await it.use(table(models["last"]))
            for host in (it.fleet.host("1"), it.fleet.host("5")):
                assert host is not None
                assert host.pid is not None
                os.kill(host.pid, signal.SIGKILL)
            outcome = await asked
            assert (outcome.assigned_version, outcome.assigned_status) == ("5", "crash")
            assert outcome.served_version == "2"

    run(scenario())


def test_the_champion_before_answers_until_the_new_one_is_ready(
    models: dict[str, Model], settings: ServingSettings
) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            before = table(models["keyword"])
            await it.use(before)
            promoted = table(models["last"]).following(before, ready_before=it.router.champion())
            await it.use(promoted, is_awaited=False)
            assert (await it.router.answer("r", TEXTS)).served_version == "1"
            await until(lambda: it.router.champion() == models["last"])
            assert (await it.router.answer("r", TEXTS)).served_version == "2"

    run(scenario())


def test_without_a_champion_it_says_why(models: dict[str, Model], settings: ServingSettings, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(settings) as it:
            assert it.router.challenger_weight() == 0
            with pytest.raises(NoChampionError, match="the routes have not been read yet"):
                it.router.champion()
            await it.use(table(None))
            with pytest.raises(NoChampionError, match="docs has no champion yet"):
                await it.router.answer("r", TEXTS)
            it.table = table(models["keyword"])
            with pytest.raises(NoChampionError, match="the champion, version 1, is not loaded"):
                it.router.champion()
            await it.use(it.table, is_awaited=False)
            with pytest.raises(NoChampionError, match="the champion, version 1, is loading"):
                it.router.champion()
            await it.use(table(Model("9", f"file://{tmp_path}/absent", "sha256:" + "0" * 64)), is_awaited=False)
            await until(lambda: it.fleet.statuses()["9"].state == "failed")
            with pytest.raises(NoChampionError, match=r"the champion, version 9, is failed .*absent"):
                it.router.champion()

    run(scenario())

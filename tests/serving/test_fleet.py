from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.serving import member
from airflow_provider_autoglm.serving.fleet import Fleet
from airflow_provider_autoglm.serving.model_host import HostFailure, ModelHost
from airflow_provider_autoglm.settings import ServingSettings
from airflow_provider_autoglm.state.replicas import VersionStatus
from airflow_provider_autoglm.state.routes import Model
from airflow_provider_autoglm.tracking.registry import model_digest
from tests.packaged import Answer
from tests.serving.hosts import TinyModels, is_alive, until

READY = VersionStatus("ready")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    return TinyModels(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "CHAMPION_PAUSE_S", 0.05)


class Gateway:
    """A fleet with settings of the test's own, and what it was told of breakers."""

    def __init__(self, folder: Path, tiny: TinyModels, **settings: Any) -> None:
        self._tiny = tiny
        self.told: list[tuple[str, str]] = []
        self.settings = ServingSettings(pipeline="default", cache_dir=str(folder), **{"poll_s": 0.05, **settings})
        self.fleet = Fleet(
            self.settings, on_breaker_open=lambda model, reason: self.told.append((model.version, reason))
        )

    def model(self, version: str, answer: Answer = "keyword", **options: Any) -> Model:
        folder = self._tiny(answer, **options)
        return Model(version, Path(folder).as_uri(), model_digest(folder))

    async def serve(self, *models: Model, champion: str | None) -> None:
        """Want these, and wait until all are ready."""
        await self.fleet.want(models, champions=[champion] if champion else [])
        await until(lambda: all(status.state == "ready" for status in self.fleet.statuses().values()))

    def host(self, version: str) -> ModelHost:
        host = self.fleet.host(version)
        assert host is not None
        return host

    def state(self, version: str) -> str:
        return self.fleet.statuses()[version].state

    async def ask(self, version: str, text: str, timeout_s: float = 30) -> str:
        """The label, or the status of the failure."""
        try:
            answer = await self.host(version).predict([text], timeout_s=timeout_s)
        except HostFailure as failure:
            return failure.status
        return answer.labels[int(answer.logits.argmax())]


Open = Callable[..., Any]


@pytest.fixture
def gateway(tmp_path: Path, tiny: TinyModels) -> Open:
    @asynccontextmanager
    async def open_gateway(**settings: Any) -> AsyncIterator[Gateway]:
        gateway = Gateway(tmp_path / "cache", tiny, **settings)
        try:
            yield gateway
        finally:
            await gateway.fleet.close()

    return open_gateway


def test_champion_and_challenger_are_loaded_and_answer(gateway: Open) -> None:
    async def run() -> None:
        async with gateway() as gate:
            wanted = [gate.model("2", "last"), gate.model("1", "first")]
            await gate.fleet.want(wanted, champions=["1"])
            assert gate.fleet.statuses() == {"1": VersionStatus("loading"), "2": VersionStatus("loading")}
            assert gate.fleet.host("1") is None
            await until(lambda: gate.state("1") == "ready")
            await gate.serve(*wanted, champion="1")
            assert gate.fleet.statuses() == {"1": READY, "2": READY}
            assert [await gate.ask("1", "x"), await gate.ask("2", "x")] == ["web", "tables"]
            assert gate.fleet.host("3") is None
            assert gate.fleet.breaker("3") is None
            assert gate.fleet.breaker("1") is None
            assert gate.fleet.breaker("2") is not None
            pids = [gate.host(version).pid for version in "12"]
        assert not any(map(is_alive, pids))

    asyncio.run(run())


def test_a_promoted_challenger_keeps_its_process_and_the_old_champion_answers_what_it_has(gateway: Open) -> None:
    async def run() -> None:
        async with gateway() as gate:
            old, new = gate.model("1", "slow", when="long", seconds=1.0), gate.model("2")
            await gate.serve(old, new, champion="1")
            pids = [gate.host("1").pid, gate.host("2").pid]
            running = [asyncio.create_task(gate.ask("1", "long")) for _ in range(2)]
            await until(lambda: gate.host("1")._running is not None)
            await gate.fleet.want([new], champions=["2"])
            late = asyncio.create_task(gate.ask("1", "a request that had read the routes before"))
            assert gate.fleet.statuses() == {"2": READY}
            assert gate.fleet.breaker("2") is None
            assert gate.host("2").pid == pids[1]
            assert await asyncio.gather(*running, late) == ["web"] * 3
            await until(lambda: not is_alive(pids[0]))
            assert gate.fleet.host("1") is None
            assert await gate.ask("2", "tables") == "tables"

    asyncio.run(run())


def test_a_version_that_is_wanted_again_while_it_leaves_keeps_its_process_but_not_its_breaker(gateway: Open) -> None:
    async def run() -> None:
        async with gateway(breaker_failures=1, poll_s=1.0) as gate:
            new = gate.model("2", "nan", when="bad")
            await gate.serve(new, champion=None)
            pid = gate.host("2").pid
            assert await gate.ask("2", "bad") == "invalid_output"
            assert gate.told == [("2", "invalid_output")]
            await gate.fleet.want([], champions=[])
            assert gate.fleet.statuses() == {}
            await gate.fleet.want([new], champions=[])
            assert gate.host("2").pid == pid
            assert gate.fleet.statuses() == {"2": READY}

    asyncio.run(run())


@pytest.mark.parametrize(("kind", "reason"), [("nan", "invalid_output"), ("error", "error")])
def test_failures_in_a_row_open_the_breaker_of_a_challenger(gateway: Open, kind: Any, reason: str) -> None:
    async def run() -> None:
        async with gateway(breaker_failures=2) as gate:
            models = [gate.model("2", kind, when="bad")]
            await gate.serve(*models, champion=None)
            assert [await gate.ask("2", text) for text in ("bad", "good", "bad")] == [reason, "web", reason]
            assert gate.told == []
            assert await gate.ask("2", "bad") == reason
            assert gate.told == [("2", reason)]
            await gate.fleet.want(models, champions=[])
            assert gate.fleet.statuses() == {"2": VersionStatus("ready", True, f"breaker: {reason}")}
            await gate.fleet.want(models, champions=["2"])
            assert gate.fleet.statuses() == {"2": READY}

    asyncio.run(run())


def test_a_champion_has_no_breaker(gateway: Open) -> None:
    async def run() -> None:
        async with gateway(breaker_failures=1) as gate:
            await gate.serve(gate.model("1", "nan", when="bad"), champion="1")
            assert [await gate.ask("1", "bad") for _ in range(3)] == ["invalid_output"] * 3
            assert gate.fleet.statuses() == {"1": READY}
            assert gate.told == []

    asyncio.run(run())


def test_a_challenger_that_crashes_is_out_of_traffic_even_once_it_is_loaded_again(
    gateway: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "CHALLENGER_PAUSE_S", 0.5)

    async def run() -> None:
        async with gateway() as gate:
            await gate.serve(gate.model("1"), gate.model("2", "crash", when="boom"), champion="1")
            host = gate.host("2")
            assert await gate.ask("2", "boom") == "crash"
            await until(lambda: gate.state("2") == "failed")
            assert gate.fleet.statuses()["2"] == VersionStatus(
                "failed", True, "crash: its process ended (exit status 139)"
            )
            await until(lambda: gate.state("2") == "ready")
            assert gate.fleet.statuses()["2"] == VersionStatus("ready", True, "breaker: crash")
            assert gate.host("2") is not host
            assert gate.told == [("2", "crash")]
            assert gate.fleet.statuses()["1"] == READY

    asyncio.run(run())


def test_a_challenger_that_is_killed_while_idle_loses_its_traffic_at_once(gateway: Open) -> None:
    async def run() -> None:
        async with gateway() as gate:
            await gate.serve(gate.model("2"), champion=None)
            pid = gate.host("2").pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: gate.told)
            assert gate.told == [("2", "crash")]
            assert gate.fleet.host("2") is None

    asyncio.run(run())


def test_a_champion_that_times_out_is_loaded_again(gateway: Open) -> None:
    async def run() -> None:
        async with gateway() as gate:
            await gate.serve(gate.model("1", "slow", when="long", seconds=300), champion="1")
            pid = gate.host("1").pid
            assert await gate.ask("1", "long", timeout_s=0.3) == "timeout"
            await until(lambda: gate.fleet.host("1") is not None and gate.host("1").pid != pid)
            assert await gate.ask("1", "tables") == "tables"
            assert not is_alive(pid)
            assert gate.told == []

    asyncio.run(run())


def test_a_champion_that_keeps_crashing_is_loaded_again_and_again(gateway: Open) -> None:
    async def run() -> None:
        async with gateway() as gate:
            await gate.serve(gate.model("1", "crash", when="boom"), champion="1")
            for _ in range(2):
                assert await gate.ask("1", "boom") == "crash"
                await until(lambda: gate.fleet.host("1") is None)
                await until(lambda: gate.fleet.host("1") is not None)
            assert await gate.ask("1", "tables") == "tables"

    asyncio.run(run())


def test_a_challenger_that_cannot_be_loaded_says_why_and_is_tried_again_when_it_is_promoted(
    gateway: Open, tiny: TinyModels, tmp_path: Path
) -> None:
    async def run() -> None:
        async with gateway() as gate:
            source = tmp_path / "late"
            late = Model("2", source.as_uri(), model_digest(tiny("last")))
            await gate.fleet.want([late], champions=[])
            await until(lambda: gate.state("2") == "failed")
            assert "No such file or directory" in gate.fleet.statuses()["2"].reason
            assert gate.told == []
            shutil.copytree(tiny("last"), source)
            await gate.serve(late, champion="2")
            assert await gate.ask("2", "x") == "tables"

    asyncio.run(run())


def test_a_model_that_fails_to_load_is_reported_with_the_models_own_words(gateway: Open) -> None:
    async def run() -> None:
        async with gateway() as gate:
            await gate.fleet.want([gate.model("1", "unloadable")], champions=[])
            await until(lambda: gate.state("1") == "failed")
            assert "this model cannot be loaded" in gate.fleet.statuses()["1"].reason

    asyncio.run(run())


def test_the_same_version_with_another_digest_is_replaced(gateway: Open) -> None:
    async def run() -> None:
        async with gateway() as gate:
            first, last = gate.model("1", "first"), gate.model("1", "last")
            await gate.serve(first, champion="1")
            old = gate.host("1").pid
            await gate.fleet.want([last], champions=["1"])
            assert gate.fleet.host("1") is None
            await until(lambda: gate.state("1") == "ready")
            assert await gate.ask("1", "x") == "tables"
            await until(lambda: not is_alive(old))

    asyncio.run(run())


def test_a_challenger_is_loaded_after_the_champion_and_a_champion_never_waits(gateway: Open) -> None:
    async def run() -> None:
        async with gateway() as gate:
            slow = gate.model("2", "slow_load", seconds=300)
            champion = gate.model("1", "crash", when="boom")
            await gate.fleet.want([slow, champion], champions=["1"])
            await until(lambda: gate.fleet.host("1") is not None)
            await until(gate.fleet._turn.locked)
            assert gate.state("2") == "loading"
            assert await gate.ask("1", "boom") == "crash"
            await until(lambda: gate.fleet.host("1") is None)
            await until(lambda: gate.fleet.host("1") is not None)
            assert gate.state("2") == "loading"

    asyncio.run(run())


def test_a_fleet_that_closes_stops_what_loads_what_lingers_and_what_leaves(gateway: Open) -> None:
    async def run() -> None:
        async with gateway(poll_s=0.2) as gate:
            leaving = gate.model("1", "slow", when="long", seconds=2.0)
            lingering, loading = gate.model("2"), gate.model("3", "slow_load", seconds=300)
            await gate.serve(leaving, lingering, champion="1")
            pids = [gate.host("1").pid, gate.host("2").pid]
            answer = asyncio.create_task(gate.ask("1", "long"))
            await until(lambda: gate.host("1")._running is not None)
            await gate.fleet.want([lingering], champions=["2"])
            await until(lambda: gate.fleet.host("1") is None)
            await gate.fleet.want([loading], champions=["3"])
            await until(gate.fleet._turn.locked)
            assert gate.host("2").pid == pids[1]
            await gate.fleet.close()
            assert await answer == "web"
            assert not any(map(is_alive, pids))
            assert gate.fleet.statuses() == {}

    asyncio.run(run())


def test_a_gateway_that_ends_while_a_model_is_fetched_does_not_wait_for_it(gateway: Open) -> None:
    def fetching() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "fetch-model"]

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
            async with gateway(tracking_uri=uri) as gate:
                await gate.fleet.want([Model("1", "runs:/abc/model", "sha256:" + "0" * 64)], champions=["1"])
                asked, _ = await asyncio.to_thread(silent.accept)
            assert [thread.daemon for thread in fetching()] == [True]
            asked.close()
        await until(lambda: not fetching())

    asyncio.run(run())

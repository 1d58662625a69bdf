"""SIGKILL of the process that drives a rollout, at any moment, and another one that goes on."""

from __future__ import annotations

import itertools
import multiprocessing
import random
from multiprocessing.process import BaseProcess

import pytest

from airflow_provider_autoglm.rollout.driver import RolloutDriver
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.rollouts import Rollout, read_rollout
from airflow_provider_autoglm.state.routes import read_routes
from tests.rollout.conftest import ONE, PIPELINE, TWO, quick, start
from tests.rollout.gateways import Gateways

_STEPS = [{"weight_percent": weight, "bake_s": 0} for weight in (10, 30, 50)]
_DEADLINE_S = 120
_AFTER = {
    "pending": {"validating", "rolling_back"},
    "validating": {"warming", "rolling_back"},
    "warming": {"step", "rolling_back"},
    "step": {"step", "promoting", "rolling_back"},
    "promoting": {"done", "rolling_back"},
    "rolling_back": {"rolled_back"},
}


def drive(url: str, rollout_id: int) -> None:
    """Tick as fast as the state allows until the rollout has ended."""
    driver = RolloutDriver(Database(url), rollout_id)
    driver.take_over()
    while not driver.tick().is_terminal:
        pass


def child(database: Database, rollout: Rollout) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.rollout.test_kill"])
    process = context.Process(target=drive, args=(database.engine.url.render_as_string(False), rollout.id))
    process.start()
    return process


def transitions(database: Database, rollout: Rollout) -> list[tuple[str, int]]:
    events = read_events(database, PIPELINE, rollout_id=rollout.id)
    return [(event.detail["state"], event.detail["step"]) for event in events if event.kind == "transition"]


def assert_ended_once(database: Database, rollout: Rollout, *, is_bad: bool) -> None:
    """Each transition is there once, one champion is, and nothing is left of the challenger."""
    seen = transitions(database, rollout)
    assert len(seen) == len(set(seen))
    assert all(later in _AFTER[earlier] for (earlier, _), (later, _) in itertools.pairwise(seen))
    routes = read_routes(database, PIPELINE)
    assert (routes.challenger, routes.challenger_weight, routes.rollout_id, routes.lease_s) == (None, 0, None, None)
    assert seen[-1][0] == ("rolled_back" if is_bad else "done")
    assert (routes.champion, routes.previous) == ((ONE, None) if is_bad else (TWO, ONE))


@pytest.mark.parametrize("is_bad", [False, True], ids=["good challenger", "bad challenger"])
@pytest.mark.parametrize("seed", range(5))
def test_a_killed_driver_is_followed_by_one_that_ends_the_rollout(database: Database, seed: int, is_bad: bool) -> None:
    randomly = random.Random(seed)
    rollout = start(database, quick(steps=_STEPS, min_requests=40))
    gateways = Gateways(database, PIPELINE, failing={"2": 2} if is_bad else {})
    kills = 0
    with gateways.running(requests=60, every_s=0.02):
        process = child(database, rollout)
        while process.is_alive():
            process.join(randomly.uniform(0.005, 0.08) if kills < 6 else _DEADLINE_S)
            if process.is_alive():
                process.kill()
                process.join(_DEADLINE_S)
                kills += 1
                process = child(database, rollout)
    assert process.exitcode == 0
    assert kills > 0
    assert_ended_once(database, rollout, is_bad=is_bad)
    process.close()


@pytest.mark.parametrize(
    ("state", "step", "act"),
    [
        ("warming", 0, "new.challenger_version = '2' and old.challenger_version is null"),
        ("step", 0, "new.challenger_weight = 10"),
        ("step", 2, "new.challenger_weight = 50"),
        ("promoting", 2, "new.champion_version = '2'"),
        ("rolling_back", 0, "new.challenger_version is null"),
    ],
)
def test_a_driver_killed_between_a_transition_and_its_act_is_followed_by_one_that_acts(
    database: Database, state: str, step: int, act: str
) -> None:
    is_bad = state == "rolling_back"
    rollout = start(database, quick(steps=_STEPS, min_requests=40))
    with database.transaction() as connection:
        # The act never ends, so whoever is killed once the transition is there is killed before its act.
        endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
        connection.exec_driver_sql(f"create view endless as {endless}")
        connection.exec_driver_sql(
            f"create trigger hanging before update on routes when {act} begin select count(*) from endless; end"
        )
    with Gateways(database, PIPELINE, failing={"2": 2} if is_bad else {}).running(requests=60, every_s=0.02):
        process = child(database, rollout)
        while (state, step) not in transitions(database, rollout):
            assert process.is_alive()
        process.kill()
        process.join(_DEADLINE_S)
        assert read_rollout(database, rollout.id).state == state
        with database.transaction() as connection:
            connection.exec_driver_sql("drop trigger hanging")
        later = child(database, rollout)
        later.join(_DEADLINE_S)
    assert later.exitcode == 0
    assert_ended_once(database, rollout, is_bad=is_bad)

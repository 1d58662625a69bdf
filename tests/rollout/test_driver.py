"""A driver over a real state and gateways that report to it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airflow_provider_autoglm.exceptions import FencedError, PipelineFrozenError
from airflow_provider_autoglm.rollout.driver import RolloutDriver
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.freeze import freeze, lift_freeze
from airflow_provider_autoglm.state.replicas import VersionStatus
from airflow_provider_autoglm.state.rollouts import active_rollout, take_over
from airflow_provider_autoglm.state.routes import read_routes
from tests.rollout.conftest import ONE, PIPELINE, THREE, TWO, driver_of, kinds, quick, start, states, write
from tests.rollout.gateways import Gateways

LOADING, FAILED = VersionStatus("loading"), VersionStatus("failed", reason="digest differs")
TWO_STEPS = [{"weight_percent": 10, "bake_s": 0}, {"weight_percent": 50, "bake_s": 0}]


@pytest.fixture
def gateways(database: Database) -> Gateways:
    return Gateways(database, PIPELINE)


def test_a_good_challenger_goes_through_all_steps_to_the_champions_place(
    database: Database, gateways: Gateways
) -> None:
    rollout = start(database, quick(steps=TWO_STEPS))
    driver = driver_of(database, rollout)

    assert driver.tick().state == "warming"
    loading = read_routes(database, PIPELINE)
    assert (loading.challenger, loading.challenger_weight, loading.lease_s) == (TWO, 0, None)

    gateways.poll()
    assert (driver.tick().state, driver.look().step) == ("step", 0)
    first = read_routes(database, PIPELINE)
    assert (first.challenger_weight, first.rollout_id) == (10, rollout.id)
    assert first.lease_s is not None
    assert first.lease_s > 50

    gateways.poll(requests=300)
    assert (driver.tick().state, driver.look().step) == ("step", 1)
    assert read_routes(database, PIPELINE).challenger_weight == 50

    gateways.poll(requests=300)
    assert driver.tick().state == "done"
    after = read_routes(database, PIPELINE)
    assert (after.champion, after.previous, after.challenger) == (TWO, ONE, None)
    assert (after.challenger_weight, after.rollout_id, after.lease_s) == (0, None, None)
    assert states(database, rollout) == ["pending", "validating", "warming", "step", "step", "promoting", "done"]
    assert active_rollout(database, PIPELINE) is None


def test_the_first_model_becomes_champion_as_soon_as_it_is_warm(database: Database, gateways: Gateways) -> None:
    rollout = start(database, champion=None)
    driver = driver_of(database, rollout)
    driver.tick()
    gateways.poll()
    assert driver.tick().state == "done"
    assert read_routes(database, PIPELINE).champion == TWO
    assert states(database, rollout) == ["pending", "validating", "warming", "promoting", "done"]


def test_a_challenger_that_is_the_champion_is_done_and_leaves_the_routes_untouched(database: Database) -> None:
    rollout = start(database, champion=TWO)
    before = read_routes(database, PIPELINE).generation
    assert driver_of(database, rollout).tick().state == "done"
    assert read_routes(database, PIPELINE).generation == before


def baking(database: Database, gateways: Gateways, **settings: object) -> RolloutDriver:
    """A driver whose rollout is in its first step, and gateways that know the weight."""
    driver = driver_of(database, start(database, quick(**settings)))
    driver.tick()
    gateways.poll()
    assert driver.tick().state == "step"
    gateways.poll()
    return driver


def test_a_bad_challenger_is_rolled_back_by_the_judge_with_counts(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways, min_requests=10_000)
    gateways.failing["2"] = 4
    gateways.poll(requests=200)
    rollout = driver.tick()
    assert rollout.state == "rolled_back"
    assert rollout.reason.startswith("the challenger fails more requests than the champion: at 50 % 25 of 100 (25.00%)")
    after = read_routes(database, PIPELINE)
    assert (after.champion, after.challenger, after.previous) == (ONE, None, None)
    assert states(database, rollout)[-2:] == ["rolling_back", "rolled_back"]


def test_judgements_are_recorded_when_they_change_and_not_at_every_look(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways, steps=TWO_STEPS)
    for _ in range(3):
        driver.tick()
    gateways.poll(requests=300)
    driver.tick()
    resumed = driver_of(database, driver.look())
    for _ in range(3):
        resumed.tick()
    recorded = kinds(database, driver.look(), "judgement")
    assert [(event["step"], event["outcome"]) for event in recorded] == [
        (0, "inconclusive"),
        (0, "pass"),
        (1, "inconclusive"),
    ]
    assert recorded[1]["evidence"]["steps"][0]["canary_requests"] == 30
    assert recorded[1]["reasons"][0].startswith("no sign that the challenger fails more")


def test_without_traffic_a_rollout_is_held_then_goes_on_and_is_rolled_back_the_second_time(
    database: Database, gateways: Gateways
) -> None:
    driver = baking(database, gateways, max_step_s=600)
    wait(database, 601)
    held = driver.tick()
    assert (held.state, held.holds) == ("held", 1)
    routes = read_routes(database, PIPELINE)
    assert (routes.challenger, routes.challenger_weight, routes.lease_s) == (TWO, 0, None)
    assert driver.tick().transitions == held.transitions

    resumed = RolloutDriver(database, held.id)
    assert resumed.resume_held().state == "warming"
    with pytest.raises(FencedError):
        driver.tick()
    gateways.poll()
    second = resumed.tick()
    assert second.state == "step"
    assert read_routes(database, PIPELINE).challenger_weight == 50
    gateways.poll()
    wait(database, 601)
    ended = resumed.tick()
    assert ended.state == "rolled_back"
    assert ended.reason.startswith("undecided a second time")


def test_a_rollout_that_goes_on_comes_back_to_its_step_with_what_it_was_judged_on(
    database: Database, gateways: Gateways
) -> None:
    driver = baking(database, gateways, steps=TWO_STEPS)
    gateways.poll(requests=300)
    assert driver.tick().step == 1
    gateways.poll(requests=30)
    freeze(database, PIPELINE, reason="incident 12")
    held = driver.tick()
    assert (held.state, held.step, held.reason) == ("held", 1, "frozen: incident 12")
    assert read_routes(database, PIPELINE).challenger_weight == 0

    with pytest.raises(PipelineFrozenError):
        driver.resume_held()
    lift_freeze(database, PIPELINE)
    driver.resume_held(reason="incident 12 is over")
    gateways.poll()
    assert (driver.tick().state, driver.look().step) == ("step", 1)
    gateways.poll(requests=10)
    assert driver.tick().state == "done"
    last = kinds(database, held, "judgement")[-1]["evidence"]["steps"]
    assert [(step["weight_percent"], step["canary_requests"]) for step in last] == [(10, 30), (50, 20)]


def test_a_rollout_frozen_before_it_was_loaded_is_validated_when_it_goes_on(database: Database) -> None:
    rollout = start(database)
    freeze(database, PIPELINE, reason="incident 12")
    driver = driver_of(database, rollout)
    assert driver.tick().state == "held"
    assert read_routes(database, PIPELINE).challenger is None
    lift_freeze(database, PIPELINE)
    assert driver.resume_held().state == "validating"
    assert driver.resume_held().state == "validating"  # it is not held any more


def test_a_breaker_that_opens_rolls_back_and_is_named(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    gateways.open_breaker(gateways.poll(), "2")
    rollout = driver.tick()
    assert rollout.state == "rolled_back"
    assert rollout.reason == "a gateway took version 2 out of traffic: invalid_output at gateway gateway-0"


def test_a_breaker_that_only_the_replica_tells_of_counts_as_well(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    gateways.statuses["2"] = VersionStatus("ready", is_breaker_open=True, reason="crash")
    gateways.poll()
    rollout = driver.tick()
    assert rollout.state == "rolled_back"
    assert rollout.reason == "a gateway took version 2 out of traffic: crash at gateway gateway-0"


def test_a_breaker_of_another_version_is_not_the_challengers(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    gateways.open_breaker(gateways.poll(), "1")
    assert driver.tick().state == "step"


def test_a_failed_load_rolls_back(database: Database, gateways: Gateways) -> None:
    driver = driver_of(database, start(database))
    driver.tick()
    gateways.statuses["2"] = LOADING
    gateways.poll()
    assert driver.tick().state == "warming"
    gateways.statuses["2"] = FAILED
    gateways.poll()
    assert driver.tick().reason == "version 2 cannot be loaded by gateway gateway-0: digest differs"


def test_a_gateway_that_is_gone_is_not_waited_for(database: Database, gateways: Gateways) -> None:
    gateways.statuses["2"] = LOADING
    driver = driver_of(database, start(database))
    driver.tick()
    gateways.poll()
    assert driver.tick().state == "warming"
    with database.transaction() as connection:
        connection.execute(sa.text("update replicas set heartbeat_at = heartbeat_at - 60"))
    Gateways(database, PIPELINE, replicas=1).poll()
    assert driver.tick().state == "step"


def test_a_lost_lease_can_only_end_rolled_back(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    assert driver.heartbeat()
    expire_lease(database)
    gateways.poll()
    assert not driver.heartbeat()
    rollout = driver_of(database, driver.look()).tick()
    assert rollout.state == "rolled_back"
    assert rollout.reason.startswith("the lease ran out")
    assert read_routes(database, PIPELINE).champion == ONE


def test_a_lease_that_ran_out_unseen_is_lost_as_well(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    expire_lease(database)
    assert driver.tick().reason.startswith("the lease ran out")


def test_a_freeze_right_after_the_lease_was_lost_does_not_hide_it(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    expire_lease(database)
    gateways.poll()
    write(database, challenger_weight=0, frozen_reason="incident 12")
    assert driver.tick().state == "rolled_back"


def test_each_tick_extends_the_lease(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    with database.transaction() as connection:
        connection.execute(sa.text("update routes set lease_expires_at = lease_expires_at - 55"))
    generation = read_routes(database, PIPELINE).generation
    driver.tick()
    routes = read_routes(database, PIPELINE)
    assert routes.generation == generation
    assert routes.lease_s is not None
    assert routes.lease_s > 50


def test_where_no_traffic_is_given_there_is_no_lease_to_lose(database: Database, gateways: Gateways) -> None:
    driver = driver_of(database, start(database))
    driver.tick()
    assert driver.heartbeat()
    gateways.poll()
    driver.tick()
    write(database, challenger_weight=0)
    assert driver.heartbeat()
    assert read_routes(database, PIPELINE).lease_s is None


def test_routes_that_somebody_changes_meanwhile_are_read_again_and_decided_again(
    database: Database, gateways: Gateways
) -> None:
    driver = baking(database, gateways)
    gateways.poll(requests=100)
    write(database, champion=THREE, challenger_weight=0)
    rollout = driver.tick()
    assert rollout.state == "rolled_back"
    assert rollout.reason == "the champion changed under the rollout: it was version 1, it is version 3"
    assert read_routes(database, PIPELINE).champion == THREE


def test_a_freeze_between_a_decision_and_its_act_wins(database: Database) -> None:
    rollout = start(database)
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "create trigger meanwhile after insert on rollout_events when new.detail like '%\"warming\"%' "
            "begin update routes set generation = generation + 1, frozen_reason = 'incident 12'; end"
        )
    held = driver_of(database, rollout).tick()
    assert (held.state, held.reason) == ("held", "frozen: incident 12")
    assert states(database, rollout) == ["pending", "validating", "warming", "held"]
    assert read_routes(database, PIPELINE).challenger is None


def test_routes_that_change_faster_than_they_can_be_read_are_left_to_the_next_tick(
    database: Database, gateways: Gateways
) -> None:
    driver = baking(database, gateways)
    gateways.open_breaker(gateways.poll(), "2")
    with database.transaction() as connection:
        # The change has no effect, as if somebody had always been faster.
        connection.exec_driver_sql("create trigger refusing before update on routes begin select raise(ignore); end")
    assert driver.tick().state == "rolling_back"
    assert read_routes(database, PIPELINE).challenger == TWO
    allow(database)
    assert driver.tick().state == "rolled_back"


def test_an_older_driver_is_fenced_at_whatever_it_tries(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    gateways.poll(requests=100)
    take_over(database, driver.rollout_id)
    before = (read_routes(database, PIPELINE).generation, driver.look().transitions)
    for act in (driver.tick, driver.heartbeat):
        with pytest.raises(FencedError):
            act()
    assert (read_routes(database, PIPELINE).generation, driver.look().transitions) == before


def test_a_driver_that_has_not_taken_over_only_looks(database: Database) -> None:
    driver = RolloutDriver(database, start(database).id)
    assert driver.look().state == "pending"
    with pytest.raises(FencedError):
        driver.tick()
    driver.close()


def test_a_rollout_that_is_not_there_cannot_be_driven(database: Database) -> None:
    with pytest.raises(LookupError):
        RolloutDriver(database, 99).take_over()


def test_routes_that_refuse_the_rollback_are_tried_until_they_hold(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    gateways.open_breaker(gateways.poll(), "2")
    refuse(database, "routes")
    failed = driver.tick()
    assert failed.state == "rollback_failed"
    assert "not now" in failed.reason
    assert driver.tick().transitions == failed.transitions
    assert not failed.is_terminal

    allow(database)
    rollout = driver_of(database, failed).tick()
    assert rollout.state == "rolled_back"
    assert "invalid_output" in rollout.reason
    assert read_routes(database, PIPELINE).challenger is None


def test_a_failed_rollback_gets_no_more_lease(database: Database, gateways: Gateways) -> None:
    driver = baking(database, gateways)
    gateways.open_breaker(gateways.poll(), "2")
    refuse(database, "routes")
    driver.tick()
    allow(database)
    before = read_routes(database, PIPELINE).lease_s
    assert driver.heartbeat()
    after = read_routes(database, PIPELINE).lease_s
    assert before is not None
    assert after is not None
    assert after <= before


def test_routes_that_refuse_anything_else_are_an_error(database: Database) -> None:
    driver = driver_of(database, start(database))
    refuse(database, "routes")
    with pytest.raises(sa.exc.IntegrityError, match="not now"):
        driver.tick()
    allow(database)
    assert driver.tick().state == "warming"


def wait(database: Database, seconds: float) -> None:
    """Let the rollout have entered its state so many seconds earlier."""
    with database.transaction() as connection:
        connection.execute(sa.text("update rollouts set entered_at = entered_at - :seconds"), {"seconds": seconds})


def expire_lease(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(sa.text("update routes set lease_expires_at = lease_expires_at - 3600"))


def refuse(database: Database, table: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(
            f"create trigger refusing before update on {table} begin select raise(abort, 'not now'); end"
        )


def allow(database: Database) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("drop trigger refusing")

"""Taking back what is served, with a real registry behind it and without one."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from airflow_provider_autoglm.exceptions import RolloutInProgressError
from airflow_provider_autoglm.rollout.driver import RolloutDriver
from airflow_provider_autoglm.rollout.rollback import RollbackOutcome, roll_back
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.freeze import freeze
from airflow_provider_autoglm.state.rollouts import active_rollout
from airflow_provider_autoglm.state.routes import read_routes
from tests.rollout.conftest import ONE, PIPELINE, THREE, TWO, driver_of, quick, start, states, write
from tests.rollout.gateways import Gateways


def baking(database: Database) -> RolloutDriver:
    driver = driver_of(database, start(database, quick(min_requests=10**6)))
    driver.tick()
    Gateways(database, PIPELINE).poll()
    assert driver.tick().state == "step"
    return driver


def test_a_running_rollout_is_ended_and_the_champion_stays(database: Database) -> None:
    driver = baking(database)
    outcome = roll_back(database, PIPELINE, reason="people complain")
    assert outcome == RollbackOutcome(champion=ONE, withdrawn=TWO)
    rollout = driver.look()
    assert (rollout.state, rollout.reason) == ("rolled_back", "people complain")
    routes = read_routes(database, PIPELINE)
    assert (routes.champion, routes.challenger, routes.challenger_weight, routes.lease_s) == (ONE, None, 0, None)


@pytest.mark.parametrize("state", ["pending", "held"])
def test_a_rollout_that_waits_is_ended_as_well(database: Database, state: str) -> None:
    rollout = start(database)
    if state == "held":
        freeze(database, PIPELINE, reason="incident 12")
        assert driver_of(database, rollout).tick().state == "held"
    assert roll_back(database, PIPELINE, reason="not wanted").withdrawn == TWO
    assert active_rollout(database, PIPELINE) is None


def test_without_a_rollout_the_previous_champion_comes_back_once(database: Database) -> None:
    write(database, champion=TWO, previous=ONE)
    first = roll_back(database, PIPELINE, reason="answers got worse")
    assert first == RollbackOutcome(champion=ONE, withdrawn=TWO)
    assert read_routes(database, PIPELINE).previous is None
    before = read_routes(database, PIPELINE)
    assert roll_back(database, PIPELINE, reason="answers got worse") == RollbackOutcome(champion=ONE, withdrawn=None)
    assert read_routes(database, PIPELINE) == before
    (event,) = [event for event in read_events(database, PIPELINE) if event.kind == "repair"]
    assert event.detail == {"reason": "answers got worse", "champion": "1", "withdrawn": "2"}
    assert event.version == "2"


def test_where_nothing_was_ever_served_there_is_nothing_to_take_back(database: Database) -> None:
    assert roll_back(database, PIPELINE, reason="try") == RollbackOutcome(champion=None, withdrawn=None)


def test_it_works_while_the_pipeline_is_frozen_and_leaves_it_frozen(database: Database) -> None:
    write(database, champion=TWO, previous=ONE)
    freeze(database, PIPELINE, reason="incident 12")
    assert roll_back(database, PIPELINE, reason="cause of incident 12").champion == ONE
    assert read_routes(database, PIPELINE).frozen_reason == "incident 12"


def test_a_version_that_is_not_served_any_more_is_not_taken_back_by_a_retry(database: Database) -> None:
    write(database, champion=ONE, previous=THREE)
    baking(database)
    assert roll_back(database, PIPELINE, reason="retry", version="2").withdrawn == TWO
    assert roll_back(database, PIPELINE, reason="retry", version="2") == RollbackOutcome(champion=ONE, withdrawn=None)


def test_a_champion_can_be_taken_back_while_another_version_is_rolled_out(database: Database) -> None:
    write(database, champion=ONE, previous=THREE)
    driver = baking(database)
    assert roll_back(database, PIPELINE, reason="wrong labels", version="1").champion == THREE
    routes = read_routes(database, PIPELINE)
    assert (routes.challenger, routes.challenger_weight, routes.rollout_id) == (None, 0, None)
    ended = driver.tick()
    assert ended.state == "rolled_back"
    assert ended.reason == "the champion changed under the rollout: it was version 1, it is version 3"


def moved(database: Database) -> RolloutDriver:
    """A rollout whose routes have been moved, and that waits for MLflow."""
    rollout = start(database)
    driver_of(database, rollout).tick()
    gateways = Gateways(database, PIPELINE)
    gateways.poll()
    driver = driver_of(database, rollout, registry=away)
    driver.tick()
    gateways.poll(requests=60)
    assert driver.tick().state == "promoting"
    assert read_routes(database, PIPELINE).champion == TWO
    return driver


def away() -> None:
    raise ConnectionError("MLflow is away")


def test_a_promotion_whose_aliases_wait_is_taken_back_whole(database: Database) -> None:
    driver = moved(database)
    outcome = roll_back(database, PIPELINE, reason="second thoughts", registry=away)
    assert (outcome.champion, outcome.withdrawn) == (ONE, TWO)
    assert outcome.problems == ("aliases and tags in MLflow are not as the routes are: MLflow is away",)
    assert states(database, driver.look())[-2:] == ["rolling_back", "rolled_back"]
    routes = read_routes(database, PIPELINE)
    assert (routes.champion, routes.previous, routes.challenger) == (ONE, None, None)


def test_a_rollout_that_was_promoted_just_before_it_could_be_ended_is_taken_back(database: Database) -> None:
    driver = moved(database)
    driver_of(database, driver.look()).tick()  # MLflow is back
    assert driver.look().state == "done"
    assert roll_back(database, PIPELINE, reason="too late", version="2") == RollbackOutcome(ONE, TWO)


def at_the_first_take_over(database: Database, statements: str) -> None:
    """Let something else happen to the rollout at the moment in which it is taken over for the second time."""
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "create trigger meanwhile after update of fencing_token on rollouts when new.fencing_token = 2 "
            f"begin {statements}; end"
        )


def test_a_trigger_that_takes_over_at_the_same_moment_is_overtaken(database: Database) -> None:
    baking(database)
    at_the_first_take_over(database, "update rollouts set fencing_token = 3")
    assert roll_back(database, PIPELINE, reason="people complain") == RollbackOutcome(ONE, TWO)


def test_triggers_that_take_over_again_and_again_are_an_error(database: Database) -> None:
    baking(database)
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "create trigger meanwhile after update of fencing_token on rollouts "
            "begin update rollouts set fencing_token = new.fencing_token + 1; end"
        )
    with pytest.raises(RolloutInProgressError, match="version 2 is step"):
        roll_back(database, PIPELINE, reason="people complain")


def test_a_rollout_that_is_promoted_at_the_same_moment_is_taken_back_from_there(database: Database) -> None:
    baking(database)
    moved_routes = "champion_version = '2', champion_digest = 'sha256:2', champion_model_uri = 'runs:/2/model'"
    previous = "previous_version = '1', previous_digest = 'sha256:1', previous_model_uri = 'runs:/1/model'"
    at_the_first_take_over(
        database,
        f"update routes set {moved_routes}, {previous}, challenger_version = null, rollout_id = null; "
        "update rollouts set state = 'done', is_active = 0",
    )
    assert roll_back(database, PIPELINE, reason="people complain") == RollbackOutcome(ONE, TWO)


def test_a_rollback_that_the_routes_refuse_is_said_to_be_a_problem(database: Database) -> None:
    baking(database)
    with database.transaction() as connection:
        refusal = "create trigger refusing before update on routes begin select raise(abort, 'not now'); end"
        connection.execute(text(refusal))
    outcome = roll_back(database, PIPELINE, reason="people complain")
    assert len(outcome.problems) == 1
    assert "is rollback_failed: version 2 could not be taken out of the routes" in outcome.problems[0]
    with database.transaction() as connection:
        connection.execute(text("drop trigger refusing"))
    assert roll_back(database, PIPELINE, reason="people complain") == RollbackOutcome(ONE, TWO)

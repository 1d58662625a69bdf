from __future__ import annotations

import pytest

from airflow_provider_autoglm.exceptions import RouteChangedError
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.freeze import freeze, lift_freeze
from airflow_provider_autoglm.state.routes import (
    Routes,
    extend_lease,
    lock_routes,
    mark_lease_lost,
    read_routes,
    write_routes,
)
from tests.state.conftest import CONTENDERS, ONE, THREE, TWO, kinds, race


def write(database: Database, seen: Routes, *, lease_s: float | None = None, **changes: object) -> Routes:
    with database.transaction() as connection:
        return write_routes(connection, seen, lease_s=lease_s, **changes)


def canary(database: Database, lease_s: float = 60) -> Routes:
    write(database, read_routes(database, "news"), champion=ONE)
    seen = read_routes(database, "news")
    return write(database, seen, challenger=TWO, challenger_weight=10, rollout_id=7, lease_s=lease_s)


def lost(database: Database, generation: int) -> bool:
    with database.transaction() as connection:
        return mark_lease_lost(connection, "news", generation)


def extended(database: Database, seen: Routes, lease_s: float = 60) -> bool:
    with database.transaction() as connection:
        return extend_lease(connection, seen, lease_s)


def test_a_pipeline_of_which_nothing_is_known_has_no_routes(database: Database) -> None:
    assert read_routes(database, "news") == Routes("news")
    assert read_routes(database, "news").models() == ()


def test_what_is_written_is_read_and_what_is_not_named_stays(database: Database) -> None:
    first = write(database, Routes("news"), champion=ONE, previous=THREE, frozen_reason="incident 7")
    second = write(database, first, challenger=TWO, challenger_weight=25, rollout_id=7, lease_s=60)

    found = read_routes(database, "news")
    assert found.lease_s is not None
    assert 0 < found.lease_s <= 60
    assert found == Routes(
        "news",
        generation=2,
        champion=ONE,
        challenger=TWO,
        previous=THREE,
        challenger_weight=25,
        rollout_id=7,
        lease_s=found.lease_s,
        frozen_reason="incident 7",
    )
    assert found.models() == (ONE, TWO)
    assert second.generation == 2


def test_pipelines_do_not_touch_each_other(database: Database) -> None:
    write(database, Routes("news"), champion=ONE)
    write(database, Routes("support"), champion=TWO)

    assert (read_routes(database, "news").champion, read_routes(database, "support").champion) == (ONE, TWO)


def test_a_field_is_emptied_by_none_and_the_lease_by_leaving_it_out(database: Database) -> None:
    seen = canary(database)

    write(database, seen, challenger=None, challenger_weight=0, rollout_id=None)

    assert read_routes(database, "news") == Routes("news", generation=3, champion=ONE)


def test_who_read_before_the_last_change_cannot_write(database: Database) -> None:
    seen = write(database, Routes("news"), champion=ONE)
    write(database, seen, champion=TWO)

    with pytest.raises(RouteChangedError, match="not at generation 1 any more; read them again") as raised:
        write(database, seen, champion=THREE)
    assert raised.value.retry_can_help
    with pytest.raises(RouteChangedError, match="generation 0"):
        write(database, Routes("news"), champion=THREE)
    assert read_routes(database, "news").champion == TWO


@pytest.mark.parametrize("generation", [0, 1])
def test_of_many_that_write_at_once_exactly_one_wins_the_generation(
    database: Database, url: str, generation: int
) -> None:
    seen = write(database, Routes("news"), champion=ONE) if generation else Routes("news")

    results = race(url, lambda own, number: write(own, seen, challenger_weight=number))

    assert kinds(results) == ["RouteChangedError"] * (CONTENDERS - 1) + ["Routes"]
    (winner,) = (result for result in results if isinstance(result, Routes))
    assert read_routes(database, "news") == winner
    assert winner.generation == generation + 1


def test_many_that_read_and_try_again_all_get_their_turn(database: Database, url: str) -> None:
    def raise_weight_five_times(own: Database, _number: int) -> int:
        refused = done = 0
        while done < 5:
            seen = read_routes(own, "news")
            try:
                write(own, seen, challenger_weight=seen.challenger_weight + 1)
                done += 1
            except RouteChangedError:
                refused += 1
        return refused

    results = race(url, raise_weight_five_times)

    assert kinds(results) == ["int"] * CONTENDERS
    found = read_routes(database, "news")
    assert (found.challenger_weight, found.generation) == (5 * CONTENDERS, 5 * CONTENDERS)


def test_routes_that_are_locked_are_changed_by_nobody_else(database: Database, url: str) -> None:
    def add_ten(own: Database, _number: int) -> None:
        with own.transaction() as connection:
            seen = lock_routes(connection, "news")
            write_routes(connection, seen, challenger_weight=seen.challenger_weight + 10)

    assert race(url, add_ten) == [None] * CONTENDERS
    assert read_routes(database, "news").challenger_weight == 10 * CONTENDERS


def test_a_running_lease_is_extended(database: Database) -> None:
    seen = canary(database, lease_s=5)

    assert extended(database, seen)

    found = read_routes(database, "news")
    assert found.lease_s is not None
    assert found.lease_s > 5
    assert found.generation == seen.generation, "a heartbeat is no change"


@pytest.mark.parametrize("lease_s", [None, -1.0])
def test_no_lease_and_one_that_is_over_are_not_taken_up_again(database: Database, lease_s: float | None) -> None:
    seen = write(database, canary(database), lease_s=lease_s)

    assert not extended(database, seen)
    assert read_routes(database, "news").lease_s is None or read_routes(database, "news").lease_s < 0


def test_the_lease_of_a_former_generation_is_not_extended(database: Database) -> None:
    seen = canary(database)
    write(database, seen, challenger_weight=20, lease_s=60)

    assert not extended(database, seen)


def test_a_lost_lease_is_marked_once_for_its_generation(database: Database) -> None:
    seen = canary(database, lease_s=-1)

    assert lost(database, seen.generation)
    assert not lost(database, seen.generation)
    assert read_routes(database, "news").is_lease_lost

    write(database, read_routes(database, "news"), challenger_weight=0)
    assert not read_routes(database, "news").is_lease_lost
    assert not lost(database, seen.generation), "the routes have gone on"


def test_a_running_lease_no_lease_and_another_generations_cannot_be_lost(database: Database) -> None:
    seen = canary(database)
    assert not lost(database, seen.generation)
    assert not lost(database, seen.generation - 1)

    without = write(database, seen)
    assert not lost(database, without.generation)


def test_a_lease_that_is_marked_lost_is_not_extended_even_if_the_clock_goes_back(database: Database) -> None:
    seen = canary(database, lease_s=-1)
    assert lost(database, seen.generation)
    with database.transaction() as connection:
        connection.exec_driver_sql("update routes set lease_expires_at = lease_expires_at + 1000")

    assert not extended(database, seen)


def test_of_many_gateways_one_is_the_first_to_see_a_lost_lease(database: Database, url: str) -> None:
    generation = canary(database, lease_s=-1).generation

    assert sorted(map(str, race(url, lambda own, _: lost(own, generation)))) == ["False"] * (CONTENDERS - 1) + ["True"]


def test_a_freeze_is_written_with_its_event_and_keeps_the_canary_to_its_controller(database: Database) -> None:
    canary(database)

    assert freeze(database, "news", reason="incident 7")

    found = read_routes(database, "news")
    assert (found.frozen_reason, found.challenger, found.challenger_weight, found.rollout_id) == (
        "incident 7",
        TWO,
        10,
        7,
    )
    assert found.lease_s is not None
    assert found.lease_s > 0
    (event,) = read_events(database, "news")
    assert (event.kind, event.rollout_id, event.generation) == ("freeze", 7, found.generation)
    assert event.detail == {"is_frozen": True, "reason": "incident 7"}


def test_each_change_of_a_freeze_is_one_event_and_no_change_is_none(database: Database) -> None:
    assert not lift_freeze(database, "news")
    assert freeze(database, "news", reason="incident 7")
    assert not freeze(database, "news", reason="incident 7")
    assert freeze(database, "news", reason="incident 8")
    assert lift_freeze(database, "news", reason="over")
    assert not lift_freeze(database, "news")

    assert read_routes(database, "news").frozen_reason is None
    assert [event.detail for event in read_events(database, "news")] == [
        {"is_frozen": True, "reason": "incident 7"},
        {"is_frozen": True, "reason": "incident 8"},
        {"is_frozen": False, "reason": "over"},
    ]


def test_many_that_freeze_at_once_are_one_freeze(database: Database, url: str) -> None:
    results = race(url, lambda own, _: freeze(own, "news", reason="incident 7"))

    assert sorted(map(str, results)) == ["False"] * (CONTENDERS - 1) + ["True"]
    assert len(read_events(database, "news")) == 1

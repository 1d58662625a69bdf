"""Every transition of a rollout, and everything that must not be one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.rollout.controller import Observation, decide, is_promoted
from airflow_provider_autoglm.rollout.demands import Demand, demand_of
from airflow_provider_autoglm.rollout.judge import Judgement
from airflow_provider_autoglm.settings.rollout import RolloutSettings
from airflow_provider_autoglm.state.replicas import Replica, VersionStatus
from airflow_provider_autoglm.state.rollouts import Rollout, RolloutState, Transition
from airflow_provider_autoglm.state.routes import Model, Routes
from tests.rollout.conftest import ONE, PIPELINE, THREE, TWO

STEPS = [{"weight_percent": 5, "bake_s": 60}, {"weight_percent": 50, "bake_s": 60}]
SETTINGS = RolloutSettings.parse({"steps": STEPS, "max_step_s": 600, "warm_timeout_s": 120, "lease_s": 30})
ACTIVE: tuple[RolloutState, ...] = ("pending", "validating", "warming", "step", "held", "promoting")
PASS = Judgement("pass", ("no sign of trouble",), {"value": 0.0})
FAIL = Judgement("fail", ("it fails more requests",), {"value": 9.0})
UNDECIDED = Judgement("inconclusive", ("3 of 800 requests",), {"value": 0.0})


def rollout(state: RolloutState, *, elapsed_s: float = 0, **changes: Any) -> Rollout:
    made = Rollout(
        id=7,
        pipeline=PIPELINE,
        model=TWO,
        champion_version="1",
        started_by="run 1",
        settings={},
        state=state,
        step=0,
        holds=0,
        reason="because",
        fencing_token=1,
        created_at=0.0,
        entered_at=1_000.0,
        now=1_000.0 + elapsed_s,
    )
    return replace(made, **changes)


def routes(**changes: Any) -> Routes:
    return Routes(PIPELINE, generation=5, **{"champion": ONE, "challenger": TWO, "rollout_id": 7, **changes})


def gateway(name: str = "a", *, generation: int = 5, **status: Any) -> Replica:
    return Replica(PIPELINE, name, generation, {"2": VersionStatus(**{"state": "ready", **status})})


def seen(**changes: Any) -> Observation:
    return Observation(**{"routes": routes(), "replicas": (gateway("a"), gateway("b")), **changes})


def decided(found: Rollout, observation: Observation, settings: RolloutSettings = SETTINGS) -> Transition:
    transition = decide(found, observation, settings)
    assert transition is not None
    return transition


def test_a_pending_rollout_is_validated() -> None:
    assert decided(rollout("pending"), seen()).state == "validating"


def test_a_valid_version_is_warmed() -> None:
    assert decided(rollout("validating"), seen()).state == "warming"


def test_an_invalid_version_is_rolled_back_with_the_problem() -> None:
    transition = decided(rollout("validating"), seen(validity="invalid", validity_problem="digest differs"))
    assert (transition.state, transition.reason) == ("rolling_back", "digest differs")


def test_a_version_that_cannot_be_looked_up_is_waited_for_and_then_rolled_back() -> None:
    unknown = seen(validity="unknown", validity_problem="MLflow is away")
    assert decide(rollout("validating", elapsed_s=120), unknown, SETTINGS) is None
    transition = decided(rollout("validating", elapsed_s=121), unknown)
    assert transition.state == "rolling_back"
    assert transition.reason == "version 2 could not be looked up for 121 s: MLflow is away"


@pytest.mark.parametrize("state", ["pending", "validating"])
def test_a_challenger_that_is_the_champion_is_done_without_work(state: RolloutState) -> None:
    observation = seen(routes=routes(champion=TWO, challenger=None, rollout_id=None))
    found = rollout(state, champion_version="2")
    while (transition := decide(found, observation, SETTINGS)) is not None:
        assert demand_of(found, observation, SETTINGS) is None
        found = replace(found, state=transition.state, reason=transition.reason)
    assert (found.state, found.reason) == ("done", "version 2 is the champion already")


def test_no_weight_before_every_fresh_gateway_is_ready() -> None:
    warming = rollout("warming")
    for replicas in (
        (),
        (gateway("a"), gateway("b", state="loading")),
        (gateway("a"), Replica(PIPELINE, "b", 5, {})),
        (gateway("a"), gateway("b", generation=4)),
    ):
        assert decide(warming, seen(replicas=replicas), SETTINGS) is None
    transition = decided(warming, seen())
    assert (transition.state, transition.step) == ("step", 0)
    assert transition.reason == "version 2 is ready and warm in all 2 gateways; it gets 5 % of requests"


def test_gateways_that_were_not_told_to_load_the_challenger_say_nothing_of_it() -> None:
    assert decide(rollout("warming"), seen(routes=routes(challenger=None, rollout_id=None)), SETTINGS) is None


def test_without_a_champion_the_warm_challenger_is_promoted() -> None:
    first = seen(routes=routes(champion=None))
    transition = decided(rollout("warming", champion_version=None), first)
    assert transition.state == "promoting"
    assert transition.reason.endswith("there is no champion to compare it with")


def test_without_steps_the_warm_challenger_is_promoted() -> None:
    transition = decided(rollout("warming"), seen(), RolloutSettings(steps=()))
    assert transition.state == "promoting"
    assert transition.reason.endswith("there are no steps")


@pytest.mark.parametrize("state", ["warming", "promoting"])
def test_gateways_that_do_not_get_warm_in_time_end_it(state: RolloutState) -> None:
    half = seen(replicas=(gateway("a"), gateway("b", state="loading")))
    assert decide(rollout(state, elapsed_s=120), half, SETTINGS) is None
    transition = decided(rollout(state, elapsed_s=121), half)
    assert transition.state == "rolling_back"
    assert transition.reason == "version 2 is ready in 1 of 2 gateways after 121 s, more than warm_timeout_s = 120"


@pytest.mark.parametrize("state", ["warming", "step"])
def test_a_gateway_that_cannot_load_the_challenger_ends_it(state: RolloutState) -> None:
    failed = seen(replicas=(gateway("a"), gateway("b", state="failed", reason="digest differs")), judgement=UNDECIDED)
    transition = decided(rollout(state), failed)
    assert (transition.state, transition.reason) == (
        "rolling_back",
        "version 2 cannot be loaded by gateway b: digest differs",
    )


def test_a_failure_of_an_earlier_rollout_of_the_version_is_not_this_ones() -> None:
    stale = seen(replicas=(gateway("a", state="failed", generation=4),))
    assert decide(rollout("warming"), stale, SETTINGS) is None


def test_a_step_needs_both_its_time_and_a_pass() -> None:
    assert decide(rollout("step", elapsed_s=59), seen(judgement=PASS), SETTINGS) is None
    assert decide(rollout("step", elapsed_s=61), seen(judgement=UNDECIDED), SETTINGS) is None
    transition = decided(rollout("step", elapsed_s=61), seen(judgement=PASS))
    assert (transition.state, transition.step) == ("step", 1)
    assert transition.detail == {"judgement": PASS.evidence}


def test_a_step_that_was_not_judged_goes_nowhere() -> None:
    assert decide(rollout("step", elapsed_s=10_000), seen(), SETTINGS) is None


def test_the_last_step_leads_to_promotion() -> None:
    assert decided(rollout("step", step=1, elapsed_s=61), seen(judgement=PASS)).state == "promoting"


def test_the_share_is_not_raised_while_a_new_gateway_is_not_ready() -> None:
    loading = seen(replicas=(gateway("a"), gateway("new", state="loading")), judgement=PASS)
    assert decide(rollout("step", elapsed_s=61), loading, SETTINGS) is None
    transition = decided(rollout("step", elapsed_s=601), loading)
    assert transition.state == "held"
    assert transition.reason.endswith("no sign of trouble; 1 of 2 gateways ready")


def test_a_failed_judgement_rolls_back_at_once_with_its_evidence() -> None:
    transition = decided(rollout("step", elapsed_s=1, step=1), seen(judgement=FAIL))
    assert (transition.state, transition.reason) == ("rolling_back", "it fails more requests")
    assert transition.detail == {"judgement": FAIL.evidence}


def test_too_little_traffic_is_held_once_and_rolled_back_the_second_time() -> None:
    undecided = seen(judgement=UNDECIDED)
    assert decide(rollout("step", elapsed_s=600), undecided, SETTINGS) is None
    held = decided(rollout("step", elapsed_s=601, step=1), undecided)
    assert (held.state, held.step, held.holds) == ("held", 1, 1)
    assert held.reason == "undecided after 601 s, more than max_step_s = 600: 3 of 800 requests"
    second = decided(rollout("step", elapsed_s=601, step=1, holds=1), undecided)
    assert second.state == "rolling_back"
    assert second.reason.startswith("undecided a second time after 601 s")


def test_a_held_rollout_waits_for_a_person() -> None:
    assert decide(rollout("held", elapsed_s=10**6, holds=1), seen(judgement=None), SETTINGS) is None


@pytest.mark.parametrize("state", [state for state in ACTIVE if state != "held"])
def test_a_freeze_holds_whatever_has_not_been_promoted(state: RolloutState) -> None:
    frozen = seen(routes=routes(frozen_reason="incident 12"), judgement=PASS)
    transition = decided(rollout(state, elapsed_s=61, step=1, holds=1), frozen)
    assert (transition.state, transition.reason) == ("held", "frozen: incident 12")
    assert (transition.step, transition.holds) == (1, 1)


def test_a_freeze_lets_a_held_rollout_be() -> None:
    assert decide(rollout("held"), seen(routes=routes(frozen_reason="incident 12")), SETTINGS) is None


@pytest.mark.parametrize("state", ACTIVE)
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"open_breaker": "invalid_output at gateway a"}, "a gateway took version 2 out of traffic: invalid_output"),
        ({"is_lease_lost": True}, "the lease ran out"),
        ({"routes": routes(champion=THREE)}, "the champion changed under the rollout: it was version 1, it is versio"),
        ({"routes": routes(champion=None)}, "the champion changed under the rollout: it was version 1, it is none"),
    ],
)
def test_trouble_takes_it_back_from_any_state(state: RolloutState, trouble: dict[str, Any], reason: str) -> None:
    transition = decided(rollout(state), seen(**{"judgement": PASS, **trouble}))
    assert transition.state == "rolling_back"
    assert transition.reason.startswith(reason)


@pytest.mark.parametrize("state", ["step", "promoting"])
def test_a_challenger_that_somebody_took_out_of_the_routes_stays_out(state: RolloutState) -> None:
    gone = seen(routes=routes(challenger=None, rollout_id=None), judgement=PASS)
    transition = decided(rollout(state, elapsed_s=61), gone)
    assert transition.state == "rolling_back"
    assert transition.reason == "version 2 was taken out of the routes by somebody else"


def promoted(**changes: Any) -> Observation:
    return seen(routes=routes(champion=TWO, previous=ONE, challenger=None, rollout_id=None), **changes)


def test_a_promotion_is_done_when_the_aliases_follow_the_routes() -> None:
    promoting = rollout("promoting")
    assert decide(promoting, seen(aliases="settled"), SETTINGS) is None
    assert decide(promoting, promoted(aliases="pending"), SETTINGS) is None
    assert decide(promoting, promoted(aliases="unreachable"), SETTINGS) is None
    assert decided(promoting, promoted(aliases="settled")).state == "done"


def test_after_the_routes_have_moved_only_the_aliases_matter() -> None:
    late = promoted(aliases="settled", open_breaker="error", is_lease_lost=True)
    frozen = replace(late, routes=replace(late.routes, frozen_reason="incident 12"))
    assert decided(rollout("promoting", elapsed_s=10**6), frozen).state == "done"


@pytest.mark.parametrize("state", ["rolling_back", "rollback_failed"])
def test_a_rollback_ends_when_the_routes_are_clean_whether_mlflow_is_there_or_not(state: RolloutState) -> None:
    clean = routes(challenger=None, rollout_id=None)
    assert decide(rollout(state), seen(aliases="settled"), SETTINGS) is None
    assert decide(rollout(state), seen(routes=clean, aliases="pending"), SETTINGS) is None
    for aliases in ("settled", "unreachable"):
        transition = decided(rollout(state), seen(routes=clean, aliases=aliases))
        assert (transition.state, transition.reason) == ("rolled_back", "because")


def test_a_rollback_whose_routes_cannot_be_written_has_failed_until_they_can() -> None:
    refused = seen(routes_problem="constraint")
    transition = decided(rollout("rolling_back"), refused)
    assert transition.state == "rollback_failed"
    assert transition.reason == (
        "version 2 could not be taken out of the routes: constraint; it was to be taken back because: because"
    )
    assert decide(rollout("rollback_failed"), refused, SETTINGS) is None


@pytest.mark.parametrize("state", ["done", "rolled_back"])
def test_nothing_happens_to_a_rollout_that_has_ended(state: RolloutState) -> None:
    assert decide(rollout(state), seen(is_lease_lost=True, open_breaker="error"), SETTINGS) is None
    assert demand_of(rollout(state), seen(), SETTINGS) is None


def test_warming_asks_gateways_to_load_the_challenger_without_traffic() -> None:
    before = seen(routes=routes(challenger=None, rollout_id=None))
    demand = demand_of(rollout("warming"), before, SETTINGS)
    assert demand == Demand({"challenger": TWO, "challenger_weight": 0, "rollout_id": 7})
    assert demand_of(rollout("warming"), seen(), SETTINGS) is None


def test_a_step_asks_for_its_weight_with_a_lease_once_gateways_are_ready() -> None:
    loading = seen(replicas=(gateway(state="loading"),))
    assert demand_of(rollout("step"), loading, SETTINGS) is None
    assert demand_of(rollout("step"), seen(), SETTINGS) == Demand({"challenger_weight": 5}, lease_s=30)
    leased = routes(challenger_weight=5, lease_s=12.0)
    assert demand_of(rollout("step"), seen(routes=leased), SETTINGS) is None
    unleased = seen(routes=routes(challenger_weight=5), replicas=(gateway(state="loading"),))
    assert demand_of(rollout("step"), unleased, SETTINGS) == Demand({"challenger_weight": 5}, lease_s=30)


def test_a_hold_takes_weight_and_lease_away_and_keeps_the_challenger_loaded() -> None:
    leased = seen(routes=routes(challenger_weight=50, lease_s=12.0))
    assert demand_of(rollout("held"), leased, SETTINGS) == Demand({"challenger_weight": 0})
    assert demand_of(rollout("held"), seen(), SETTINGS) is None


def test_a_promotion_moves_the_routes_once_and_only_to_ready_gateways() -> None:
    moved = {"champion": TWO, "previous": ONE, "challenger": None, "challenger_weight": 0, "rollout_id": None}
    assert demand_of(rollout("promoting"), seen(), SETTINGS) == Demand(moved)
    assert demand_of(rollout("promoting"), seen(replicas=(gateway(state="loading"),)), SETTINGS) is None
    assert demand_of(rollout("promoting"), promoted(), SETTINGS) is None


def test_taking_back_leaves_the_champion_alone() -> None:
    gone = {"challenger": None, "challenger_weight": 0, "rollout_id": None}
    for state in ("rolling_back", "rollback_failed"):
        assert demand_of(rollout(state), seen(), SETTINGS) == Demand(gone)
        assert demand_of(rollout(state), promoted(), SETTINGS) is None


models = st.sampled_from([ONE, TWO, THREE])
maybe_models: st.SearchStrategy[Model | None] = st.none() | models
any_routes = st.builds(
    routes,
    champion=maybe_models,
    challenger=maybe_models,
    challenger_weight=st.sampled_from([0, 5, 50]),
    rollout_id=st.sampled_from([None, 7]),
    lease_s=st.sampled_from([None, -1.0, 20.0]),
    frozen_reason=st.sampled_from([None, "incident 12"]),
)
any_replicas = st.lists(
    st.builds(gateway, generation=st.sampled_from([4, 5]), state=st.sampled_from(["loading", "ready", "failed"])),
    max_size=3,
).map(tuple)
any_observation = st.builds(
    Observation,
    routes=any_routes,
    replicas=any_replicas,
    judgement=st.sampled_from([PASS, FAIL, UNDECIDED]),
    open_breaker=st.sampled_from([None, "error"]),
    is_lease_lost=st.booleans(),
    validity=st.sampled_from(["valid", "invalid", "unknown"]),
    validity_problem=st.just("version 2 is another one than the rollout's"),
    aliases=st.sampled_from(["pending", "settled", "unreachable"]),
    routes_problem=st.sampled_from([None, "constraint"]),
)
any_rollout = st.builds(
    rollout,
    st.sampled_from(get_args(RolloutState)),
    elapsed_s=st.sampled_from([0, 61, 10_000]),
    step=st.sampled_from([0, 1]),
    holds=st.sampled_from([0, 1]),
    champion_version=st.sampled_from([None, "1", "2"]),
)


@given(any_rollout, any_observation)
def test_whatever_is_seen_traffic_rises_only_to_where_it_may(found: Rollout, observation: Observation) -> None:
    transition = decide(found, observation, SETTINGS)
    after = found if transition is None else replace(found, state=transition.state, step=transition.step)
    if transition is not None:
        assert transition.reason
        assert transition.state != found.state or transition.step > found.step
    demand = demand_of(after, observation, SETTINGS)
    if demand is None:
        return
    weight = demand.changes.get("challenger_weight", observation.routes.challenger_weight)
    raises = weight > observation.routes.challenger_weight or "champion" in demand.changes
    if raises:
        assert observation.is_ready("2")
        assert observation.routes.frozen_reason is None
        assert observation.open_breaker is None
        assert not observation.is_lease_lost
        assert observation.routes.challenger == TWO
    assert (demand.lease_s is not None) == (weight > 0)
    assert not is_promoted(after, observation.routes)

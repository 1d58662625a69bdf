"""What the state of a rollout asks of the routes, without side effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.rollout.controller import Observation, is_promoted, is_withdrawn
from airflow_provider_autoglm.settings.rollout import RolloutSettings
from airflow_provider_autoglm.state.rollouts import Rollout
from airflow_provider_autoglm.state.routes import Routes


@dataclass(frozen=True)
class Demand:
    """Fields of the routes that have to change, and the seconds of a new lease."""

    changes: Mapping[str, Any]
    lease_s: float | None = None


_NO_CHALLENGER = {"challenger": None, "challenger_weight": 0, "rollout_id": None}


def demand_of(rollout: Rollout, observation: Observation, settings: RolloutSettings) -> Demand | None:
    """What has to be written; None if the routes are as the state asks, or it is too early to write.

    Nothing that raises the challenger's share is asked for before all gateways have it ready.
    """
    routes, is_ready = observation.routes, observation.is_ready(rollout.model.version)
    demand: Demand | None = None
    match rollout.state:
        case "warming":
            loaded = {"challenger": rollout.model, "challenger_weight": 0, "rollout_id": rollout.id}
            demand = _differing(routes, loaded)
        case "step":
            weight = settings.steps[rollout.step].weight_percent
            if is_ready or weight <= routes.challenger_weight:
                demand = _differing(routes, {"challenger_weight": weight}, settings.lease_s)
        case "held":
            demand = _differing(routes, {"challenger_weight": 0})
        case "promoting" if is_ready and not is_promoted(rollout, routes):
            demand = Demand({"champion": rollout.model, "previous": routes.champion, **_NO_CHALLENGER})
        case "rolling_back" | "rollback_failed" if not is_withdrawn(rollout, routes):
            demand = Demand(_NO_CHALLENGER)
    return demand


def _differing(routes: Routes, wanted: Mapping[str, Any], lease_s: float | None = None) -> Demand | None:
    is_leased = routes.lease_s is not None
    if is_leased == (lease_s is not None) and all(getattr(routes, name) == value for name, value in wanted.items()):
        return None
    return Demand(wanted, lease_s)

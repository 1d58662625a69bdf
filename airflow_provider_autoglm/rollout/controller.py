"""The state machine of a rollout, without side effects: what was seen goes in, the next state and its reason come out.

``pending → validating → warming → step(i) ⇄ held → promoting → done``; from any of them ``rolling_back → rolled_back |
rollback_failed``. What each state asks of the routes is in ``demands``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_autoglm.settings.rollout import RolloutSettings
from airflow_provider_autoglm.state.replicas import Replica
from airflow_provider_autoglm.state.rollouts import Rollout, RolloutState, Transition
from airflow_provider_autoglm.state.routes import Routes

if TYPE_CHECKING:  # a rollback does without SciPy
    from airflow_provider_autoglm.rollout.judge import Judgement

Validity = Literal["valid", "invalid", "unknown"]
AliasState = Literal["pending", "settled", "unreachable"]


@dataclass(frozen=True)
class Observation:
    """What the driver saw, at about one time.

    :param replicas: the gateways with a fresh heartbeat.
    :param judgement: of all steps so far; None outside of a step.
    :param open_breaker: why a gateway took the challenger out of traffic; None if none did.
    :param is_lease_lost: whether the lease ran out under this rollout, so that gateways gave the traffic back.
    :param validity: whether the registry knows the challenger as the rollout does; ``unknown`` while MLflow is away.
    :param validity_problem: a sentence, unless it is valid.
    :param aliases: whether aliases and tags were brought to what the state demands, or could not be.
    :param routes_problem: why the routes could not be written; None if they could.
    """

    routes: Routes
    replicas: tuple[Replica, ...] = ()
    judgement: Judgement | None = None
    open_breaker: str | None = None
    is_lease_lost: bool = False
    validity: Validity = "valid"
    validity_problem: str = ""
    aliases: AliasState = "pending"
    routes_problem: str | None = None

    def is_ready(self, version: str) -> bool:
        """Whether every fresh gateway, of which there is one at least, has the version loaded and warm."""
        return bool(self.replicas) and self.count_ready(version) == len(self.replicas)

    def count_ready(self, version: str) -> int:
        """How many gateways have the version loaded and warm, and know the routes as they are."""
        return sum(self._has(replica, version, "ready") for replica in self.replicas)

    def failure(self, version: str) -> str | None:
        """Why a gateway cannot load the version, if one cannot."""
        failed = [replica for replica in self.replicas if self._has(replica, version, "failed")]
        return f"gateway {failed[0].gateway_id}: {failed[0].versions[version].reason}" if failed else None

    def _has(self, replica: Replica, version: str, state: str) -> bool:
        # What a gateway says that has not seen the newest routes may be of an earlier rollout of this version.
        status = replica.versions.get(version)
        return status is not None and status.state == state and replica.generation >= self.routes.generation


def decide(rollout: Rollout, observation: Observation, settings: RolloutSettings) -> Transition | None:
    """The next transition of a rollout, or None while there is nothing to decide but to wait, or to act."""
    if rollout.is_terminal:
        return None
    if rollout.state in ("rolling_back", "rollback_failed"):
        return _roll_back(rollout, observation)
    if is_promoted(rollout, observation.routes):
        return _finish(rollout, observation)
    return _interrupt(rollout, observation) or _RULES[rollout.state](rollout, observation, settings)


def is_promoted(rollout: Rollout, routes: Routes) -> bool:
    """Whether the routes were moved to the challenger, and what is left to do are the aliases."""
    return (
        rollout.state == "promoting"
        and routes.champion == rollout.model
        and rollout.champion_version != rollout.model.version
    )


def is_withdrawn(rollout: Rollout, routes: Routes) -> bool:
    """Whether the routes hold nothing of this rollout any more."""
    return routes.challenger != rollout.model and routes.rollout_id != rollout.id


def _interrupt(rollout: Rollout, observation: Observation) -> Transition | None:
    """What comes before the rule of any state: trouble, or a freeze."""
    trouble, frozen = _trouble(rollout, observation), observation.routes.frozen_reason
    if trouble is not None:
        return _to(rollout, "rolling_back", trouble)
    if frozen is not None and rollout.state != "held":
        return _to(rollout, "held", f"frozen: {frozen}")
    return None


def _trouble(rollout: Rollout, observation: Observation) -> str | None:
    """Why a rollout has to be taken back whatever its state is, if it has to."""
    routes, version = observation.routes, rollout.model.version
    if observation.open_breaker is not None:
        return f"a gateway took version {version} out of traffic: {observation.open_breaker}"
    if observation.is_lease_lost:
        return "the lease ran out and gateways gave all traffic back to the champion: nothing drove the rollout"
    champion = routes.champion.version if routes.champion else None
    is_champion = champion == version and rollout.state in ("pending", "validating")
    if champion != rollout.champion_version and not is_champion:
        was, now = (f"version {name}" if name else "none" for name in (rollout.champion_version, champion))
        return f"the champion changed under the rollout: it was {was}, it is {now}"
    if rollout.state in ("step", "promoting") and routes.challenger != rollout.model:
        return f"version {version} was taken out of the routes by somebody else"
    if rollout.state in ("warming", "step"):
        failure = observation.failure(version)
        return f"version {version} cannot be loaded by {failure}" if failure else None
    return None


def _pending(rollout: Rollout, observation: Observation, settings: RolloutSettings) -> Transition | None:
    return _to(rollout, "validating", f"version {rollout.model.version} is to be rolled out")


def _validating(rollout: Rollout, observation: Observation, settings: RolloutSettings) -> Transition | None:
    champion, version = observation.routes.champion, rollout.model.version
    if champion is not None and champion.version == version:
        return _to(rollout, "done", f"version {version} is the champion already")
    if observation.validity == "valid":
        return _to(rollout, "warming", f"version {version} is as it was registered; gateways load it")
    if observation.validity == "invalid":
        return _to(rollout, "rolling_back", observation.validity_problem)
    if _elapsed_s(rollout) > settings.warm_timeout_s:
        return _to(
            rollout,
            "rolling_back",
            f"version {version} could not be looked up for {_elapsed_s(rollout):.0f} s: {observation.validity_problem}",
        )
    return None


def _warming(rollout: Rollout, observation: Observation, settings: RolloutSettings) -> Transition | None:
    version = rollout.model.version
    if observation.routes.challenger != rollout.model:
        return None  # no gateway has been told to load it
    if observation.is_ready(version):
        ready = f"version {version} is ready and warm in all {len(observation.replicas)} gateways"
        if observation.routes.champion is None:
            return _to(rollout, "promoting", f"{ready}; there is no champion to compare it with")
        if not settings.steps:
            return _to(rollout, "promoting", f"{ready}; there are no steps")
        return _to(rollout, "step", f"{ready}; it gets {settings.steps[rollout.step].weight_percent} % of requests")
    return _too_late(rollout, observation, settings)


def _too_late(rollout: Rollout, observation: Observation, settings: RolloutSettings) -> Transition | None:
    version, elapsed_s = rollout.model.version, _elapsed_s(rollout)
    if elapsed_s <= settings.warm_timeout_s or observation.is_ready(version):
        return None
    ready = f"{observation.count_ready(version)} of {len(observation.replicas)} gateways"
    limit = f"after {elapsed_s:.0f} s, more than warm_timeout_s = {settings.warm_timeout_s:g}"
    return _to(rollout, "rolling_back", f"version {version} is ready in {ready} {limit}")


def _step(rollout: Rollout, observation: Observation, settings: RolloutSettings) -> Transition | None:
    judgement = observation.judgement
    if judgement is None:
        return None
    said = "; ".join(judgement.reasons)
    if judgement.outcome == "fail":
        return _to(rollout, "rolling_back", said, judgement)
    is_ready = observation.is_ready(rollout.model.version)
    if judgement.outcome == "pass" and is_ready:
        return _pass(rollout, judgement, settings, said)
    if _elapsed_s(rollout) <= settings.max_step_s:
        return None
    waited = f"after {_elapsed_s(rollout):.0f} s, more than max_step_s = {settings.max_step_s:g}: {said}"
    if not is_ready:
        waited += f"; {observation.count_ready(rollout.model.version)} of {len(observation.replicas)} gateways ready"
    if rollout.holds > 0:
        return _to(rollout, "rolling_back", f"undecided a second time {waited}", judgement)
    return _to(rollout, "held", f"undecided {waited}", judgement, holds=rollout.holds + 1)


def _pass(rollout: Rollout, judgement: Judgement, settings: RolloutSettings, said: str) -> Transition | None:
    if _elapsed_s(rollout) < settings.steps[rollout.step].bake_s:
        return None
    later = rollout.step + 1
    if later == len(settings.steps):
        return _to(rollout, "promoting", f"the last step is passed: {said}", judgement)
    weight = settings.steps[later].weight_percent
    return _to(rollout, "step", f"it gets {weight} % of requests: {said}", judgement, step=later)


def _finish(rollout: Rollout, observation: Observation) -> Transition | None:
    if observation.aliases != "settled":
        return None
    return _to(rollout, "done", f"version {rollout.model.version} is the champion")


def _roll_back(rollout: Rollout, observation: Observation) -> Transition | None:
    if is_withdrawn(rollout, observation.routes):
        return None if observation.aliases == "pending" else _to(rollout, "rolled_back", rollout.reason)
    if rollout.state == "rolling_back" and observation.routes_problem is not None:
        reason = f"version {rollout.model.version} could not be taken out of the routes: {observation.routes_problem}"
        return _to(rollout, "rollback_failed", f"{reason}; it was to be taken back because: {rollout.reason}")
    return None


def _to(
    rollout: Rollout,
    state: RolloutState,
    reason: str,
    judgement: Judgement | None = None,
    *,
    step: int | None = None,
    holds: int | None = None,
) -> Transition:
    return Transition(
        state,
        step=rollout.step if step is None else step,
        holds=rollout.holds if holds is None else holds,
        reason=reason,
        detail={} if judgement is None else {"judgement": judgement.evidence},
    )


def _elapsed_s(rollout: Rollout) -> float:
    return rollout.now - rollout.entered_at


_Rule = Callable[[Rollout, Observation, RolloutSettings], Transition | None]
_RULES: dict[RolloutState, _Rule] = {
    "pending": _pending,
    "validating": _validating,
    "warming": _warming,
    "step": _step,
    "held": lambda *_: None,
    "promoting": _too_late,
}

"""Look at everything that a rollout's next state depends on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_autoglm.exceptions import ModelVersionNotFoundError
from airflow_provider_autoglm.rollout.aliases import VERDICT_TAG, RegistrySource, lost_champion, open_registry
from airflow_provider_autoglm.rollout.controller import AliasState, Observation, Validity
from airflow_provider_autoglm.settings.rollout import RolloutSettings
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.events import Event, read_events
from airflow_provider_autoglm.state.predictions import Counts, count_requests
from airflow_provider_autoglm.state.replicas import Replica, read_replicas
from airflow_provider_autoglm.state.rollouts import Rollout
from airflow_provider_autoglm.state.routes import Routes, read_routes

if TYPE_CHECKING:  # a rollback does without SciPy and MLflow
    from airflow_provider_autoglm.rollout.judge import Judgement, Step
    from airflow_provider_autoglm.tracking.registry import Registry

_log = logging.getLogger(__name__)


def observe(
    database: Database,
    rollout: Rollout,
    settings: RolloutSettings,
    *,
    registry: RegistrySource,
    aliases: AliasState,
    routes_problem: str | None,
) -> Observation:
    """Look at routes, gateways, events and requests, and at the registry while the rollout is validated.

    :raises StateUnavailableError: if the state cannot be reached.
    """
    routes = read_routes(database, rollout.pipeline)
    replicas = tuple(replica for replica in read_replicas(database, rollout.pipeline) if replica.is_fresh)
    events = read_events(database, rollout.pipeline, rollout_id=rollout.id)
    validity, problem = _validate(rollout, registry) if rollout.state == "validating" else ("valid", "")
    return Observation(
        routes=routes,
        replicas=replicas,
        judgement=_judged(database, rollout, settings, events) if rollout.state == "step" else None,
        open_breaker=_open_breaker(rollout, routes, replicas, events),
        is_lease_lost=_is_lease_lost(rollout, routes, events),
        validity=validity,
        validity_problem=problem,
        aliases=aliases,
        routes_problem=routes_problem,
    )


def steps_so_far(
    database: Database, rollout: Rollout, settings: RolloutSettings, events: Sequence[Event]
) -> list[Step]:
    """What both sides did in each step up to the present one; a step that was held counts with all its parts."""
    from airflow_provider_autoglm.rollout.judge import Step, Window

    parts: list[list[Mapping[str, Counts]]] = [[] for _ in settings.steps]
    for step, since, until in _stays(events):
        parts[step].append(count_requests(database, rollout.id, since, until))

    def window(step: int, version: str) -> Window:
        counts = [part[version] for part in parts[step] if version in part]
        return Window(sum(count.requests for count in counts), sum(count.errors for count in counts))

    return [
        Step(
            settings.steps[step].weight_percent,
            baseline=window(step, rollout.champion_version or ""),
            canary=window(step, rollout.model.version),
        )
        for step in range(rollout.step + 1)
    ]


def _judged(database: Database, rollout: Rollout, settings: RolloutSettings, events: Sequence[Event]) -> Judgement:
    from airflow_provider_autoglm.rollout.judge import judge

    return judge(steps_so_far(database, rollout, settings, events), settings)


def _stays(events: Sequence[Event]) -> Iterator[tuple[int, float, float | None]]:
    """When the rollout was in which step: step, begin, and end or None while it lasts."""
    transitions = [event for event in events if event.kind == "transition"]
    ends = [event.at for event in transitions[1:]]
    for event, until in zip(transitions, [*ends, None], strict=True):
        if event.detail["state"] == "step":
            yield event.detail["step"], event.at, until


def _validate(rollout: Rollout, source: RegistrySource) -> tuple[Validity, str]:
    """Whether the registry knows the version with these files, and nobody has refused it."""
    try:
        registry = open_registry(source)
        problem = None if registry is None else _problem(rollout, registry)
    except ModelVersionNotFoundError as error:
        problem = str(error)
    except Exception as error:
        _log.warning("version %s cannot be looked up: %s", rollout.model.version, error)
        return "unknown", str(error)
    return ("valid", "") if problem is None else ("invalid", problem)


def _problem(rollout: Rollout, registry: Registry) -> str | None:
    version = rollout.model.version
    found = registry.version(version)
    if found.digest != rollout.model.digest:
        return f"version {version} has digest {found.digest} in MLflow and {rollout.model.digest} here"
    if found.tags.get(VERDICT_TAG) == "refused":
        return f"version {version} was refused when it was evaluated"
    champion = registry.find_alias("champion") if rollout.champion_version is None else None
    if champion is not None and champion.version != version:
        return lost_champion(champion.version)
    return None


def _open_breaker(rollout: Rollout, routes: Routes, replicas: Sequence[Replica], events: Sequence[Event]) -> str | None:
    version = rollout.model.version
    for event in events:
        if event.kind == "breaker" and event.version == version:
            return f"{event.detail.get('reason', 'unknown')} at gateway {event.detail.get('gateway_id', 'unknown')}"
    for replica in replicas:
        status = replica.versions.get(version)
        # A gateway that has not seen the newest routes may speak of an earlier rollout of this version.
        if status is not None and status.is_breaker_open and replica.generation >= routes.generation:
            return f"{status.reason or 'unknown'} at gateway {replica.gateway_id}"
    return None


def _is_lease_lost(rollout: Rollout, routes: Routes, events: Sequence[Event]) -> bool:
    if any(event.kind == "lease_lost" for event in events):
        return True
    is_over = routes.lease_s is not None and routes.lease_s <= 0
    return routes.rollout_id == rollout.id and (routes.is_lease_lost or is_over)

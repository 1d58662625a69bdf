"""Which version a rollout DAG takes up, so that each challenger is rolled out once whatever wakes the DAG."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_autoglm.rollout.aliases import VERDICT_TAG, lost_champion
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.rollouts import active_rollout, latest_rollout, rollout_started_by
from airflow_provider_autoglm.state.routes import read_routes
from airflow_provider_autoglm.tracking.registry import RegisteredVersion, Registry


@dataclass(frozen=True)
class Candidate:
    """A version to roll out, and what its rollout is ``started_by``: the same key finds the same rollout.

    ``resumes_hold`` is the hold that a person has asked to end, by the rollout's number of transitions; no later one.
    """

    version: str
    started_by: str
    resumes_hold: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The candidate as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class NothingToRollOut:
    """Why there is no version to roll out."""

    why: str


def next_candidate(
    database: Database, pipeline: str, registry: Registry, *, version: str | None, requested_by: str
) -> Candidate | NothingToRollOut:
    """The version asked for, an active rollout that its DAG run has left alone, or the challenger without a rollout.

    :param version: a version that a person names: it may have been rolled out before, and a held one goes on.
    :param requested_by: the DAG run; what a rollout of a named version is started by.
    """
    mine = rollout_started_by(database, requested_by)
    if mine is not None:
        return Candidate(mine.model.version, mine.started_by)
    active = active_rollout(database, pipeline)
    if active is not None and (version in (None, active.model.version)):
        if active.state == "held" and version is None:
            return NothingToRollOut(
                f"rollout {active.id} of version {active.model.version} is held ({active.reason}); start this DAG with "
                f"model_version = {active.model.version} to go on, or run: airflow autoglm rollback {pipeline}"
            )
        held = active.transitions if active.state == "held" else None
        return Candidate(active.model.version, active.started_by, resumes_hold=held)
    if version is not None:
        return Candidate(version, requested_by)
    return _challenger(database, pipeline, registry)


def _challenger(database: Database, pipeline: str, registry: Registry) -> Candidate | NothingToRollOut:
    challenger = registry.find_alias("challenger")
    if challenger is None:
        return NothingToRollOut("no version has the alias challenger")
    obstacle = _obstacle(database, pipeline, challenger, registry.find_alias("champion"))
    if obstacle is not None:
        return NothingToRollOut(obstacle)
    return Candidate(challenger.version, f"{pipeline}/v{challenger.version}")


def _obstacle(
    database: Database, pipeline: str, challenger: RegisteredVersion, serving: RegisteredVersion | None
) -> str | None:
    """Why the challenger is not rolled out by itself; ``serving`` is the champion by MLflow."""
    version, routes = challenger.version, read_routes(database, pipeline)
    earlier = latest_rollout(database, pipeline, version)
    if routes.champion is not None and routes.champion.version == version:
        return f"version {version} is the champion already"
    if earlier is not None:
        return (
            f"version {version} had its rollout {earlier.id}, which is {earlier.state}; start this DAG with "
            f"model_version = {version} to try again"
        )
    if challenger.tags.get(VERDICT_TAG) == "refused":
        return f"version {version} was refused when it was evaluated"
    if routes.champion is None and serving is not None and serving.version != version:
        return lost_champion(serving.version)
    if routes.frozen_reason is not None:
        return f"{pipeline} is frozen ({routes.frozen_reason}); version {version} waits"
    return None

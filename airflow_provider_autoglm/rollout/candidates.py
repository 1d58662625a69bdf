"""Which version a rollout DAG takes up, so that each challenger is rolled out once whatever wakes the DAG."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.rollouts import active_rollout, latest_rollout, rollout_started_by
from airflow_provider_autoglm.state.routes import read_routes
from airflow_provider_autoglm.tracking.registry import Registry


@dataclass(frozen=True)
class Candidate:
    """A version to roll out, and what its rollout is ``started_by``: the same key finds the same rollout.

    ``resumes_hold`` says that a person has asked to go on with a rollout that is held.
    """

    version: str
    started_by: str
    resumes_hold: bool = False

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
        return Candidate(active.model.version, active.started_by, resumes_hold=active.state == "held")
    if version is not None:
        return Candidate(version, requested_by)
    return _challenger(database, pipeline, registry)


def _challenger(database: Database, pipeline: str, registry: Registry) -> Candidate | NothingToRollOut:
    challenger = registry.find_alias("challenger")
    if challenger is None:
        return NothingToRollOut("no version has the alias challenger")
    routes = read_routes(database, pipeline)
    if routes.frozen_reason is not None:
        return NothingToRollOut(f"{pipeline} is frozen ({routes.frozen_reason}); version {challenger.version} waits")
    champion = routes.champion
    if champion is not None and champion.version == challenger.version:
        return NothingToRollOut(f"version {challenger.version} is the champion already")
    earlier = latest_rollout(database, pipeline, challenger.version)
    if earlier is not None:
        return NothingToRollOut(
            f"version {challenger.version} had its rollout {earlier.id}, which is {earlier.state}; start this DAG with "
            f"model_version = {challenger.version} to try again"
        )
    return Candidate(challenger.version, f"{pipeline}/v{challenger.version}")

"""Back to the model before: what the on-call engineer and ``RollbackOperator`` call."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_autoglm.exceptions import FencedError, RolloutInProgressError
from airflow_provider_autoglm.rollout.aliases import RegistrySource, end_challenger, follow_routes, open_registry
from airflow_provider_autoglm.rollout.driver import RolloutDriver
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.events import Event, record_event
from airflow_provider_autoglm.state.rollouts import Rollout, active_rollout, latest_rollout
from airflow_provider_autoglm.state.routes import Model, lock_routes, read_routes, write_routes

if TYPE_CHECKING:
    from airflow_provider_autoglm.tracking.registry import Registry

_ATTEMPTS = 5


@dataclass(frozen=True)
class RollbackOutcome:
    """What is served after a rollback.

    :param champion: the model that answers now; None if there is none.
    :param withdrawn: the model that was taken back; None if there was nothing to take back.
    :param problems: what could not be done, a sentence each.
    """

    champion: Model | None
    withdrawn: Model | None
    problems: tuple[str, ...] = ()


def roll_back(
    database: Database, pipeline: str, *, reason: str, registry: RegistrySource = None, version: str | None = None
) -> RollbackOutcome:
    """End the pipeline's active rollout; if there is none, make the champion's predecessor the champion again.

    It works while the pipeline is frozen and while MLflow is away. After a step back there is none further, so that
    calling it again changes nothing.

    :param reason: why, in words; it is kept with the rollout or the event.
    :param version: take back this version only: nothing happens if it is not served any more, so that a retry is
        harmless whatever was served at first.
    :raises StateUnavailableError: if the state cannot be reached.
    :raises RolloutInProgressError: if other processes take the rollout over again and again.
    """
    ended = _end_active(database, pipeline, reason, registry, version)
    withdrawn = ended.model if ended else _step_back(database, pipeline, reason, version)
    failed = () if ended is None or ended.is_terminal else (f"rollout {ended.id} is {ended.state}: {ended.reason}",)
    problems = (*failed, *_repair(database, pipeline, registry, withdrawn))
    return RollbackOutcome(read_routes(database, pipeline).champion, withdrawn, problems)


def reconcile(database: Database, pipeline: str, registry: Registry) -> tuple[str, ...]:
    """Let the aliases follow the routes, which win; returns a sentence for each that differed.

    The alias ``challenger`` goes from a version whose rollout has ended; one that still waits for its rollout keeps it.

    :raises StateUnavailableError: if the state cannot be reached.
    :raises TrackingUnavailableError: if MLflow cannot be used.
    """
    differences = follow_routes(registry, read_routes(database, pipeline))
    waiting = registry.find_alias("challenger")
    latest = latest_rollout(database, pipeline, waiting.version) if waiting else None
    if waiting is None or latest is None or not latest.is_terminal:
        return differences
    end_challenger(registry, waiting.version, latest.state)
    said = (
        f"the alias challenger of {registry.name} pointed to version {waiting.version}, whose rollout {latest.id} is "
    )
    return (*differences, said + latest.state)


def _end_active(
    database: Database, pipeline: str, reason: str, registry: RegistrySource, version: str | None
) -> Rollout | None:
    """Take the active rollout over and back, if there is one and it is of ``version``."""
    for _ in range(_ATTEMPTS):
        active = active_rollout(database, pipeline)
        if active is None or version not in (None, active.model.version):
            return None
        left = active
        with suppress(FencedError):  # a trigger that starts at this moment has taken it over from us
            ended = RolloutDriver(database, active.id, registry=registry).withdraw(reason=reason)
            if ended.state != "done":  # else it was promoted at this moment
                return ended
    raise RolloutInProgressError(pipeline, left.id, left.model.version, left.state)


def _step_back(database: Database, pipeline: str, reason: str, version: str | None) -> Model | None:
    """Make the previous champion the champion again; returns the one that was withdrawn, if it was."""
    with database.transaction() as connection:
        routes = lock_routes(connection, pipeline)
        champion = routes.champion
        if champion is None or routes.previous is None or version not in (None, champion.version):
            return None
        written = write_routes(
            connection,
            routes,
            champion=routes.previous,
            previous=None,
            challenger=None,
            challenger_weight=0,
            rollout_id=None,
        )
        event = Event(
            pipeline,
            f"routes/{written.generation}/repair",
            "repair",
            version=champion.version,
            generation=written.generation,
            detail={"reason": reason, "champion": routes.previous.version, "withdrawn": champion.version},
        )
        record_event(connection, event)
    return champion


def _repair(database: Database, pipeline: str, source: RegistrySource, withdrawn: Model | None) -> tuple[str, ...]:
    """Let aliases and tags follow; returns what could not be done."""
    try:
        registry = open_registry(source)
        if registry is not None and withdrawn is not None:
            follow_routes(registry, read_routes(database, pipeline), withdrawn=withdrawn.version)
            end_challenger(registry, withdrawn.version, "rolled_back")
        elif registry is not None:
            reconcile(database, pipeline, registry)
    except Exception as error:  # whatever is wrong with the registry, the routes stand
        return (f"aliases and tags in MLflow are not as the routes are: {error}",)
    return ()

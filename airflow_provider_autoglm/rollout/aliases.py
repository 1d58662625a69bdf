"""MLflow's aliases and tags follow the routes; what the routes say is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_autoglm.state.routes import Model, Routes

if TYPE_CHECKING:  # importing MLflow takes seconds, and who only looks after the routes does without
    from airflow_provider_autoglm.tracking.registry import Alias, Registry

RegistrySource: TypeAlias = "Callable[[], Registry | None] | Registry | None"
"""A registry, a way to come by one when it is needed, or none: then there are no aliases to look after."""

VERDICT_TAG = "autoglm.verdict"
"""What the evaluation said of a version: ``passed`` or ``refused``."""

ROLLOUT_TAG = "autoglm.rollout"
"""How the latest rollout of a version ended: ``done`` or ``rolled_back``."""


def open_registry(source: RegistrySource) -> Registry | None:
    """The registry of ``source``, if there is one."""
    return source() if callable(source) else source


def follow_routes(registry: Registry, routes: Routes, *, withdrawn: str | None = None) -> tuple[str, ...]:
    """Let the aliases ``champion`` and ``previous`` point to what the routes say; returns a sentence a difference.

    Routes without a champion may be those of a state that was lost: an alias stays then, unless it points to the
    version that was just ``withdrawn``.

    :raises TrackingUnavailableError: if MLflow cannot be used.
    """
    wanted: tuple[tuple[Alias, Model | None], ...] = (("champion", routes.champion), ("previous", routes.previous))
    differences = []
    for alias, model in wanted:
        found = registry.find_alias(alias)
        pointed_to, version = found.version if found else None, model.version if model else None
        if pointed_to == version:
            continue
        differences.append(
            f"the alias {alias} of {registry.name} pointed to {_named(pointed_to)}, the routes say {_named(version)}"
        )
        if version is not None:
            registry.set_alias(alias, version)
        elif routes.champion is not None or pointed_to == withdrawn:
            registry.drop_alias(alias)
        else:
            differences[-1] += "; it is left as it is: roll the version out if it is to be served"
    return tuple(differences)


def lost_champion(version: str) -> str:
    """What is said where MLflow knows a champion and the state none: to promote another one unjudged would be wrong."""
    return f"version {version} is champion in MLflow and the state, which was lost, knows none; roll it out first"


def end_challenger(registry: Registry, version: str, outcome: str) -> None:
    """Tag a version with how its rollout ended, and drop the alias ``challenger`` if it points to this version.

    :raises TrackingUnavailableError: if MLflow cannot be used.
    """
    waiting = registry.find_alias("challenger")
    if waiting is not None and waiting.version == version:  # it may be a newer one's already
        registry.drop_alias("challenger")
    registry.set_tag(version, ROLLOUT_TAG, outcome)


def _named(version: str | None) -> str:
    return f"version {version}" if version else "nothing"

"""What tasks ask the state and the registry: the database of a run, its registered model, and who is champion."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.hooks.mlflow import MlflowHook
from airflow_provider_autoglm.hooks.state import StateHook
from airflow_provider_autoglm.rollout.driver import RolloutDriver
from airflow_provider_autoglm.settings import RunReference
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.routes import read_routes
from airflow_provider_autoglm.tracking.registry import RegisteredVersion, Registry, download_model


def state_of(run: RunReference) -> Database | None:
    """The state's database, or None if its connection does not exist: a pipeline may do without serving."""
    try:
        return StateHook(run.state_conn_id).get_database()
    except AirflowNotFoundException:
        return None


def required_state_of(run: RunReference) -> Database:
    """As :func:`state_of`, for a task that cannot do without.

    :raises SettingsError: if the connection does not exist.
    """
    database = state_of(run)
    if database is None:
        raise SettingsError(
            [f"rollout.state_conn_id: there is no connection {run.state_conn_id}; create one of type AutoGLM state"]
        )
    return database


def registry_of(run: RunReference) -> Registry:
    """The registered model of the run's pipeline.

    :raises SettingsError: if the MLflow connection does not exist.
    """
    try:
        return Registry(MlflowHook(run.tracking.conn_id).get_client(), run.pipeline)
    except AirflowNotFoundException:
        raise SettingsError(
            [f"tracking.conn_id: there is no connection {run.tracking.conn_id}; create one of type MLflow"]
        ) from None


def champion_of(run: RunReference, registry: Registry) -> RegisteredVersion | None:
    """The version that serves, by the routes, or by the alias where the routes know none."""
    database = state_of(run)
    champion = None if database is None else read_routes(database, run.pipeline).champion
    return registry.find_alias("champion") if champion is None else registry.version(champion.version)


@contextmanager
def fetched(
    registry: Registry, challenger: RegisteredVersion, champion: RegisteredVersion | None
) -> Iterator[tuple[str, str | None]]:
    """The packages of two versions in a temporary folder, checked against their digests.

    :raises DamagedModelError: if one is not what was registered.
    """
    with tempfile.TemporaryDirectory(prefix="autoglm-models-") as folder:
        places = []
        for version in filter(None, (challenger, champion)):
            places.append(os.path.join(folder, version.version))
            download_model(version.model_uri, version.digest, places[-1], registry.client)
        yield places[0], None if champion is None else places[1]


def driver_of(run: RunReference, rollout_id: int) -> RolloutDriver:
    """The driver of a rollout; its registry is looked up when an alias is to be set."""
    return RolloutDriver(required_state_of(run), rollout_id, registry=lambda: registry_of(run))

"""Collect what the gateway saw as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_autoglm.operators.base import StageOperator
from airflow_provider_autoglm.settings import RunReference, TrafficSettings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.corpus.storage import Storage
    from airflow_provider_autoglm.monitoring.references import Reference
    from airflow_provider_autoglm.operators.stage_run import StageRun
    from airflow_provider_autoglm.state import Database


class CollectTrafficOperator(StageOperator):
    """Draw from the prediction log what the reference does not explain, add the feedback, and commit both as a corpus.

    Texts are there only if the gateways keep them (``log_text``); without any, or without a state connection, the
    corpus is empty and a warning says so.
    """

    stage = "collect_traffic"
    settings_key = "traffic"
    settings_model = TrafficSettings

    def write(self, settings: TrafficSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Collect from the champion's answers and from those of the versions whose checks the run answers."""
        from airflow_provider_autoglm.monitoring.traffic import collect
        from airflow_provider_autoglm.operators.serving_state import state_of

        run = RunReference.parse(self.run or {}, path="run")
        database = state_of(run)
        return collect(
            database,
            destination,
            settings,
            pipeline=run.pipeline,
            versions={} if database is None else _versions(database, run, stage_run.storage),
            storage=stage_run.storage,
            provenance=stage_run.provenance,
        )


def _versions(database: Database, run: RunReference, storage: Storage) -> dict[str, Reference | None]:
    """The versions whose answers are drawn from, each with what its traffic is compared with."""
    from airflow_provider_autoglm.monitoring.references import find_reference
    from airflow_provider_autoglm.state.checks import checks_of
    from airflow_provider_autoglm.state.rollouts import latest_rollout
    from airflow_provider_autoglm.state.routes import read_routes

    champion = read_routes(database, run.pipeline).champion
    models = {} if champion is None else {champion.version: champion}
    for check in checks_of(database, run.pipeline, run.checks):
        if check.version is not None and check.version not in models:
            rollout = latest_rollout(database, run.pipeline, check.version)
            if rollout is not None:
                models[check.version] = rollout.model
    return {
        version: find_reference(run.references, model, "traffic_baseline", storage=storage)
        or find_reference(run.references, model, "training", storage=storage)
        for version, model in models.items()
    }

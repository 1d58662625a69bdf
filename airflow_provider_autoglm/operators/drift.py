"""Check the traffic for drift."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from airflow_provider_autoglm.operators.check import CheckOperator
from airflow_provider_autoglm.settings import DriftSettings, RunReference

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_autoglm.operators.stage_run import StageRun
    from airflow_provider_autoglm.state.checks import Check
    from airflow_provider_autoglm.state.routes import Model


class DriftCheckOperator(CheckOperator):
    """Compare what the champion was asked lately with its reference, and tell a confirmed drift.

    Base class: :class:`~airflow_provider_autoglm.operators.check.CheckOperator`, which describes the parameters;
    ``settings`` is a :class:`~airflow_provider_autoglm.settings.DriftSettings`.
    """

    kind = "drift"
    settings_model = DriftSettings

    def check(self, run: RunReference, settings: DriftSettings, stage_run: StageRun) -> Check:
        """Measure the prediction log; the champion's package is fetched only to freeze its reference."""
        from airflow_provider_autoglm.monitoring.drift_check import check_drift
        from airflow_provider_autoglm.operators.serving_state import required_state_of

        return check_drift(
            required_state_of(run),
            run.pipeline,
            settings,
            run=run.key,
            references=run.references,
            packed=lambda model: _packed_reference(run, model),
            storage=stage_run.storage,
        )


def _packed_reference(run: RunReference, model: Model) -> pa.Table:
    from airflow_provider_autoglm.operators.serving_state import registry_of
    from airflow_provider_autoglm.tracking.registry import download_model
    from airflow_provider_autoglm.training.reference import read_reference

    with tempfile.TemporaryDirectory(prefix="autoglm-models-") as folder:
        package = os.path.join(folder, model.version)
        download_model(model.model_uri, model.digest, package, registry_of(run).client)
        return read_reference(package)

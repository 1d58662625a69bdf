"""Train a text classifier and register it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Context

from airflow_provider_autoglm.operators.base import ModelOperator, airflow_errors
from airflow_provider_autoglm.settings import RunReference, TrainSettings

STAGE = "train"


class TrainModelOperator(ModelOperator):
    """Train a text classifier on a dataset version and register it as a version of the model ``<pipeline>``.

    Nothing serves the version before :class:`~airflow_provider_autoglm.operators.evaluate.EvaluateModelOperator` has
    passed it. A retry resumes from the last checkpoint, and returns the version that an earlier attempt registered.

    :param dataset: what ``load_settings`` returned under ``dataset``: ``uri``, ``version``, ``digest``, ``reasons``.
        Templated.
    :param settings: :class:`~airflow_provider_autoglm.settings.TrainSettings` or its dict. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    """

    template_fields: Sequence[str] = ("dataset", *ModelOperator.template_fields)

    def __init__(self, *, dataset: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def execute(self, context: Context) -> dict[str, Any]:
        """Train, log and register; returns the version with its ``model_uri``, ``digest`` and metrics."""
        from airflow_provider_autoglm.operators.serving_state import registry_of
        from airflow_provider_autoglm.operators.stage_run import StageRun
        from airflow_provider_autoglm.tracking import LoggedInput, StageRecord
        from airflow_provider_autoglm.training import TrainingRun, train

        with airflow_errors():
            run = RunReference.parse(self.run, path="run")
            settings = TrainSettings.parse(self.settings, path=f"autoglm_{run.pipeline}.{STAGE}")
            number, uri = str(self.dataset["version"]), str(self.dataset["uri"])
            logged = {**settings.model_dump(mode="json"), "dataset_version": number}
            with StageRun(self, context, run, STAGE, logged) as stage_run:
                registry = registry_of(run)
                model = train(
                    uri,
                    settings,
                    tracking=TrainingRun(
                        client=registry.client,
                        run_id=stage_run.mlflow_run_id,
                        registry=registry,
                        tags={
                            "autoglm.dataset_version": number,
                            "autoglm.dataset_digest": str(self.dataset["digest"]),
                            "autoglm.reasons": ",".join(self.dataset["reasons"]),
                        },
                    ),
                    storage=stage_run.storage,
                    work_dir=stage_run.work_dir,
                )
                lineage = LoggedInput(f"datasets/v{number}", uri, str(self.dataset["digest"]))
                stage_run.log_record(
                    StageRecord(STAGE, model.model_uri, model.digest, inputs=(lineage,), metrics=model.metrics)
                )
                self.mlflow_model_url = registry.version_url(model.version)
                shutil.rmtree(stage_run.work_dir, ignore_errors=True)  # the version is registered, nothing is resumed
        return model.to_dict()

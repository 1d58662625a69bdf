"""Label the texts of a corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.operators.base import CorpusOperator
from airflow_provider_autoglm.operators.kernels import keep_kernels
from airflow_provider_autoglm.settings import LabelSettings, RunReference

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.corpus.storage import Storage
    from airflow_provider_autoglm.corpus.store import Corpus
    from airflow_provider_autoglm.labeling.labels import Labeler
    from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
    from airflow_provider_autoglm.labeling.resources import Resources
    from airflow_provider_autoglm.operators.stage_run import StageRun
    from airflow_provider_autoglm.tracking.registered_models import RegisteredModels


class AutoLabelOperator(CorpusOperator):
    """Label texts with a pretrained model, a few examples, or a language model.

    A mapped stage that resumes at the last finished shard. A text that breaks the model is quarantined, not the batch;
    rows labelled by people pass untouched. Scores are calibrated on the spot checks of the dataset version before, or
    on the corpus ``settings.calibration``.
    """

    stage = "label"
    settings_model = LabelSettings

    def write(self, settings: LabelSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Call :func:`airflow_provider_autoglm.labeling.label`."""
        from airflow_provider_autoglm.labeling import label

        if settings.precision == "int8":
            keep_kernels()
        return label(
            self.source,
            destination,
            settings,
            resources=_resources(settings, stage_run),
            provenance=stage_run.provenance,
        )


def explained_labelers(corpus: Corpus, stage_run: StageRun) -> Callable[[str], Labeler | None]:
    """The labelers that a committed corpus was labelled with, by route, such that they can be explained."""
    from airflow_provider_autoglm.labeling.fitting import Fitting
    from airflow_provider_autoglm.labeling.resources import Resources

    settings = LabelSettings.parse(corpus.manifest.settings)
    sources = [item.uri for item in corpus.manifest.origins]
    # What a language model says cannot be explained: no reason to ask for its connection.
    is_explained = settings.kind != "llm"
    resources = _resources(settings, stage_run) if is_explained else Resources(storage=stage_run.storage)
    return Fitting(settings, sources, corpus.uri, resources).exact_labeler


def _resources(settings: LabelSettings, stage_run: StageRun) -> Resources:
    """What labelling needs beside its settings: from connections, and from the pipeline's earlier runs."""
    from airflow_provider_autoglm.labeling.resources import Resources

    run, storage = stage_run.run, stage_run.storage
    resources = Resources(storage=storage)
    if run is not None:
        resources = replace(resources, known=_known(run, storage), answers=run.label_answers)
    if settings.kind == "llm":
        return replace(resources, endpoint=_endpoint(settings.llm.conn_id))
    return _with_registry(resources, run) if settings.kind == "classifier" else resources


def _with_registry(resources: Resources, run: RunReference | None) -> Resources:
    from airflow_provider_autoglm.hooks.mlflow import MlflowHook
    from airflow_provider_autoglm.operators.stage_run import worker_folder

    hook = MlflowHook() if run is None else MlflowHook(run.tracking.conn_id)

    def models() -> RegisteredModels:
        return hook.get_registered_models(worker_folder("models"))

    return replace(resources, pin_model=lambda uri: models().pin(uri), fetch_model=lambda uri: models().fetch(uri))


def _endpoint(conn_id: str) -> Endpoint:
    from airflow_provider_autoglm.hooks.llm import LlmHook

    try:
        return LlmHook(conn_id).get_endpoint()
    except AirflowNotFoundException:
        problem = f"label.llm.conn_id: there is no connection {conn_id}; create one of type autoglm_llm"
        raise SettingsError([problem]) from None


def _known(run: RunReference, storage: Storage) -> str:
    """The dataset version before, if people have checked it; else nothing."""
    from airflow_provider_autoglm.corpus.publish.versions import version_before

    before = version_before(run.datasets, run.folder, storage)
    is_checked = before is not None and (before.manifest.dataset or {}).get("reviews")
    return before.uri if before is not None and is_checked else ""

"""Label the texts of a corpus."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.operators.base import CorpusOperator
from airflow_provider_autoglm.settings import LabelSettings, RunReference

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.corpus.store import Corpus
    from airflow_provider_autoglm.labeling.labels import Labeler
    from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
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

        return label(
            self.source,
            destination,
            settings,
            storage=stage_run.storage,
            provenance=stage_run.provenance,
            **_means(settings, stage_run),
        )


def explained_labelers(corpus: Corpus, stage_run: StageRun) -> Callable[[str], Labeler | None]:
    """The labelers that a committed corpus was labelled with, by route, such that they can be explained."""
    from airflow_provider_autoglm.labeling.stage import fitting_of

    settings = LabelSettings.parse(corpus.manifest.settings)
    sources = [item.uri for item in corpus.manifest.origins]
    means = _means(settings, stage_run) if settings.kind != "llm" else {}
    return fitting_of(sources, corpus.uri, settings, storage=stage_run.storage, **means).exact_labeler


def _means(settings: LabelSettings, stage_run: StageRun) -> dict[str, Any]:
    """What labelling needs beside its settings, by argument."""
    return {**_outside(settings, stage_run), **({} if stage_run.run is None else _of_run(stage_run.run, stage_run))}


def _outside(settings: LabelSettings, stage_run: StageRun) -> dict[str, Any]:
    """What Airflow connections lead to: a language model, or the registry of models."""
    if settings.kind == "llm":
        return {"endpoint": _endpoint(settings.llm.conn_id)}
    if settings.kind != "classifier":
        return {}
    from airflow_provider_autoglm.hooks.mlflow import MlflowHook
    from airflow_provider_autoglm.operators.stage_run import worker_folder

    run = stage_run.run
    hook = MlflowHook() if run is None else MlflowHook(run.tracking.conn_id)

    def models() -> RegisteredModels:
        return hook.get_registered_models(worker_folder("models"))

    return {"pin_model": lambda uri: models().pin(uri), "fetch_model": lambda uri: models().fetch(uri)}


def _endpoint(conn_id: str) -> Endpoint:
    from airflow_provider_autoglm.hooks.llm import LlmHook

    try:
        return LlmHook(conn_id).get_endpoint()
    except AirflowNotFoundException:
        problem = f"label.llm.conn_id: there is no connection {conn_id}; create one of type autoglm_llm"
        raise SettingsError([problem]) from None


def _of_run(run: RunReference, stage_run: StageRun) -> dict[str, Any]:
    """What the pipeline's earlier runs have left."""
    from airflow_provider_autoglm.corpus.publish.versions import version_before

    before = version_before(run.datasets, run.folder, stage_run.storage)
    is_checked = before is not None and (before.manifest.dataset or {}).get("reviews")
    return {"known": before.uri if before is not None and is_checked else "", "answers": run.label_answers}

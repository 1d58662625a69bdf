"""The stage that labels a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from airflow_provider_autoglm.corpus.map_stage import Transform, run_map_stage
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.fitting import Fitting
from airflow_provider_autoglm.labeling.labelers import check_labels
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.labeling.rows import label_table
from airflow_provider_autoglm.settings.label import LabelSettings

STAGE = "label"


def label(
    source: str | Sequence[str],
    destination: str,
    settings: LabelSettings,
    *,
    resources: Resources | None = None,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Give every document of ``source`` one of ``settings.labels``, or none, and say how sure that is.

    Rows labelled by people pass untouched. A text that breaks the model is quarantined, not its batch. A retry goes on
    at the last finished shard; a committed corpus is returned without loading a model.

    :param resources: what the kind of labeler needs beside its settings, and texts to calibrate on.
    :param storage: file system of all corpora; by default that of ``resources``.
    :raises SettingsError: if there are fewer than two labels, one is named twice, or a kind lacks what it needs.
    :raises MissingExtraError: if torch is not installed.
    :raises ModelNotFoundError: if the model cannot be loaded.
    :raises TooManyRejectedError: if more rows are rejected than ``max_rejected_fraction``.
    """
    check_labels(settings)
    resources = resources or Resources()
    if storage is not None:
        resources = replace(resources, storage=storage)
    fitting = Fitting(settings, source, destination, resources)

    def prepare() -> Transform:
        labeler_of = cache(fitting.labeler)
        return lambda table: label_table(table, labeler_of, settings)

    return run_map_stage(
        STAGE,
        source,
        destination,
        settings,
        prepare,
        max_rejected_fraction=settings.max_rejected_fraction,
        metrics=fitting.metrics,
        storage=resources.storage,
        progress=progress,
        provenance=provenance,
    )

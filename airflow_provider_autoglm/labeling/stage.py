"""The stage that labels a corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from airflow_provider_autoglm.corpus.map_stage import Transform, run_map_stage
from airflow_provider_autoglm.corpus.parts import stage_folder
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.fitting import Fitting
from airflow_provider_autoglm.labeling.labelers import check_labels
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.labeling.rows import label_table
from airflow_provider_autoglm.settings.label import LabelSettings

STAGE = "label"


def label(
    source: str | Sequence[str],
    destination: str,
    settings: LabelSettings,
    *,
    known: str = "",
    endpoint: Endpoint | None = None,
    answers: str | None = None,
    pin_model: Callable[[str], str] | None = None,
    fetch_model: Callable[[str], str] | None = None,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Give every document of ``source`` one of ``settings.labels``, or none, and say how sure that is.

    Rows labelled by people pass untouched. A text that breaks the model is quarantined, not its batch. A retry goes on
    at the last finished shard; a committed corpus is returned without loading a model.

    :param known: URI of a dataset version whose spot-checked texts calibrate the scores, unless
        ``settings.calibration`` names others.
    :param endpoint: of a language model, for the kind ``llm``.
    :param answers: folder URI where its answers are kept for later runs.
    :param pin_model: the version that an alias ``models:/name@alias`` stands for, as ``models:/name/3``.
    :param fetch_model: the local folder of a registered model.
    :raises SettingsError: if there are fewer than two labels, one is named twice, or a kind lacks what it needs.
    :raises MissingExtraError: if torch is not installed.
    :raises ModelNotFoundError: if the model cannot be loaded.
    :raises TooManyRejectedError: if more rows are rejected than ``max_rejected_fraction``.
    """
    check_labels(settings)
    storage = storage or Storage.local()
    fitting = fitting_of(
        source,
        destination,
        settings,
        known=known,
        endpoint=endpoint,
        answers=answers,
        pin_model=pin_model,
        fetch_model=fetch_model,
        storage=storage,
    )

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
        storage=storage,
        progress=progress,
        provenance=provenance,
    )


def fitting_of(
    source: str | Sequence[str],
    destination: str,
    settings: LabelSettings,
    *,
    known: str = "",
    endpoint: Endpoint | None = None,
    answers: str | None = None,
    pin_model: Callable[[str], str] | None = None,
    fetch_model: Callable[[str], str] | None = None,
    storage: Storage | None = None,
) -> Fitting:
    """The labelers of :func:`label`, which takes the same arguments, by route."""
    resources = Resources(
        storage=storage or Storage.local(),
        endpoint=endpoint,
        answers=answers,
        work=stage_folder(destination),
        pin_model=pin_model,
        fetch_model=fetch_model,
    )
    return Fitting(settings, source, destination, known, resources)

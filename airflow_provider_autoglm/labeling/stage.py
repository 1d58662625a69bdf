"""The stage that labels a corpus."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_autoglm.corpus.map_stage import Transform, run_map_stage
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.labelers import build, check_labels
from airflow_provider_autoglm.labeling.refinement import refine_on_corpus
from airflow_provider_autoglm.labeling.rows import label_table
from airflow_provider_autoglm.settings.label import LabelSettings

STAGE = "label"


def label(
    source: str | Sequence[str],
    destination: str,
    settings: LabelSettings,
    *,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Give every document of ``source`` one of ``settings.labels``, or none, and say how sure that is.

    Rows labelled by people pass untouched. A text that breaks the model is quarantined, not its batch. A retry goes on
    at the last finished shard; a committed corpus is returned without loading a model.

    :raises SettingsError: if there are fewer than two labels or one is named twice.
    :raises MissingExtraError: if torch is not installed.
    :raises ModelNotFoundError: if the model cannot be loaded.
    :raises TooManyRejectedError: if more rows are rejected than ``max_rejected_fraction``.
    """
    check_labels(settings)
    names = tuple(definition.name for definition in settings.labels)

    def prepare() -> Transform:
        labeler = build(settings)
        if settings.refine and isinstance(labeler, EmbeddingLabeler):
            labeler = refine_on_corpus(labeler, source, destination, settings, storage=storage)
        return lambda table: label_table(table, labeler, names, settings.min_score)

    return run_map_stage(
        STAGE,
        source,
        destination,
        settings,
        prepare,
        max_rejected_fraction=settings.max_rejected_fraction,
        storage=storage,
        progress=progress,
        provenance=provenance,
    )

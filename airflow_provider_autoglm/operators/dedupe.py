"""Remove exact and near duplicates from a corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_autoglm.configuration import option
from airflow_provider_autoglm.operators.base import CorpusOperator
from airflow_provider_autoglm.settings import DedupeSettings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.operators.stage_run import StageRun


class SimHashDedupeOperator(CorpusOperator):
    """Remove documents that are equal or similar to one that is kept.

    Removed rows lie in ``removed/`` with ``kept_id``, ``hamming`` and ``jaccard``; the task fails when more than
    ``max_removed_fraction`` would go.
    """

    stage = "dedupe"
    settings_model = DedupeSettings

    def write(self, settings: DedupeSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Call :func:`airflow_provider_autoglm.corpus.dedupe.deduplicate`, kernels cached in `[autoglm] cache_dir`."""
        from airflow_provider_autoglm.corpus.dedupe.compile_cache import set_cache_directory

        if cache_dir := option("cache_dir"):
            set_cache_directory(cache_dir)
        from airflow_provider_autoglm.corpus.dedupe import deduplicate

        return deduplicate(
            self.source, destination, settings, storage=stage_run.storage, provenance=stage_run.provenance
        )

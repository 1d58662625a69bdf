"""Clean the texts of a corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_autoglm.operators.base import CorpusOperator
from airflow_provider_autoglm.settings import CleanSettings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.operators.stage_run import StageRun


class CleanOperator(CorpusOperator):
    """Clean texts and quarantine those that fail a rule.

    A mapped stage: expand it over what
    :class:`~airflow_provider_autoglm.operators.corpus.SplitCorpusOperator` returns. Rejected rows lie in ``rejected/``
    with the rule's name. The join's MLflow run shows what each rule did in `clean.html`, with three examples of each
    reason to reject.
    """

    stage = "clean"
    settings_model = CleanSettings

    def write(self, settings: CleanSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Call :func:`airflow_provider_autoglm.corpus.clean.clean`."""
        from airflow_provider_autoglm.corpus.clean import clean

        return clean(self.source, destination, settings, storage=stage_run.storage, provenance=stage_run.provenance)

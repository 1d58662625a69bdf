"""Label the texts of a corpus with a pretrained model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_autoglm.operators.base import CorpusOperator
from airflow_provider_autoglm.settings import LabelSettings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.operators.stage_run import StageRun


class AutoLabelOperator(CorpusOperator):
    """Label texts with a pretrained model.

    A mapped stage that resumes at the last finished shard. A text that breaks the model is quarantined, not the batch;
    rows labelled by people pass untouched.
    """

    stage = "label"
    settings_model = LabelSettings

    def write(self, settings: LabelSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Call :func:`airflow_provider_autoglm.labeling.label`."""
        from airflow_provider_autoglm.labeling import label

        return label(self.source, destination, settings, storage=stage_run.storage, provenance=stage_run.provenance)

"""Check whether people have given enough labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_autoglm.operators.check import CheckOperator
from airflow_provider_autoglm.settings import FeedbackSettings, RunReference

if TYPE_CHECKING:
    from airflow_provider_autoglm.operators.stage_run import StageRun
    from airflow_provider_autoglm.state.checks import Check


class FeedbackCheckOperator(CheckOperator):
    """Count the labels that people gave since the last dataset they started, and tell when there are enough.

    Base class: :class:`~airflow_provider_autoglm.operators.check.CheckOperator`, which describes the parameters;
    ``settings`` is a :class:`~airflow_provider_autoglm.settings.FeedbackSettings`.
    """

    kind = "feedback"
    settings_model = FeedbackSettings

    def check(self, run: RunReference, settings: FeedbackSettings, stage_run: StageRun) -> Check:
        """Count the labelled rows of the prediction log that are past their deadline."""
        from airflow_provider_autoglm.monitoring.feedback_check import check_feedback
        from airflow_provider_autoglm.operators.serving_state import required_state_of

        return check_feedback(required_state_of(run), run.pipeline, settings, run=run.key)

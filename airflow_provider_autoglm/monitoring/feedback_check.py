"""A feedback check: whether people have given enough labels, counted once a run and written down."""

from __future__ import annotations

import logging
from functools import partial

from airflow_provider_autoglm.monitoring.confirmation import confirm_feedback
from airflow_provider_autoglm.settings.feedback import FeedbackSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, counted_until, find_check, record_check
from airflow_provider_autoglm.state.routes import read_routes
from airflow_provider_autoglm.state.served import count_labelled

log = logging.getLogger(__name__)


def check_feedback(database: Database, pipeline: str, settings: FeedbackSettings, *, run: str) -> Check:
    """Count the labels that are past their deadline and that no confirmed check counted, and record the outcome.

    Labels of all versions' answers count; ``version`` is the champion's. The check that ``run`` has made before is
    returned as it is.
    """
    found = find_check(database, pipeline, "feedback", run)
    if found is not None:
        return found
    after_id = counted_until(database, pipeline, "feedback")
    labelled = count_labelled(database, pipeline, older_than_s=settings.deadline_s, after_id=after_id)
    champion = read_routes(database, pipeline).champion
    measured = Check(
        pipeline=pipeline,
        kind="feedback",
        run=run,
        state="enough_labels" if labelled.rows >= settings.min_rows else "insufficient_data",
        version=None if champion is None else champion.version,
        new_rows=labelled.rows,
        last_prediction_id=labelled.last_id,
        report={
            "labelled_rows": labelled.rows,
            "wrong_rows": labelled.wrong,
            "learnable": labelled.texts > 0,
            "texts_kept": labelled.texts,
        },
    )
    check = record_check(database, measured, partial(confirm_feedback, settings=settings, after_id=after_id))
    log.info("feedback of %s: %s; %s", pipeline, check.state, check.report["confirmation"])
    return check

"""The reports that stages leave in their MLflow run: a page to look at, and its numbers."""

from __future__ import annotations

import logging
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_autoglm.exceptions import AutoGLMError

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.store import Corpus
    from airflow_provider_autoglm.operators.stage_run import StageRun

log = logging.getLogger(__name__)

_ROOMS = {
    "crawl": "corpus.crawl",
    "clean": "corpus.clean",
    "dedupe": "corpus.dedupe",
    "label": "labeling",
    "review": "labeling.review",
    "publish": "corpus.publish",
}
"""Of each stage that has a report, the package with its modules ``report`` and ``report_page``."""


def log_stage_report(stage: str, uri: str, stage_run: StageRun) -> None:
    """Keep with the child run what ``stage`` did: `<stage>.html` to look at, `<stage>.json` with the numbers.

    Both are made from the committed corpus at ``uri``, so a retry logs the same again. Nothing happens without a child
    run, or for a stage that has no report. A report that cannot be made is logged and is no reason to fail: the corpus
    is committed.
    """
    if not stage_run.is_logged or stage not in _ROOMS:
        return
    from airflow_provider_autoglm.corpus.store import Corpus

    room = f"airflow_provider_autoglm.{_ROOMS[stage]}"
    try:
        corpus = Corpus.open(uri, storage=stage_run.storage, verify=False)
        report = import_module(f"{room}.report").report_of(corpus, **_means_of(stage, corpus, stage_run))
        page = import_module(f"{room}.report_page").report_page(report)
    except Exception as error:
        # The message of another library's error may quote a text.
        what = str(error) if isinstance(error, AutoGLMError) else type(error).__name__
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s: the report of %s cannot be made (%s)\n%s", stage, uri, what, frames)
        return
    stage_run.log_report(f"{stage}.json", report.to_dict())
    stage_run.log_page(f"{stage}.html", page)


def _means_of(stage: str, corpus: Corpus, stage_run: StageRun) -> dict[str, Any]:
    """What a report needs beside its corpus: that of labels has some of them explained by their labeler."""
    if stage != "label":
        return {}
    from airflow_provider_autoglm.operators.label import explained_labelers

    return {"labeler_of": explained_labelers(corpus, stage_run)}

"""Publish a versioned dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_autoglm.assets import dataset_asset
from airflow_provider_autoglm.links import MlflowRunLink
from airflow_provider_autoglm.operators.base import airflow_errors
from airflow_provider_autoglm.operators.events import tell_once
from airflow_provider_autoglm.settings import PublishSettings, RunReference

if TYPE_CHECKING:
    from airflow_provider_autoglm.operators.stage_run import StageRun

STAGE = "publish"


class PublishDatasetOperator(BaseOperator):
    """Publish the next version of the pipeline's dataset and tell it through the dataset asset.

    The version holds the rows of the version before and the new ones, in the layout that ``datasets.load_dataset``
    opens. Without anything new the task is skipped, no version is written and no event sent; the XCom then names the
    version that stays the newest.

    :param pipeline: name of the pipeline; it decides which asset the task updates.
    :param sources: URIs of labelled corpora, or one URI. Templated.
    :param settings: :class:`~airflow_provider_autoglm.settings.PublishSettings` or its dict. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    :param destination: URI of the folder of versions; default ``<root>/<pipeline>/datasets``. Templated.
    """

    template_fields: Sequence[str] = ("sources", "settings", "run", "destination")
    operator_extra_links = (MlflowRunLink(),)

    def __init__(
        self,
        *,
        pipeline: str,
        sources: str | Sequence[str],
        settings: PublishSettings | Mapping[str, Any],
        run: Mapping[str, Any] | None = None,
        destination: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.asset = dataset_asset(pipeline)
        super().__init__(**{"outlets": [self.asset], "inlets": [self.asset], **kwargs})
        self.pipeline = pipeline
        self.sources = sources
        self.settings = settings
        self.run = run
        self.destination = destination
        self.mlflow_run_url: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish, log, and fill the asset event; its ``key`` is the same however often the task is retried."""
        from airflow_provider_autoglm.corpus.crawl.known import accept
        from airflow_provider_autoglm.corpus.publish import publish
        from airflow_provider_autoglm.operators.stage_run import StageRun

        with airflow_errors():
            run = None if self.run is None else RunReference.parse(self.run, path="run")
            run = None if run is None else _with_checks_it_still_answers(run)
            settings = PublishSettings.parse(self.settings, path=f"autoglm_{self.pipeline}.{STAGE}")
            with StageRun(self, context, run, STAGE, settings.model_dump(mode="json")) as stage_run:
                folder = self.destination or (run.datasets if run is not None else stage_run.destination(None))
                dataset = publish(
                    self.sources, folder, settings, storage=stage_run.storage, provenance=stage_run.provenance
                )
                if dataset.has_news:
                    _log_version(dataset.uri, stage_run)
                if run is not None:
                    accept(run.known_pages, run.destination("crawl"), stage_run.storage)
        context["ti"].xcom_push("return_value", dataset.to_dict())
        if not dataset.has_news:
            self._answer_checks(run, dataset.version)
            raise AirflowSkipException(f"nothing new: version {dataset.version} stays the newest, no event is sent")
        event = {
            "reference": dataset.uri,
            "version": dataset.version,
            "digest": dataset.digest,
            "reasons": list(run.reasons) if run is not None else ["manual"],
            "checks": list(run.checks) if run is not None else [],
            "key": f"{self.pipeline}/dataset/{dataset.version}",
        }
        tell_once(context, self.asset, event)
        return dataset.to_dict()

    def _answer_checks(self, run: RunReference | None, version: int) -> None:
        """A check that brings nothing new is answered by the version there is, which the retrain's clock takes up."""
        from airflow_provider_autoglm.corpus.publish.reasons import add_reasons
        from airflow_provider_autoglm.hooks.storage import storage_for

        if run is None or not run.checks:
            return
        storage = storage_for(run.root, run.storage_conn_id)
        add_reasons(run.added_reasons, version, run.reasons, added_by=run.key, storage=storage)
        self.log.info("version %d is what there is to answer %s", version, ", ".join(run.reasons))


def _log_version(uri: str, stage_run: StageRun) -> None:
    """Keep with the run what was published, its report, and what changed since the version before."""
    from airflow_provider_autoglm.corpus.publish.difference import SUMMARY, read_difference
    from airflow_provider_autoglm.operators.stage_report import log_stage_report

    stage_run.log_corpus(uri)
    log_stage_report(STAGE, uri, stage_run)
    difference = read_difference(uri, stage_run.storage)
    if difference is not None:
        stage_run.log_report(SUMMARY, difference.to_dict())


def _with_checks_it_still_answers(run: RunReference) -> RunReference:
    """The run without the checks that another one has taken over since it failed: clearing it must not answer twice."""
    from airflow_provider_autoglm.operators.serving_state import state_of
    from airflow_provider_autoglm.state.checks import checks_of

    database = state_of(run) if run.checks else None
    if database is None:
        return run
    mine = tuple(check.id for check in checks_of(database, run.pipeline, run.checks) if check.answered_by == run.key)
    return run if mine else run.model_copy(update={"checks": (), "reasons": ("manual",)})

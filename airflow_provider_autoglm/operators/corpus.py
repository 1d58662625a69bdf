"""Split corpora into parts for mapped tasks, and join what they made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_autoglm.links import MlflowRunLink
from airflow_provider_autoglm.operators.base import airflow_errors
from airflow_provider_autoglm.settings import RunReference


class SplitCorpusOperator(BaseOperator):
    """Return the parts of a corpus, or of several, to map the operator of ``stage`` over.

    Nothing is written. ``CleanOperator.partial(settings=…).expand_kwargs(split.output)`` runs one task a part, and a
    :class:`JoinCorpusOperator` makes one corpus of the results. The list depends on the corpora alone.

    :param source: URI of a committed corpus, or a list of them: each that is not empty gets at least one part.
        Templated.
    :param stage: stage that is mapped.
    :param destination: URI the parts are written below; default ``<run folder>/<stage>``. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    :param max_parts: mapped tasks at most, over all corpora.
    """

    template_fields: Sequence[str] = ("source", "run", "destination")

    def __init__(
        self,
        *,
        source: str | Sequence[str],
        stage: str,
        destination: str | None = None,
        run: Mapping[str, Any] | None = None,
        max_parts: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.stage = stage
        self.destination = destination
        self.run = run
        self.max_parts = max_parts
        self.mlflow_run_url: str | None = None

    def execute(self, context: Context) -> list[dict[str, str]]:
        """Read the manifests and return ``source`` and ``destination`` of each part."""
        from airflow_provider_autoglm.corpus.parts import split_corpus
        from airflow_provider_autoglm.operators.stage_run import StageRun

        with airflow_errors():
            run = None if self.run is None else RunReference.parse(self.run, path="run")
            stage_run = StageRun(self, context, run, self.stage, {})
            destination = stage_run.destination(self.destination)
            return split_corpus(self.source, destination, max_parts=self.max_parts, storage=stage_run.storage)


class JoinCorpusOperator(BaseOperator):
    """Join the parts of a mapped stage into one corpus and return its URI.

    One manifest that names the parts is written; rows are not copied. The stage's MLflow run is logged here, with the
    report of a crawl, a cleaning or a labelling.

    :param sources: URIs of the parts, e.g. ``clean.output``. Templated.
    :param stage: stage that was mapped.
    :param destination: URI of the joined corpus; default ``<run folder>/<stage>``. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    """

    template_fields: Sequence[str] = ("sources", "run", "destination")
    operator_extra_links = (MlflowRunLink(),)

    def __init__(
        self,
        *,
        sources: Sequence[str],
        stage: str,
        destination: str | None = None,
        run: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sources = sources
        self.stage = stage
        self.destination = destination
        self.run = run
        self.mlflow_run_url: str | None = None

    def execute(self, context: Context) -> str:
        """Commit the joined manifest and log the stage."""
        from airflow_provider_autoglm.corpus.manifest import read_manifest
        from airflow_provider_autoglm.corpus.parts import join_corpora
        from airflow_provider_autoglm.operators.stage_report import log_stage_report
        from airflow_provider_autoglm.operators.stage_run import StageRun

        with airflow_errors():
            sources = list(self.sources[:])  # one request; iterating asks for each part
            run = None if self.run is None else RunReference.parse(self.run, path="run")
            storage = StageRun(self, context, run, self.stage, {}).storage
            settings = read_manifest(sources[0], storage).settings
            with StageRun(self, context, run, self.stage, settings) as stage_run:
                result = join_corpora(
                    sources,
                    stage_run.destination(self.destination),
                    stage=self.stage,
                    storage=storage,
                    provenance=stage_run.provenance,
                )
                stage_run.log_corpus(result.uri)
                log_stage_report(self.stage, result.uri, stage_run)
            return result.uri

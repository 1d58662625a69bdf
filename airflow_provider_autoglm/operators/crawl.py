"""Crawl web sites, read files, datasets and queries into a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_autoglm.operators.base import StageOperator, airflow_errors
from airflow_provider_autoglm.operators.sql_query import SqlQuery
from airflow_provider_autoglm.settings import CrawlSettings, RunReference, Source

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.crawl.job import OwnSpider
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.corpus.storage import Storage
    from airflow_provider_autoglm.operators.stage_run import StageRun

Sources = Sequence[Source | Mapping[str, Any] | str]


class CrawlOperator(StageOperator):
    """Crawl ``sources`` into a corpus of documents.

    A page or a record that cannot be read becomes a row in ``rejected/``; the task fails only when no URL was answered
    at all, a file is damaged, or too much was rejected. The task's MLflow run, or that of the join, shows what came
    back in `crawl.html`: statuses, hosts, lengths, and three examples of each reason why something is not there.

    :param sources: web sites, files and datasets, as :class:`~airflow_provider_autoglm.settings.Source` or its dict or
        string. Templated.
    :param spider: dotted path of a Scrapy spider of your own, which crawls with the frontier, guards and output of
        every crawl; its items need the field ``text``.
    :param spider_args: what the spider's constructor takes, as JSON values. Templated.
    :param scrapy_settings: settings of Scrapy for that spider: pipelines, middlewares, extensions, proxies.
    :param queries: queries whose rows are documents too. Every part of a mapped crawl would read them all: give them a
        task of their own. Templated.
    """

    stage = "crawl"
    settings_model = CrawlSettings
    template_fields: Sequence[str] = ("sources", "queries", "spider_args", *StageOperator.template_fields)

    def __init__(
        self,
        *,
        sources: Sources = (),
        queries: Sequence[SqlQuery] = (),
        spider: str | None = None,
        spider_args: Mapping[str, Any] | None = None,
        scrapy_settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sources = sources
        self.queries = queries
        self.spider = spider
        self.spider_args = spider_args
        self.scrapy_settings = scrapy_settings

    def write(self, settings: CrawlSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Run the crawl; a child process that ends with this task visits the sites."""
        from airflow_provider_autoglm.corpus.crawl import crawl

        return crawl(
            self.sources,
            destination,
            settings,
            spider=self._own_spider(),
            state_uri=None if stage_run.run is None else stage_run.run.known_pages,
            purpose="" if stage_run.run is None else stage_run.run.documents_digest,
            as_of=stage_run.as_of,
            tables=[query.as_source(stage_run.as_of) for query in self.queries],
            source_storage=lambda source: _storage_of(source, stage_run),
            storage=stage_run.storage,
            provenance=stage_run.provenance,
        )

    def _own_spider(self) -> OwnSpider | None:
        from airflow_provider_autoglm.corpus.crawl.job import OwnSpider

        if self.spider is None:
            return None
        return OwnSpider(
            path=self.spider, arguments=dict(self.spider_args or {}), settings=dict(self.scrapy_settings or {})
        )


class SplitSourcesOperator(BaseOperator):
    """Return the parts of ``sources`` to map :class:`CrawlOperator` over.

    Nothing is written. ``CrawlOperator.partial(settings=…, run=…).expand_kwargs(split.output)`` runs one task a part,
    and :class:`~airflow_provider_autoglm.operators.corpus.JoinCorpusOperator` with ``stage="crawl"`` makes one corpus
    of the results. Each host is one part, since what is asked of it per second is up to one crawl; files are spread by
    size.

    :param sources: as for :class:`CrawlOperator`. Templated.
    :param destination: URI the parts are written below; default ``<run folder>/crawl``. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    :param max_parts: mapped tasks at most.
    """

    template_fields: Sequence[str] = ("sources", "run", "destination")

    def __init__(
        self,
        *,
        sources: Sources,
        destination: str | None = None,
        run: Mapping[str, Any] | None = None,
        max_parts: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sources = sources
        self.destination = destination
        self.run = run
        self.max_parts = max_parts
        self.mlflow_run_url: str | None = None

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look for the files and return ``sources`` and ``destination`` of each part."""
        from airflow_provider_autoglm.corpus.crawl.records.split import split_sources
        from airflow_provider_autoglm.operators.stage_run import StageRun

        with airflow_errors():
            run = None if self.run is None else RunReference.parse(self.run, path="run")
            stage_run = StageRun(self, context, run, "crawl", {})
            return split_sources(
                self.sources,
                stage_run.destination(self.destination),
                storage_of=lambda source: _storage_of(source, stage_run),
                max_parts=self.max_parts,
            )


def _storage_of(source: Source, stage_run: StageRun) -> Storage:
    """Where the files of a source are: on the run's storage if that serves them, else on one of its own."""
    from airflow_provider_autoglm.corpus.storage import as_uri
    from airflow_provider_autoglm.hooks.storage import storage_for

    uri = as_uri(source.location)
    if not source.conn_id and uri.startswith(stage_run.storage.root):
        return stage_run.storage
    return storage_for(uri, source.conn_id)

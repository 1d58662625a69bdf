"""Crawl web sites and read Parquet files into a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_autoglm.operators.base import StageOperator
from airflow_provider_autoglm.settings import CrawlSettings, Source

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.operators.stage_run import StageRun


class CrawlOperator(StageOperator):
    """Crawl ``sources`` into a corpus of documents.

    A page that cannot be read becomes a row in ``rejected/``; the task fails only when no URL was answered at all or
    too many were not.

    :param sources: web sites and Parquet files, as :class:`~airflow_provider_autoglm.settings.Source` or its dict or
        string. Templated.
    """

    stage = "crawl"
    settings_model = CrawlSettings
    template_fields: Sequence[str] = ("sources", *StageOperator.template_fields)

    def __init__(self, *, sources: Sequence[Source | Mapping[str, Any] | str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sources = sources

    def write(self, settings: CrawlSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Run the crawl in a child process that ends with this task."""
        from airflow_provider_autoglm.corpus.crawl import crawl

        return crawl(self.sources, destination, settings, storage=stage_run.storage, provenance=stage_run.provenance)

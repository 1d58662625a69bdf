"""The crawl stage: sources in, one committed corpus of documents out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, cast

from airflow_provider_autoglm.corpus.crawl.job import CrawlJob, FinalReport, ShardReport, filesystem_json
from airflow_provider_autoglm.corpus.crawl.parquet import admit_files, as_input, parquet_files
from airflow_provider_autoglm.corpus.crawl.process import CrawlProcess, stopping_on_sigterm
from airflow_provider_autoglm.corpus.manifest import Counters, Input, digest_of
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import MissingExtraError, NothingCrawledError, SettingsError, StorageError
from airflow_provider_autoglm.settings import CrawlSettings, Source

_CHILD_NEEDS = ("scrapy", "selectolax", "resiliparse")
_COUNTER = {"": "rows_out", "rejected/": "rejected", "removed/": "removed"}


def crawl(
    sources: Sequence[Source | str | Mapping[str, Any]],
    destination: str,
    settings: CrawlSettings | Mapping[str, Any],
    *,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Visit web sites and read Parquet files, and commit what they hold as one corpus.

    Web sites are visited by a child process, which writes shards as it goes; robots.txt is obeyed and links are
    followed within the sources' own hosts. An address that gives no document is a row in ``rejected/`` with its reason,
    one that redirects a row in ``removed/``; ``rows_in`` counts addresses attempted and Parquet rows.

    :raises SettingsError: if a source or a setting is not allowed.
    :raises NothingCrawledError: if there are web sources and not one address was answered.
    :raises TooManyRejectedError: if more is rejected than ``max_rejected_fraction``.
    :raises SourceNotFoundError: if a Parquet source is not there.
    :raises DamagedSourceError: if it is no Parquet.
    :raises MissingColumnsError: if it has no column ``text``.
    :raises CrawlProcessError: if the child process dies.
    :raises CrawlStoppedError: if the crawl was stopped by SIGTERM.
    """
    settings = CrawlSettings.parse(settings)
    parsed = _parse(sources)
    storage = storage or Storage.local()
    files = {source: parquet_files(source.parquet, storage) for source in parsed if source.parquet is not None}
    attempt = StageAttempt(
        "crawl",
        [as_input(source, files[source], storage) if source in files else _web_input(source) for source in parsed],
        destination,
        settings.model_dump(mode="json"),
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    if attempt.committed is not None:
        return attempt.reused_result()
    sites = tuple(source for source in parsed if source.url is not None)
    if sites:
        _visit_sites(attempt, sites, settings)
    for source, uris in files.items():
        admit_files(attempt, source, uris)
    attempt.check_rejected(settings.max_rejected_fraction)
    return attempt.commit()


def _parse(sources: Sequence[Source | str | Mapping[str, Any]]) -> list[Source]:
    if not sources:
        raise SettingsError(["sources: at least one web address or Parquet file is required"])
    return [Source.parse(cast("Source", source), path=f"sources.{n}") for n, source in enumerate(sources)]


def _web_input(source: Source) -> Input:
    return Input(uri=str(source.url), digest=digest_of(source.model_dump(mode="json")))


def _visit_sites(attempt: StageAttempt, sites: tuple[Source, ...], settings: CrawlSettings) -> None:
    for module in _CHILD_NEEDS:
        if find_spec(module) is None:
            raise MissingExtraError(module, "crawl")
    job = CrawlJob(
        filesystem=filesystem_json(attempt.storage),
        storage_root=attempt.storage.root,
        destination=attempt.uri,
        attempt=attempt.attempt_id,
        sources=sites,
        settings=settings,
    )
    with CrawlProcess(job) as process, stopping_on_sigterm(process.stop):
        for report in process.reports():
            if isinstance(report, ShardReport):
                _adopt(attempt, report)
            else:
                final = report
    _check(attempt, sites, final)


def _adopt(attempt: StageAttempt, report: ShardReport) -> None:
    attempt.adopt(report.prefix, report.shards)
    counters = Counters(**{"rows_in": report.rows, _COUNTER[report.prefix]: report.rows})
    attempt.adopt_counts(counters, report.reasons)
    attempt.report()


def _check(attempt: StageAttempt, sites: tuple[Source, ...], final: FinalReport) -> None:
    if final.failure is not None:
        raise StorageError(final.failure.action, final.failure.uri, final.failure.cause)
    if final.answered == 0:
        reasons = {name.removeprefix("rejected/"): count for name, count in attempt.reasons.items()}
        raise NothingCrawledError([str(source.url) for source in sites], reasons)

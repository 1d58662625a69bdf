"""The crawl stage: sources in, one committed corpus of documents out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from airflow_provider_autoglm.corpus.crawl.frontier_place import forget_frontier
from airflow_provider_autoglm.corpus.crawl.job import OwnSpider
from airflow_provider_autoglm.corpus.crawl.known import KnownParts
from airflow_provider_autoglm.corpus.crawl.records import TableSource, admit_files, admit_table_source
from airflow_provider_autoglm.corpus.crawl.records.files import FileSource, parse_sources, storage_of
from airflow_provider_autoglm.corpus.crawl.web import visit_sites, work_name
from airflow_provider_autoglm.corpus.manifest import Input, digest_of
from airflow_provider_autoglm.corpus.parts import is_part
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import NothingCrawledError, TooManyRejectedError
from airflow_provider_autoglm.settings import CrawlSettings, Source


def crawl(
    sources: Sequence[Source | str | Mapping[str, Any]],
    destination: str,
    settings: CrawlSettings | Mapping[str, Any],
    *,
    spider: OwnSpider | None = None,
    tables: Sequence[TableSource] = (),
    source_storage: Callable[[Source], Storage] | None = None,
    state_uri: str | None = None,
    as_of: datetime | None = None,
    purpose: str = "",
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Visit web sites, read files, datasets and ``tables``, and commit what they hold as one corpus.

    Web sites are visited by a child process, which writes shards as it goes; robots.txt is obeyed and links are
    followed within the sources' own hosts. An address that gives no document is a row in ``rejected/`` with its reason,
    one that redirects a row in ``removed/``; ``rows_in`` counts addresses attempted and records.

    ``spider`` visits what it likes, in place of web sources. With ``state_uri`` the crawl leaves there what it saw of
    each page and, with ``settings.incremental``, asks for what changed since the newest earlier run that was published
    (:func:`airflow_provider_autoglm.corpus.crawl.known.accept`), as of ``as_of``: other pages are counted as unchanged.

    Nothing counts as known that was crawled for another ``purpose``, the digest of what is done with the pages later.

    ``source_storage`` says where the files of a source are; without it local files are read as such and others from
    ``storage``.

    :raises SettingsError: if a source or a setting is not allowed.
    :raises NothingCrawledError: if there are web sources and not one address was answered.
    :raises TooManyRejectedError: if more is rejected than ``max_rejected_fraction``; of a part, the join says so.
    :raises SourceNotFoundError: if a source has no files.
    :raises DamagedSourceError: if a file cannot be read to its end.
    :raises UnusableRecordsError: if what it holds are no records.
    :raises MissingColumnsError: if there is no column ``text``.
    :raises CrawlProcessError: if the child process dies.
    :raises CrawlStoppedError: if the crawl was stopped by SIGTERM.
    """
    settings = CrawlSettings.parse(settings)
    storage = storage or Storage.local()
    parsed = parse_sources(sources, may_be_none=bool(tables) or spider is not None)
    sites = tuple(source for source in parsed if source.is_web)
    place_of = source_storage or partial(storage_of, storage)
    files = [FileSource.find(source, place_of(source)) for source in parsed if not source.is_web]
    known = None
    if sites and state_uri is not None:
        known = _known(sites, state_uri, destination, settings, as_of, purpose, storage, provenance)
    attempt = StageAttempt(
        "crawl",
        [
            *map(_web_input, sites),
            *([] if spider is None else [_spider_input(spider)]),
            *([] if known is None else [known.as_input()]),
            *(found.as_input() for found in files),
            *(table_source.as_input() for table_source in tables),
        ],
        destination,
        settings.model_dump(mode="json"),
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    if known is not None:
        # What was known is no place that documents come from.
        attempt.origins = tuple(item for item in attempt.origins if item != known.as_input())
    if attempt.committed is not None:
        return attempt.reused_result()
    with _forgotten_where_it_was_all_in_vain(attempt):
        metrics: dict[str, float] = {}
        if sites or spider is not None:
            metrics = visit_sites(attempt, sites, settings, spider=spider, known=known)
        for found in files:
            admit_files(attempt, found, settings)
        for table_source in tables:
            admit_table_source(attempt, table_source)
        if not is_part(attempt.uri):
            attempt.check_rejected(settings.max_rejected_fraction)
    result = attempt.commit(metrics=metrics)
    forget_frontier(attempt.storage, attempt.uri, work_name(attempt))
    return result


@contextmanager
def _forgotten_where_it_was_all_in_vain(attempt: StageAttempt) -> Iterator[None]:
    """Let a retry ask again for what got no answer: the site may be back by then."""
    try:
        yield
    except (NothingCrawledError, TooManyRejectedError):
        forget_frontier(attempt.storage, attempt.uri, work_name(attempt))
        raise


def _known(
    sites: Sequence[Source],
    state_uri: str,
    destination: str,
    settings: CrawlSettings,
    as_of: datetime | None,
    purpose: str,
    storage: Storage,
    provenance: Provenance | None,
) -> KnownParts:
    """What earlier crawls saw; nothing if the whole is to be crawled."""
    web_sources = [source.model_dump(mode="json") for source in sites]
    reading = digest_of(settings.extractor, settings.javascript, purpose, web_sources)
    known = KnownParts.open(state_uri, destination, reading, as_of=as_of, storage=storage)
    is_whole = not settings.incremental or (provenance is not None and provenance.force)
    return replace(known, earlier=()) if is_whole else known


def _spider_input(spider: OwnSpider) -> Input:
    return Input(uri=f"spider:{spider.path}", digest=digest_of(spider.model_dump(mode="json")))


def _web_input(source: Source) -> Input:
    return Input(uri=source.location, digest=digest_of(source.model_dump(mode="json")))

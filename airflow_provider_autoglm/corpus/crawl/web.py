"""The task's share of a crawl: start the child process, pass its progress on, and take over what it wrote."""

from __future__ import annotations

import logging
import os
import sys
from importlib.util import find_spec

from airflow_provider_autoglm.corpus.crawl.job import (
    PREFIXES,
    CrawlJob,
    FinalReport,
    OwnSpider,
    ProgressReport,
)
from airflow_provider_autoglm.corpus.crawl.known import KnownParts
from airflow_provider_autoglm.corpus.crawl.process import CrawlProcess, stopping_on_sigterm
from airflow_provider_autoglm.corpus.handover import filesystem_to_json
from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.result import Progress
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import work_digest
from airflow_provider_autoglm.exceptions import (
    CrawlStoppedError,
    MissingExtraError,
    NothingCrawledError,
    SettingsError,
)
from airflow_provider_autoglm.settings import CrawlSettings, Source
from airflow_provider_autoglm.settings.crawl import CONTACT_REQUIRED

log = logging.getLogger(__name__)

_CHILD_NEEDS = ("scrapy", "selectolax", "resiliparse")
_COUNTER = {"": "rows_out", "rejected/": "rejected", "removed/": "removed"}
_REASONS_SHOWN = 5


def visit_sites(
    attempt: StageAttempt,
    sites: tuple[Source, ...],
    settings: CrawlSettings,
    *,
    spider: OwnSpider | None = None,
    known: KnownParts | None = None,
) -> dict[str, float]:
    """Crawl ``sites``, or what ``spider`` visits, into ``attempt``; returns metrics of the crawl.

    With ``known`` only what changed since is asked for, and what was seen is left there.

    :raises SettingsError: if nobody to contact is named, or ``spider`` cannot be loaded.
    :raises OwnSpiderError: if ``spider`` does what cannot be recorded.
    :raises MissingExtraError: if what the child needs is not installed.
    :raises BrowserUnavailableError: if ``settings.javascript`` is on and no browser starts.
    :raises CrawlRunningError: if another task does the same crawl right now.
    :raises NothingCrawledError: if no address was answered.
    :raises CrawlProcessError: if the child dies.
    :raises CrawlStoppedError: if SIGTERM stopped it.
    :raises StorageError: if storage refuses.
    """
    if spider is not None and sites:
        raise SettingsError([f"spider = {spider.path!r}: visit {sites[0].location} in a task of its own"])
    _check_needs(settings)
    job = CrawlJob(
        filesystem=filesystem_to_json(attempt.storage),
        storage_root=attempt.storage.root,
        destination=attempt.uri,
        attempt=attempt.attempt_id,
        work=work_name(attempt),
        sources=sites,
        settings=settings,
        spider=spider,
        import_path=() if spider is None else tuple(map(os.path.abspath, sys.path)),
        known=() if known is None else known.earlier,
        known_destination=None if known is None else known.own_uri,
    )
    with CrawlProcess(job) as process, stopping_on_sigterm(process.stop):
        for report in process.reports():
            if isinstance(report, FinalReport):
                final = report
            else:
                attempt.report(_progress(report, settings), detail=_detail(report))
    if final.failure is not None:
        raise final.failure.error()
    if final.is_stopped:
        raise CrawlStoppedError
    metrics = _take_over(attempt, [source.location for source in sites] if spider is None else [spider.path], final)
    if known is not None:
        known.leave(attempt, final.shards["known/"])
    return metrics


def work_name(attempt: StageAttempt) -> str:
    """Names what the frontier of ``attempt`` is of: a retry has the same, a recomputation another."""
    return f"{work_digest(attempt.inputs, attempt.settings_digest)}-{attempt.generation}"


def _check_needs(settings: CrawlSettings) -> None:
    if not settings.contact:
        raise SettingsError([CONTACT_REQUIRED])
    for module in _CHILD_NEEDS:
        if find_spec(module) is None:
            raise MissingExtraError(module, "crawl")
    if settings.extractor == "trafilatura" and find_spec("trafilatura") is None:
        raise MissingExtraError("trafilatura", "trafilatura")
    if settings.javascript:
        _check_browser()


def _check_browser() -> None:
    if find_spec("scrapy_playwright") is None:
        raise MissingExtraError("scrapy_playwright", "browser")
    from airflow_provider_autoglm.corpus.crawl.browser import check_browser

    check_browser()


def _progress(report: ProgressReport, settings: CrawlSettings) -> Progress:
    return Progress("crawl", report.done, min(report.found, max(settings.max_pages, report.done)), report.seconds)


def _detail(report: ProgressReport) -> str:
    reasons = sorted(report.rejected.items(), key=lambda item: -item[1])[:_REASONS_SHOWN]
    return ", ".join([f"{report.bytes / 1e6:.1f} MB", *(f"{count} {reason}" for reason, count in reasons)])


def _take_over(attempt: StageAttempt, crawled: list[str], final: FinalReport) -> dict[str, float]:
    rows = dict.fromkeys(_COUNTER.values(), 0)
    for prefix in PREFIXES:
        shards = final.shards.get(prefix, ())
        attempt.adopt(prefix, shards)
        rows[_COUNTER[prefix]] += sum(shard.rows for shard in shards)
    unchanged = int(final.counts.get("unchanged", 0))
    reasons = {name: int(count) for name, count in final.counts.items() if name.startswith(("rejected/", "removed/"))}
    attempt.adopt_counts(Counters(rows_in=sum(rows.values()) + unchanged, unchanged=unchanged, **rows), reasons)
    attempt.report()
    if not final.counts.get("answered"):
        rejected = {name.removeprefix("rejected/"): count for name, count in reasons.items()}
        raise NothingCrawledError(crawled, rejected)
    for reason, count in final.left.items():
        log.info("crawl: %d addresses were found and not visited (%s)", count, reason)
    metrics = {f"not_visited/{reason}": float(count) for reason, count in final.left.items()}
    return metrics | {
        "bytes": final.counts.get("bytes", 0.0),
        "unlinked": float(final.unlinked),
        "seconds/crawl": round(final.counts["seconds"], 3),
    }

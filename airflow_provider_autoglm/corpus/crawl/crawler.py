"""One crawl, in a process of its own: Scrapy's engine with our scheduler, frontier and guards."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any

import scrapy
from scrapy.crawler import AsyncCrawlerProcess

from airflow_provider_autoglm.corpus.crawl.frontier import Frontier, Limits
from airflow_provider_autoglm.corpus.crawl.frontier_place import FrontierPlace, frontier_place
from airflow_provider_autoglm.corpus.crawl.job import CrawlJob, FinalReport, ProgressReport
from airflow_provider_autoglm.corpus.crawl.known import KnownPages
from airflow_provider_autoglm.corpus.crawl.ledger import Ledger
from airflow_provider_autoglm.corpus.crawl.own_spider import ItemRows, load_spider
from airflow_provider_autoglm.corpus.crawl.scheduler import FrontierScheduler
from airflow_provider_autoglm.corpus.crawl.scrapy_settings import guard, scrapy_settings
from airflow_provider_autoglm.corpus.crawl.sink import PageSink
from airflow_provider_autoglm.corpus.crawl.spider import SiteSpider, start_of
from airflow_provider_autoglm.corpus.crawl.urls import site_of
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import CrawlSettings

log = logging.getLogger(__name__)

_SITES_OF_AN_OWN_SPIDER = 8


def run_crawl(job: CrawlJob, send: Callable[[ProgressReport], None]) -> FinalReport:
    """Crawl to the end, to the end of a budget or to SIGTERM; go on where an earlier try of the same work was killed.

    Can be called once in a process: a Twisted reactor does not start again.

    :raises CrawlRunningError: if another process crawls for the same work.
    :raises StorageError: if storage refuses; what was committed before stays.
    :raises SettingsError: if the user's own spider cannot be loaded.
    :raises OwnSpiderError: if it does what cannot be recorded.
    """
    spider = SiteSpider if job.spider is None else load_spider(job.spider)
    with frontier_place(job.storage, job.destination, job.work) as place:
        frontier = Frontier(place.path, _limits(job.settings))
        try:
            return _Crawl(job, spider, place, frontier, send).run()
        finally:
            frontier.close()


class _Crawl:
    def __init__(
        self,
        job: CrawlJob,
        spider: type[scrapy.Spider],
        place: FrontierPlace,
        frontier: Frontier,
        send: Callable[[ProgressReport], None],
    ) -> None:
        self._job = job
        self._spider = spider
        self._place = place
        self._is_stopped = False
        self._known = KnownPages([Corpus.open(uri, storage=job.storage) for uri in job.known])
        self._ledger = Ledger(frontier, PageSink(job), job.settings, ship=place.ship, send=send)
        sites = {site_of(start_of(source)) for source in job.sources}
        self._process = AsyncCrawlerProcess(scrapy_settings(job, len(sites) or _SITES_OF_AN_OWN_SPIDER))
        # Scrapy sets its logger to DEBUG and tells of every page; what becomes of a page is in the corpus.
        logging.getLogger("scrapy").setLevel(logging.WARNING)
        self._crawler: Any = self._process.create_crawler(spider)
        guard(self._crawler.settings, job.settings)
        # Scrapy builds its components from the crawler alone.
        self._crawler.job = job
        self._crawler.ledger = self._ledger
        self._crawler.refused_hosts = self._refused_hosts
        self._crawler.item_rows = None if job.spider is None else ItemRows(self._crawler, self._ledger)

    def run(self) -> FinalReport:
        if self._job.spider is None:
            crawl = self._process.crawl(self._crawler, job=self._job, ledger=self._ledger, known=self._known)
        else:
            crawl = self._process.crawl(self._crawler, **self._job.spider.arguments)
        loop = asyncio.get_event_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        self._process.start(install_signal_handlers=False)
        if not self._is_stopped:
            crawl.result()  # raises what Scrapy could not begin with
        if self._scheduler is not None and self._scheduler.failure is not None:
            raise self._scheduler.failure
        self._place.finish()
        return self._ledger.final(is_stopped=self._is_stopped, known=self._known.urls())

    @property
    def _scheduler(self) -> FrontierScheduler | None:
        scheduler: FrontierScheduler | None = getattr(self._crawler, "frontier_scheduler", None)
        return scheduler

    def _stop(self) -> None:
        """Record what is there and leave the loop at once, whatever is under way."""
        self._is_stopped = True
        if self._scheduler is not None:
            self._scheduler.settle_all()
        asyncio.get_event_loop().stop()

    @staticmethod
    def _refused_hosts() -> set[str]:
        from twisted.internet import reactor

        refused: set[str] = reactor.nameResolver.refused
        return refused


def _limits(settings: CrawlSettings) -> Limits:
    return Limits(
        max_pages=settings.max_pages,
        max_pages_per_host=settings.max_pages_per_host,
        max_depth=settings.max_depth,
        concurrency=settings.concurrency,
    )

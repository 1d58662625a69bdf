"""Visiting sites: robots.txt, then start pages, then round after round what sitemaps and pages link to."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from airflow_provider_autoglm.corpus.crawl.download import Answer, Download, DownloadFailedError
from airflow_provider_autoglm.corpus.crawl.frontier import Frontier, Visit
from airflow_provider_autoglm.corpus.crawl.page import read_page
from airflow_provider_autoglm.corpus.crawl.robots import Robots
from airflow_provider_autoglm.corpus.crawl.sink import CrawledRow, PageSink
from airflow_provider_autoglm.corpus.crawl.sitemaps import MAX_SITEMAP_BYTES, read_sitemap
from airflow_provider_autoglm.corpus.crawl.urls import normalise_url, resolve_url, robots_url, site_of
from airflow_provider_autoglm.settings import CrawlSettings, Source

log = logging.getLogger(__name__)

MAX_REDIRECTS = 20
MAX_REDIRECTS_OF_ROBOTS = 5
MAX_SITEMAPS = 1_000
MAX_ROBOTS_BYTES = 1024 * 1024
_HTTP_OK = range(200, 300)
_HTTP_REDIRECT = frozenset({301, 302, 303, 307, 308})
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500


class SiteVisitor:
    """Visits the sites of ``sources``, and nothing outside them; every address attempted becomes one row of ``sink``.

    An address that redirects is a removed row, and the address it leads to is visited in its own right: it is one row
    however many others lead there, and which came first does not matter. ``answered`` counts addresses that a server
    answered with whatever status.
    """

    def __init__(self, sources: tuple[Source, ...], settings: CrawlSettings, sink: PageSink) -> None:
        self.answered = 0
        self._sources = sources
        self._settings = settings
        self._sink = sink
        self._frontier = Frontier(settings.max_pages, settings.max_depth)
        self._starts = [_start_of(source) for source in sources]
        self._source_of_site: dict[str, int] = {}
        for number, url in enumerate(self._starts):
            self._source_of_site.setdefault(site_of(url), number)
        self._robots: dict[str, Robots] = {}
        self._redirects: dict[str, str] = {}

    @property
    def sites(self) -> int:
        """Number of different ``host:port``."""
        return len(self._source_of_site)

    async def run(self, download: Download) -> None:
        """Visit everything."""
        await asyncio.gather(*(self._read_robots(site, download) for site in self._source_of_site))
        for number, url in enumerate(self._starts):
            self._frontier.add(Visit(0, number, 0, url))
        await self._visit_all(self._frontier.next_round(), download)
        if self._settings.use_sitemap:
            await self._read_sitemaps(download)
        while visits := self._frontier.next_round():
            await self._visit_all(visits, download)

    async def _visit_all(self, visits: Iterable[Visit], download: Download) -> None:
        by_site: dict[str, list[Visit]] = defaultdict(list)
        for visit in visits:
            by_site[site_of(visit.url)].append(visit)
        async with asyncio.TaskGroup() as group:
            for of_site in by_site.values():
                waiting = iter(of_site)
                for _ in range(min(self._settings.concurrency, len(of_site))):
                    group.create_task(self._work(waiting, download))

    async def _work(self, waiting: Iterable[Visit], download: Download) -> None:
        for visit in waiting:
            await self._visit(visit, download)

    async def _visit(self, visit: Visit, download: Download) -> None:
        row = CrawledRow(
            url=visit.url,
            source=self._sources[visit.source].key,
            depth=visit.depth,
            host=urlsplit(visit.url).netloc,
            fetched_at=datetime.now(UTC),
        )
        refusal = self._robots[site_of(visit.url)].reason_against(visit.url, self._settings.user_agent)
        if refusal is not None:
            self._sink.reject(row, refusal)
            return
        try:
            answer = await download(visit.url, self._settings.max_page_bytes)
        except DownloadFailedError as error:
            self.answered += error.reason == "too_large"
            self._sink.reject(row, error.reason)
            return
        self.answered += 1
        row = replace(
            row,
            final_url=answer.url,
            status=answer.status,
            etag=answer.etag,
            last_modified=answer.last_modified,
            content_sha256=hashlib.sha256(answer.body).hexdigest(),
        )
        if answer.status in _HTTP_REDIRECT and answer.location is not None:
            self._take_redirect(visit, row, answer)
        elif answer.status not in _HTTP_OK:
            self._sink.reject(row, f"http_{answer.status}")
        else:
            self._take_page(visit, row, answer)

    def _take_page(self, visit: Visit, row: CrawledRow, answer: Answer) -> None:
        page = read_page(answer.url, answer.content_type, answer.body)
        self._follow(page.links, visit.depth + 1, visit.source)
        row = replace(row, title=page.title, text=page.text, charset=page.charset)
        if page.reason is None:
            self._sink.keep(row)
        else:
            self._sink.reject(row, page.reason)

    def _take_redirect(self, visit: Visit, row: CrawledRow, answer: Answer) -> None:
        target = resolve_url(answer.url, answer.location or "")
        row = replace(row, final_url=target)
        if target is None or site_of(target) not in self._source_of_site:
            self._sink.reject(row, "offsite_redirect")
            return
        self._redirects[visit.url] = target
        if self._leads_back(visit.url):
            self._sink.reject(row, "redirect_loop")
        elif visit.redirects >= MAX_REDIRECTS:
            self._sink.reject(row, "too_many_redirects")
        else:
            self._sink.remove(row, "redirected")
            self._frontier.add(Visit(visit.depth, visit.source, visit.redirects + 1, target))

    def _leads_back(self, url: str) -> bool:
        target = self._redirects.get(url)
        for _ in range(MAX_REDIRECTS):
            if target is None or target == url:
                break
            target = self._redirects.get(target)
        return target == url

    def _follow(self, links: Iterable[str], depth: int, source: int) -> None:
        for link in links:
            site = site_of(link)
            if site in self._source_of_site:
                is_same = site == site_of(self._starts[source])
                self._frontier.add(Visit(depth, source if is_same else self._source_of_site[site], 0, link))

    async def _read_robots(self, site: str, download: Download) -> None:
        self._robots[site] = Robots()
        if not (self._settings.obey_robots or self._settings.use_sitemap):
            return
        robots = await self._fetch_robots(robots_url(self._starts[self._source_of_site[site]]), download)
        self._robots[site] = robots if self._settings.obey_robots else Robots(sitemaps=robots.sitemaps)

    async def _fetch_robots(self, url: str, download: Download) -> Robots:
        try:
            answer = await self._fetch_file(url, MAX_ROBOTS_BYTES, download)
        except DownloadFailedError as error:
            return Robots(refusal="robots_unavailable" if error.reason == "too_large" else error.reason)
        if answer.status in _HTTP_OK:
            return Robots.parse(answer.url, answer.body)
        if answer.status >= _HTTP_SERVER_ERROR or answer.status == _HTTP_TOO_MANY_REQUESTS:
            return Robots(refusal="robots_unavailable")
        return Robots()

    async def _read_sitemaps(self, download: Download) -> None:
        waiting = list(dict.fromkeys(url for robots in self._robots.values() for url in robots.sitemaps))
        pages: dict[str, None] = {}
        for number, url in enumerate(waiting):
            if number >= MAX_SITEMAPS or len(pages) >= self._settings.max_pages:
                log.warning("%d of %d sitemaps are not read: max_pages is reached", len(waiting) - number, len(waiting))
                break
            if site_of(url) not in self._source_of_site:
                continue
            try:
                answer = await self._fetch_file(url, MAX_SITEMAP_BYTES, download)
            except DownloadFailedError as error:
                log.warning("sitemap %s cannot be read (%s)", url, error.reason)
                continue
            if answer.status not in _HTTP_OK:
                log.warning("sitemap %s cannot be read (http_%d)", url, answer.status)
                continue
            entries = read_sitemap(answer.url, answer.body)
            waiting.extend(found for found in entries.sitemaps if found not in waiting)
            pages.update(dict.fromkeys(entries.pages))
        for url in pages:
            if (number_of := self._source_of_site.get(site_of(url))) is not None:
                self._frontier.add(Visit(0, number_of, 0, url))

    async def _fetch_file(self, url: str, max_bytes: int, download: Download) -> Answer:
        for _ in range(MAX_REDIRECTS_OF_ROBOTS):
            answer = await download(url, max_bytes)
            target = resolve_url(answer.url, answer.location) if answer.location is not None else None
            if answer.status not in _HTTP_REDIRECT or target is None or site_of(target) not in self._source_of_site:
                break
            url = target
        return answer


def _start_of(source: Source) -> str:
    url = normalise_url(source.url or "")
    if url is None:
        raise ValueError(f"source {source.key} has no address that can be visited")
    return url

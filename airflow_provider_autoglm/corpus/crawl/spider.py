"""Visiting the sites of the sources, and nothing outside them: every address attempted becomes one row."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import scrapy

from airflow_provider_autoglm.corpus.crawl.feeds import read_feed
from airflow_provider_autoglm.corpus.crawl.frontier import Found, Kind, Visit
from airflow_provider_autoglm.corpus.crawl.job import CrawlJob
from airflow_provider_autoglm.corpus.crawl.known import KnownPage, KnownPages
from airflow_provider_autoglm.corpus.crawl.ledger import Ledger
from airflow_provider_autoglm.corpus.crawl.manners import JAVASCRIPT, TARGET, MannersMiddleware, reason_of
from airflow_provider_autoglm.corpus.crawl.page import Page
from airflow_provider_autoglm.corpus.crawl.reader import PageReader
from airflow_provider_autoglm.corpus.crawl.scheduler import VISIT
from airflow_provider_autoglm.corpus.crawl.sink import CrawledRow, Placed
from airflow_provider_autoglm.corpus.crawl.sitemaps import MAX_SITEMAP_BYTES, SitemapEntries, read_sitemap
from airflow_provider_autoglm.corpus.crawl.traps import trap_in, without_session
from airflow_provider_autoglm.corpus.crawl.urls import normalise_url, resolve_url, site_of
from airflow_provider_autoglm.settings import Source

log = logging.getLogger(__name__)

MAX_REDIRECTS = 20
_OF_A_SOURCE = 1
"""Priority of start pages, which no cut leaves out, and of lists that are sources or that such a list names."""
_HTTP_OK = range(200, 300)
_HTTP_NOT_MODIFIED = 304
_HTTP_GONE = frozenset({404, 410})
_HTTP_REDIRECT = frozenset({301, 302, 303, 307, 308})
_STOPPED = "download_stopped"
"""Scrapy's flag of a response that was cut off."""


class SiteSpider(scrapy.Spider):  # type: ignore[misc]
    """Follows links, sitemaps and feeds of the job's web sources.

    An address that redirects is a removed row, and the address it leads to is visited in its own right: it is one row
    however many others lead there, and which came first does not matter. So is a page that names another one as its
    canonical address.
    """

    name = "autoglm"

    def __init__(self, job: CrawlJob, ledger: Ledger, known: KnownPages) -> None:
        super().__init__()
        self._job = job
        self._settings = job.settings
        self._ledger = ledger
        self._known = known
        self._starts = [start_of(source) for source in job.sources]
        self._source_of_site: dict[str, int] = {}
        for number, url in enumerate(self._starts):
            self._source_of_site.setdefault(site_of(url), number)
        self._followed_sites = {
            site_of(url) for source, url in zip(job.sources, self._starts, strict=True) if source.url is not None
        }
        self._reader = PageReader(extractor=self._settings.extractor, timeout_s=self._settings.parse_timeout_s)
        self._redirects: dict[str, str] = {}
        self._sitemaps_found = 0

    async def start(self) -> AsyncIterator[Any]:
        """Put the start pages and the sitemaps of robots.txt into the frontier; Scrapy's scheduler has them then.

        All at once, so that they are one round.
        """
        sitemaps = await self._sitemaps() if self._settings.use_sitemap else {}
        for number, (source, url) in enumerate(zip(self._job.sources, self._starts, strict=True)):
            self._find([url], number, kind=_kind_of(source), priority=_OF_A_SOURCE)
            self._find(sitemaps.get(number, ()), number, kind="sitemap")
        self.crawler.engine._slot.nextcall.schedule()
        no_requests: tuple[scrapy.Request, ...] = ()
        for request in no_requests:
            yield request

    def request_for(self, visit: Visit) -> scrapy.Request:
        """The request of a visit."""
        meta: dict[str, Any] = {}
        headers: dict[str, str] = {}
        if visit.kind != "page":
            meta["download_cut"] = MAX_SITEMAP_BYTES
        elif self._settings.javascript:
            # What the server says of the page does not hold for what its scripts load.
            meta[JAVASCRIPT] = True
        elif not self._settings.emit_unchanged and (known := self._known.get(visit.url)) is not None:
            headers = known.conditions()
        return scrapy.Request(
            visit.url, callback=self.answered, errback=self.failed, headers=headers, meta=meta, dont_filter=True
        )

    def is_spared(self, visit: Visit) -> bool:
        """Whether the page need not be asked for, since its sitemap says that it has not changed; it is unchanged then.

        The sitemap is believed for pages that were seen after that change.
        """
        if visit.changed_at is None or self._settings.emit_unchanged:
            return False
        known = self._known.get(visit.url)
        if known is None or known.checked_at.timestamp() <= visit.changed_at:
            return False
        self._take_unchanged(visit, known)
        return True

    async def closed(self, reason: str) -> None:
        """Scrapy calls this at the end."""
        await self._reader.close()

    async def answered(self, response: Any) -> None:
        """Make a row, and addresses to visit, of what a server sent; whatever it does to us becomes a row too."""
        visit = self._ledger.visit(response.request.meta[VISIT])
        self._ledger.count("answered")
        try:
            await self._take(visit, response)
        except Exception as error:
            # The message of the error may quote the page, its class does not.
            log.error("%s cannot be taken (%s)", visit.url, type(error).__name__)
            if visit.kind == "page" and not self._ledger.has_rows(visit.key):
                self._place(visit, Placed(self._row(visit), "rejected/", "crawl_error"))

    async def _take(self, visit: Visit, response: Any) -> None:
        if visit.kind != "page":
            self._take_list(visit, response)
            return
        row = replace(
            self._row(visit),
            final_url=response.url,
            status=response.status,
            etag=_header(response, "ETag"),
            last_modified=_header(response, "Last-Modified"),
            content_sha256=hashlib.sha256(response.body).hexdigest(),
            truncated=_STOPPED in response.flags,
        )
        location = _header(response, "Location")
        known = self._known.get(visit.url)
        if response.status == _HTTP_NOT_MODIFIED and known is not None:
            self._take_unchanged(visit, replace(known, checked_at=row.fetched_at))
        elif response.status in _HTTP_GONE and known is not None:
            self._place(visit, Placed(row, "rejected/", "gone"))
        elif response.status in _HTTP_REDIRECT and location is not None:
            self._take_redirect(visit, row, resolve_url(response.url, location))
        elif response.status not in _HTTP_OK:
            self._place(visit, Placed(row, "rejected/", f"http_{response.status}"))
        elif (target := response.meta.get(TARGET)) is not None:
            self._take_redirect(visit, row, target)
        else:
            await self._take_page(visit, row, response)

    def failed(self, failure: Any) -> None:
        """Make a row of the reason why there was no answer."""
        visit = self._ledger.visit(failure.request.meta[VISIT])
        reason = reason_of(failure.request)
        self._ledger.count("answered", reason == "too_large")
        if visit.kind == "page":
            self._place(visit, Placed(self._row(visit), "rejected/", reason))
        else:
            self._miss_list(visit, reason)

    async def _take_page(self, visit: Visit, row: CrawledRow, response: Any) -> None:
        page = await self._reader.read(
            response.url,
            _header(response, "Content-Type") or "",
            response.body[: self._settings.max_page_bytes],
            is_truncated=row.truncated,
            robots_tag="\n".join(_headers(response, "X-Robots-Tag")),
            link_header=", ".join(_headers(response, "Link")),
        )
        if self._follows(visit):
            self._find(page.links, visit.source, depth=visit.depth + 1)
        row = replace(
            row,
            title=page.title,
            text=page.text,
            charset=page.charset,
            published_at=page.published_at,
            canonical_url=page.canonical,
        )
        content = hashlib.sha256(f"{page.title}\0{page.text}".encode()).hexdigest()
        placed = self._judged(visit, row, page)
        known = self._known.get(visit.url)
        is_unchanged = known is not None and known.content == content and not self._settings.emit_unchanged
        if not is_unchanged or page.text is None:
            self._ledger.place(visit.key, placed, content=None if page.text is None else content)
        if page.text is not None:
            stands_for = (page.canonical,) if placed.reason == "canonical" and page.canonical else ()
            known = _known_page(row, content, (*page.links, *stands_for))
            self._ledger.remember(visit.key, known, is_unchanged=is_unchanged)

    def _take_unchanged(self, visit: Visit, known: KnownPage) -> None:
        if self._follows(visit):
            self._find(known.links, visit.source, depth=visit.depth + 1)
        self._ledger.remember(visit.key, known, is_unchanged=True)

    def _judged(self, visit: Visit, row: CrawledRow, page: Page) -> Placed:
        if page.reason is not None:
            return Placed(row, "rejected/", page.reason)
        if page.is_noindex and self._settings.obey_noindex:
            return Placed(row, "removed/", "noindex")
        if self._settings.obey_canonical and page.canonical and self._stands_for(visit, page.canonical):
            self._find([page.canonical], visit.source, depth=visit.depth, redirects=visit.redirects + 1)
            return Placed(row, "removed/", "canonical")
        return Placed(row)

    def _stands_for(self, visit: Visit, canonical: str) -> bool:
        """Whether the canonical address is believed: many sites name their front page on every page."""
        is_front_page = urlsplit(canonical).path in ("", "/") and not urlsplit(canonical).query
        is_here = canonical == visit.url or site_of(canonical) not in self._source_of_site
        return not is_front_page and not is_here and visit.redirects < MAX_REDIRECTS

    def _take_redirect(self, visit: Visit, row: CrawledRow, target: str | None) -> None:
        target = target and without_session(target)
        row = replace(row, final_url=target)
        if target is None or not self._may_visit(site_of(target), visit.source):
            self._place(visit, Placed(row, "rejected/", "offsite_redirect"))
            return
        self._redirects[visit.url] = target
        if self._leads_back(visit.url):
            self._place(visit, Placed(row, "rejected/", "redirect_loop"))
        elif visit.redirects >= MAX_REDIRECTS:
            self._place(visit, Placed(row, "rejected/", "too_many_redirects"))
        else:
            self._place(visit, Placed(row, "removed/", "redirected"))
            self._find([target], visit.source, depth=visit.depth, redirects=visit.redirects + 1)

    def _leads_back(self, url: str) -> bool:
        target = self._redirects.get(url)
        for _ in range(MAX_REDIRECTS):
            if target is None or target == url:
                break
            target = self._redirects.get(target)
        return target == url

    def _take_list(self, visit: Visit, response: Any) -> None:
        """The addresses of a sitemap or feed; one that was moved is looked for there."""
        location = _header(response, "Location")
        target = resolve_url(response.url, location) if location is not None else None
        if response.status in _HTTP_REDIRECT and target is not None and visit.redirects < MAX_REDIRECTS:
            redirects = visit.redirects + 1
            self._find([target], visit.source, kind=visit.kind, redirects=redirects, priority=visit.priority)
        elif response.status not in _HTTP_OK:
            self._miss_list(visit, f"http_{response.status}")
        elif visit.kind == "feed":
            entries = read_feed(response.url, response.body)
            self._find(entries, visit.source)
            if not entries:
                self._miss_list(visit, "no_entries")
        else:
            self._take_sitemap(visit, read_sitemap(response.url, response.body))

    def _take_sitemap(self, visit: Visit, entries: SitemapEntries) -> None:
        self._find_more_sitemaps(entries.sitemaps, visit)
        for url, changed_at in entries.pages:
            self._find([url], visit.source, changed_at=changed_at)
        elsewhere = sum(not self._may_visit(site_of(url), visit.source) for url, _ in entries.pages)
        if elsewhere:
            self._ledger.count("left/offsite", elsewhere)
        if not entries.pages and not entries.sitemaps:
            self._miss_list(visit, "no_entries")

    def _miss_list(self, visit: Visit, reason: str) -> None:
        """Say that a list of pages lists none; where it is a source itself, and not one of robots.txt, it is a row."""
        log.warning("%s %s cannot be read (%s)", visit.kind, visit.url, reason)
        if visit.priority == _OF_A_SOURCE:
            self._place(visit, Placed(self._row(visit), "rejected/", reason))

    def _find_more_sitemaps(self, urls: Sequence[str], visit: Visit) -> None:
        """An index may name others without end: at most as many sitemaps are read as pages."""
        room = max(0, self._settings.max_pages - self._sitemaps_found)
        self._sitemaps_found += len(urls)
        self._find(urls[:room], visit.source, kind="sitemap", priority=visit.priority)
        if len(urls) > room:
            self._ledger.count("left/sitemaps", len(urls) - room)

    async def _sitemaps(self) -> dict[int, tuple[str, ...]]:
        """The sitemaps that robots.txt of each web source names, by the source's number."""
        manners: MannersMiddleware = self.crawler.manners
        numbers = [number for number, source in enumerate(self._job.sources) if source.url is not None]
        robots = await asyncio.gather(*(manners.robots_of(self._starts[number]) for number in numbers))
        return {number: found.sitemaps for number, found in zip(numbers, robots, strict=True)}

    def _find(
        self,
        urls: Iterable[str],
        source: int,
        *,
        kind: Kind = "page",
        depth: int = 0,
        redirects: int = 0,
        priority: int = 0,
        changed_at: datetime | None = None,
    ) -> None:
        self._ledger.find(
            Found(
                url=url,
                site=site,
                kind=kind,
                depth=depth,
                source=source if site == site_of(self._starts[source]) else self._source_of_site.get(site, source),
                redirects=redirects,
                priority=priority,
                changed_at=None if changed_at is None else changed_at.timestamp(),
            )
            for url, site in self._visitable(urls, source)
        )

    def _may_visit(self, site: str, source: int) -> bool:
        """Sites of the sources, and whatever a feed names."""
        return site in self._source_of_site or self._job.sources[source].feed is not None

    def _visitable(self, urls: Iterable[str], source: int) -> Iterable[tuple[str, str]]:
        for found in urls:
            url = without_session(found)
            site = site_of(url)
            if not self._may_visit(site, source):
                continue
            trap = trap_in(url)
            if trap is None:
                yield url, site
            else:
                self._ledger.count(f"left/{trap}")

    def _follows(self, visit: Visit) -> bool:
        return visit.site in self._followed_sites

    def _row(self, visit: Visit) -> CrawledRow:
        return CrawledRow(
            url=visit.url,
            source=self._job.sources[visit.source].key,
            depth=visit.depth,
            host=urlsplit(visit.url).netloc,
            fetched_at=datetime.now(UTC),
        )

    def _place(self, visit: Visit, placed: Placed) -> None:
        self._ledger.place(visit.key, placed)


def start_of(source: Source) -> str:
    """Where the crawl of a web source begins."""
    url = normalise_url(source.url or source.sitemap or source.feed or "")
    if url is None:
        raise ValueError(f"source {source.key} has no address that can be visited")
    return url


def _known_page(row: CrawledRow, content: str, links: tuple[str, ...]) -> KnownPage:
    return KnownPage(
        url=row.url,
        etag=row.etag,
        last_modified=row.last_modified,
        content=content,
        checked_at=row.fetched_at,
        links=links,
    )


def _kind_of(source: Source) -> Kind:
    if source.url is not None:
        return "page"
    return "sitemap" if source.sitemap is not None else "feed"


def _headers(response: Any, name: str) -> list[str]:
    """All headers of a name."""
    return [value.decode("latin-1") for value in response.headers.getlist(name)]


def _header(response: Any, name: str) -> str | None:
    value: bytes | None = response.headers.get(name)
    return None if value is None else value.decode("latin-1")

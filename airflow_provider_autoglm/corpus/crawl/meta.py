"""What a page says about itself: whether it may be kept and followed, its main address, and when it was published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from airflow_provider_autoglm.corpus.crawl.urls import normalise_url, resolve_url

OWN_NAME = "airflow-provider-autoglm"
"""The name robots directives may address us by."""

_ADDRESSED = frozenset({"robots", "*", "googlebot", OWN_NAME})
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_AGENT = re.compile(r"\s*([\w.*-]{1,80})\s*:(.*)", re.DOTALL)
_NOINDEX = frozenset({"noindex", "none"})
_NOFOLLOW = frozenset({"nofollow", "none"})

_MAX_METAS = 300
_MAX_DATES = 10
_MAX_SCRIPTS = 5
_MAX_SCRIPT_CHARACTERS = 65_536
_MAX_GRAPH_NODES = 100
_MAX_HEADER_CHARACTERS = 8_192
_LINK = re.compile(r"<([^<>]{1,2083})>([^<>]{1,500})")
_CANONICAL = re.compile(r"\brel\s*=\s*[\"']?[^\"';,]*\bcanonical\b", re.IGNORECASE)

_DATE_NAMES = (
    "article:published_time",
    "og:published_time",
    "og:article:published_time",
    "datepublished",
    "citation_publication_date",
    "citation_online_date",
    "parsely-pub-date",
    "sailthru.date",
    "dc.date.issued",
    "dcterms.issued",
    "dc.date.created",
    "dcterms.created",
    "dc.date",
    "dcterms.date",
    "publication_date",
    "publish-date",
    "publishdate",
    "publish_date",
    "pubdate",
    "date",
)
"""Names (``name``, ``property`` or ``itemprop``) of meta elements, the most telling first."""

_LONGEST_DATE = 64
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_DAY_AHEAD = timedelta(days=1)
_ISO_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?(?![-/.]?\d)")


@dataclass(frozen=True, kw_only=True)
class Meta:
    """``canonical`` is a normalised address that is not the page's own; ``published_at`` is in UTC."""

    is_noindex: bool = False
    is_nofollow: bool = False
    canonical: str | None = None
    published_at: datetime | None = None


def read_meta(
    url: str, base: str, tree: LexborHTMLParser | None, *, robots_tag: str = "", link_header: str = ""
) -> Meta:
    """Read what the page at ``url`` says about itself; relative addresses are resolved against ``base``.

    ``tree`` is the parsed page, None of one without markup;
    ``robots_tag`` holds the X-Robots-Tag headers, one a line, and ``link_header`` the Link headers.
    """
    named = list(_named_metas(tree)) if tree else []
    directives = robots_directives(robots_tag)
    for name, content in named:
        if name in _ADDRESSED:
            directives |= _split_directives(content)
    return Meta(
        is_noindex=not directives.isdisjoint(_NOINDEX),
        is_nofollow=not directives.isdisjoint(_NOFOLLOW),
        canonical=_canonical(url, base, tree, link_header),
        published_at=_published_at(named, tree) if tree else None,
    )


def robots_directives(robots_tag: str) -> frozenset[str]:
    """Directives of X-Robots-Tag headers, one a line, that speak to everyone, to Googlebot or to us."""
    directives: frozenset[str] = frozenset()
    for line in robots_tag[:_MAX_HEADER_CHARACTERS].lower().splitlines():
        is_addressed = True
        for part in line.split(","):
            directive = part
            if (match := _AGENT.fullmatch(part)) and match[1] not in _WITH_VALUE:
                is_addressed, directive = match[1] in _ADDRESSED, match[2]
            if is_addressed:
                directives |= {directive.strip()}
    return directives


def _split_directives(content: str) -> frozenset[str]:
    return frozenset(content.lower().replace(",", " ").split())


def _named_metas(tree: LexborHTMLParser) -> Iterator[tuple[str, str]]:
    for element in tree.css("meta[content]")[:_MAX_METAS]:
        attributes = element.attributes
        content = attributes.get("content")
        name = attributes.get("name") or attributes.get("property") or attributes.get("itemprop")
        if name and content:
            yield name.strip().lower(), content


def _canonical(url: str, base: str, tree: LexborHTMLParser | None, link_header: str) -> str | None:
    """The one address that is named; pages that name several are not believed, as search engines do."""
    links = tree.css("head > link[rel][href]") if tree else []
    references = [
        (base, link.attributes.get("href") or "")
        for link in links[:_MAX_METAS]
        if "canonical" in (link.attributes.get("rel") or "").lower().split()
    ]
    references += [
        (url, reference)
        for reference, parameters in _LINK.findall(link_header[:_MAX_HEADER_CHARACTERS])
        if _CANONICAL.search(parameters)
    ]
    named = {target for against, reference in references if (target := resolve_url(against, reference))}
    if len(named) != 1:
        return None
    target = named.pop()
    return None if target in (url, normalise_url(url)) else target


def _published_at(named: list[tuple[str, str]], tree: LexborHTMLParser) -> datetime | None:
    dates = [value for wanted in _DATE_NAMES for name, value in named if name == wanted]
    for written in (*dates[:_MAX_DATES], *_linked_data_dates(tree), *_marked_dates(tree)):
        if (date := parse_date(written)) is not None:
            return date
    return None


def _marked_dates(tree: LexborHTMLParser) -> Iterator[str]:
    for element in tree.css("time[pubdate], [itemprop~=datePublished]")[:_MAX_DATES]:
        attributes = element.attributes
        yield attributes.get("datetime") or attributes.get("content") or element.text()[:_LONGEST_DATE]


def _linked_data_dates(tree: LexborHTMLParser) -> Iterator[str]:
    for script in tree.css('script[type="application/ld+json"]')[:_MAX_SCRIPTS]:
        source = script.text()
        if '"datePublished"' not in source or len(source) > _MAX_SCRIPT_CHARACTERS:
            continue
        with suppress(ValueError, RecursionError):
            yield from _dates_of(json.loads(source))


def _dates_of(data: Any) -> Iterable[str]:
    """``datePublished`` of the things that are described, not of what hangs on them, such as comments."""
    things = data if isinstance(data, list) else [data]
    for thing in things[:_MAX_GRAPH_NODES]:
        if not isinstance(thing, dict):
            continue
        if isinstance(written := thing.get("datePublished"), str):
            yield written
        if isinstance(graph := thing.get("@graph"), list):
            yield from (
                written
                for node in graph[:_MAX_GRAPH_NODES]
                if isinstance(node, dict) and isinstance(written := node.get("datePublished"), str)
            )


def parse_date(written: str) -> datetime | None:
    """A date of ISO 8601, RFC 5322 or ``year/month/day`` in UTC; None unless between 1990 and tomorrow.

    A time without zone counts as UTC, a month without day as its first.
    """
    written = written.strip()
    if not written or len(written) > _LONGEST_DATE:
        return None
    date = _parsed(written)
    if date is None:
        return None
    try:
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except OverflowError:
        return None
    return date if _EARLIEST <= date <= datetime.now(UTC) + _DAY_AHEAD else None


def _parsed(written: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(written)
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        return parsedate_to_datetime(written)
    match = _ISO_DATE.match(written)
    if match is None:
        return None
    with suppress(ValueError):
        return datetime(int(match[1]), int(match[2]), int(match[3] or 1), tzinfo=UTC)
    return None

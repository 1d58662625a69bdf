"""One answer of a server as title, main text, links and what it says of itself, or the reason why it is no document."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from resiliparse.parse.encoding import detect_mime
from selectolax.lexbor import LexborHTMLParser

from airflow_provider_autoglm.corpus.crawl.charset import Decoded, decode_page, utf16_without_mark
from airflow_provider_autoglm.corpus.crawl.meta import read_meta
from airflow_provider_autoglm.corpus.crawl.nesting import is_too_deep, may_be_too_deep
from airflow_provider_autoglm.corpus.crawl.text import Extractor, main_text
from airflow_provider_autoglm.corpus.crawl.urls import resolve_url

log = logging.getLogger(__name__)

MAX_LINKS = 10_000
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_TEXT_TYPES = frozenset({"text/plain", "text/markdown"})
_FOUND_IN_TEXT = frozenset({"text/html", "text/plain", "application/xml", "application/xhtml+xml"})
_UNKNOWN_TYPE = "application/octet-stream"
_BYTES_LOOKED_AT = 1_024
_CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_LONGEST_JSON = 1024 * 1024
_BYTES_BEFORE_META = 4_096
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_SURROGATE_REFERENCE = re.compile(
    r"&#(?:x0*d[89a-f][0-9a-f]{2}\b|0*(?:55(?:29[6-9]|[3-9]\d\d)|56\d{3}|57[0-2]\d\d|573[0-3]\d|5734[0-3])\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page says. ``reason`` is null for a document; ``links`` are normalised addresses, each once.

    ``canonical`` is the address the page gives as its own if that is another one; ``published_at`` is in UTC.
    """

    reason: str | None = None
    title: str | None = None
    text: str | None = None
    charset: str | None = None
    links: tuple[str, ...] = field(default=(), repr=False)
    canonical: str | None = None
    published_at: datetime | None = None
    is_noindex: bool = False
    is_nofollow: bool = False


@dataclass(frozen=True, kw_only=True)
class PageHead:
    """What is known of a page besides its body.

    ``robots_tag`` holds the X-Robots-Tag headers, one a line, and ``link_header`` the Link headers. With
    ``is_truncated`` the body ends at the size limit, perhaps within a tag or a character.
    """

    url: str
    content_type: str
    extractor: Extractor = "resiliparse"
    is_truncated: bool = False
    robots_tag: str = ""
    link_header: str = ""


def read_page(
    url: str,
    content_type: str,
    body: bytes,
    *,
    extractor: Extractor = "resiliparse",
    is_truncated: bool = False,
    robots_tag: str = "",
    link_header: str = "",
) -> Page:
    """:func:`read_answer` of the page at ``url``; the other arguments are those of :class:`PageHead`."""
    head = PageHead(
        url=url,
        content_type=content_type,
        extractor=extractor,
        is_truncated=is_truncated,
        robots_tag=robots_tag,
        link_header=link_header,
    )
    return read_answer(head, body)


def read_answer(head: PageHead, body: bytes) -> Page:
    """Read one answer of a server; whatever it does to a parser becomes the reason ``parse_error``.

    A page that asks not to be followed has no links; links marked ``nofollow`` are left out, while ``ugc`` and
    ``sponsored`` only say who set the link.
    """
    try:
        return _read(head, body)
    except Exception as error:
        # The message of the error may quote the page, its class does not.
        log.warning("%s cannot be parsed (%s)", head.url, type(error).__name__)
        return Page(reason="parse_error")


def decode_html(content_type: str, body: bytes, *, is_truncated: bool = False) -> Decoded:
    """The text of an HTML page, by what its header and itself declare if that fits."""
    declared = _HEADER_CHARSET.findall(content_type)[:1]
    if match := _META_CHARSET.search(body[:_BYTES_BEFORE_META]):
        declared.append(match[1].decode("ascii", "ignore"))
    return decode_page(body, declared, is_truncated=is_truncated)


def _read(head: PageHead, body: bytes) -> Page:
    if not body.strip():
        return Page(reason="empty_text")
    kind = _kind_of(head.content_type, body)
    if kind is None or (kind in _HTML_TYPES and _is_json(body)):
        return Page(reason="not_text")
    if kind in _HTML_TYPES:
        decoded = decode_html(head.content_type, body, is_truncated=head.is_truncated)
        page = _read_html(head, decoded.text)
    else:
        declared = _HEADER_CHARSET.findall(head.content_type)[:1]
        decoded = decode_page(body, declared, is_truncated=head.is_truncated)
        page = _read_text(head, decoded.text)
    return replace(page, charset=decoded.charset)


def _kind_of(content_type: str, body: bytes) -> str | None:
    declared = content_type.partition(";")[0].strip().lower()
    if declared and declared not in _HTML_TYPES | _TEXT_TYPES:
        return None
    beginning = body[:_BYTES_LOOKED_AT]
    found: str = detect_mime(beginning)
    if found == _UNKNOWN_TYPE and _looks_like_text(beginning, content_type):
        found = "text/html" if beginning.replace(b"\0", b"").lstrip().startswith(b"<") else "text/plain"
    if found not in _FOUND_IN_TEXT:
        return None
    return declared or ("text/plain" if found == "text/plain" else "text/html")


def _is_json(body: bytes) -> bool:
    """Whether it is data, of a server that sends everything as HTML."""
    if body.lstrip()[:1] not in (b"{", b"[") or len(body) > _LONGEST_JSON:
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _looks_like_text(beginning: bytes, content_type: str) -> bool:
    """Text of an older charset is unknown to the detector, which takes it for binary."""
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or "utf-16" in content_type.lower():
        return True
    return not _CONTROL_CHARACTERS.search(beginning) or utf16_without_mark(beginning) is not None


def _read_text(head: PageHead, text: str) -> Page:
    meta = read_meta(head.url, head.url, None, robots_tag=head.robots_tag, link_header=head.link_header)
    return _judged(
        Page(
            text=text.replace("\0", ""),
            canonical=meta.canonical,
            is_noindex=meta.is_noindex,
            is_nofollow=meta.is_nofollow,
        )
    )


def _read_html(head: PageHead, html: str) -> Page:
    if may_be_too_deep(html):
        return Page(reason="too_deep")
    tree = LexborHTMLParser(html)
    base = _base_of(head.url, tree)
    title = tree.css_first("head > title")
    meta = read_meta(head.url, base, tree, robots_tag=head.robots_tag, link_header=head.link_header)
    page = Page(
        title=" ".join(title.text().split()) or None if title else None,
        links=() if meta.is_nofollow else _links_of(base, tree),
        canonical=meta.canonical,
        published_at=meta.published_at,
        is_noindex=meta.is_noindex,
        is_nofollow=meta.is_nofollow,
    )
    if is_too_deep(tree):
        return replace(page, reason="too_deep")
    text = main_text(tree, html, head.extractor)
    page = replace(page, text=text)
    if "\ufffd" in text and _SURROGATE_REFERENCE.search(html):
        return replace(page, reason="invalid_text")
    return _judged(page)


def _judged(page: Page) -> Page:
    return page if page.text and page.text.strip() else replace(page, reason="empty_text", text=None)


def _base_of(url: str, tree: LexborHTMLParser) -> str:
    element = tree.css_first("base[href]")
    if element is None:
        return url
    return resolve_url(url, element.attributes.get("href") or "") or url


def _links_of(base: str, tree: LexborHTMLParser) -> tuple[str, ...]:
    links: dict[str, None] = {}
    for anchor in tree.css("a[href]")[:MAX_LINKS]:
        attributes = anchor.attributes
        if "nofollow" in (attributes.get("rel") or "").lower().split():
            continue
        if link := resolve_url(base, attributes.get("href") or ""):
            links[link] = None
    return tuple(links)

"""One answer of a server as title, main text and links, or the reason why it is no document."""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass, field, replace

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_mime
from selectolax.lexbor import LexborHTMLParser

from airflow_provider_autoglm.corpus.crawl.charset import decode_page
from airflow_provider_autoglm.corpus.crawl.urls import resolve_url

log = logging.getLogger(__name__)

MAX_NESTING = 400
"""Elements inside one another; the time of both parsers grows with the square of it."""

MAX_LINKS = 10_000
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_TEXT_TYPES = frozenset({"text/plain", "text/markdown"})
_FOUND_IN_TEXT = frozenset({"text/html", "text/plain", "application/xml", "application/xhtml+xml"})
_UNKNOWN_TYPE = "application/octet-stream"
_BYTES_LOOKED_AT = 1_024
_CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_BYTES_BEFORE_META = 4_096
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_SURROGATE_REFERENCE = re.compile(
    r"&#(?:x0*d[89a-f][0-9a-f]{2}\b|0*(?:55(?:29[6-9]|[3-9]\d\d)|56\d{3}|57[0-2]\d\d|573[0-3]\d|5734[0-3])\b)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_TAGS_PARSED_UNSEEN = 5_000
_NEVER_DEEP = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
    | {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "caption", "colgroup"}
    | {"option", "optgroup", "rb", "rt", "rp"}
)
"""Elements without an end tag, or that end by themselves when the next one begins."""
_TOO_DEEP = " > ".join(["*"] * (MAX_NESTING + 1))


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page says. ``reason`` is null for a document; ``links`` are normalised addresses, each once."""

    reason: str | None = None
    title: str | None = None
    text: str | None = None
    charset: str | None = None
    links: tuple[str, ...] = field(default=(), repr=False)


def read_page(url: str, content_type: str, body: bytes) -> Page:
    """Read the answer to ``url``; whatever it does to a parser becomes the reason ``parse_error``."""
    try:
        return _read(url, content_type, body)
    except Exception as error:
        # The message of the error may quote the page, its class does not.
        log.warning("%s cannot be parsed (%s)", url, type(error).__name__)
        return Page(reason="parse_error")


def _read(url: str, content_type: str, body: bytes) -> Page:
    if not body.strip():
        return Page(reason="empty_text")
    kind = _kind_of(content_type, body)
    if kind is None:
        return Page(reason="not_text")
    declared = _HEADER_CHARSET.findall(content_type)
    if kind in _TEXT_TYPES:
        decoded = decode_page(body, declared)
        return _judged(Page(text=decoded.text.replace("\0", ""), charset=decoded.charset))
    declared += [name.decode("ascii", "ignore") for name in _META_CHARSET.findall(body[:_BYTES_BEFORE_META])]
    decoded = decode_page(body, declared)
    return replace(_read_html(url, decoded.text), charset=decoded.charset)


def _kind_of(content_type: str, body: bytes) -> str | None:
    declared = content_type.partition(";")[0].strip().lower()
    if declared and declared not in _HTML_TYPES | _TEXT_TYPES:
        return None
    beginning = body[:_BYTES_LOOKED_AT]
    found: str = detect_mime(beginning)
    if found == _UNKNOWN_TYPE and _looks_like_text(beginning, content_type):
        found = "text/html" if beginning.lstrip().startswith(b"<") else "text/plain"
    if found not in _FOUND_IN_TEXT:
        return None
    return declared or ("text/plain" if found == "text/plain" else "text/html")


def _looks_like_text(beginning: bytes, content_type: str) -> bool:
    """Text of an older charset is unknown to the detector, which takes it for binary."""
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or "utf-16" in content_type.lower():
        return True
    return not _CONTROL_CHARACTERS.search(beginning)


def _read_html(url: str, html: str) -> Page:
    if html.count("<") > _TAGS_PARSED_UNSEEN and _open_tags_exceed(html, MAX_NESTING):
        return Page(reason="too_deep")
    tree = LexborHTMLParser(html)
    title = tree.css_first("head > title")
    page = Page(title=" ".join(title.text().split()) or None if title else None, links=_links_of(url, tree))
    if tree.css_matches(_TOO_DEEP):
        return replace(page, reason="too_deep")
    text = extract_plain_text(html, main_content=True)
    page = replace(page, text=text)
    if "\ufffd" in text and _SURROGATE_REFERENCE.search(html):
        return replace(page, reason="invalid_text")
    return _judged(page)


def _judged(page: Page) -> Page:
    return page if page.text and page.text.strip() else replace(page, reason="empty_text", text=None)


def _open_tags_exceed(html: str, limit: int) -> bool:
    """Whether more than ``limit`` elements that need an end tag are open at once, going by the source alone."""
    still_open: Counter[str] = Counter()
    depth = 0
    for slash, name in _TAG.findall(html):
        tag = name.lower()
        if tag in _NEVER_DEEP:
            continue
        if not slash:
            still_open[tag] += 1
            depth += 1
        elif still_open[tag]:
            still_open[tag] -= 1
            depth -= 1
        if depth > limit:
            return True
    return False


def _links_of(url: str, tree: LexborHTMLParser) -> tuple[str, ...]:
    base_element = tree.css_first("base[href]")
    base = url
    if base_element is not None:
        base = resolve_url(url, base_element.attributes.get("href") or "") or url
    links: dict[str, None] = {}
    for anchor in tree.css("a[href]")[:MAX_LINKS]:
        attributes = anchor.attributes
        if "nofollow" in (attributes.get("rel") or "").lower().split():
            continue
        if link := resolve_url(base, attributes.get("href") or ""):
            links[link] = None
    return tuple(links)

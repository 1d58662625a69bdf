"""RSS and Atom feeds: the pages of their entries (RFC 4287; RSS 2.0, 1.0)."""

from __future__ import annotations

import logging

from lxml import etree

from airflow_provider_autoglm.corpus.crawl.urls import resolve_url

log = logging.getLogger(__name__)


def read_feed(url: str, body: bytes) -> tuple[str, ...]:
    """Normalised addresses of the entries of a feed, each once; a feed that cannot be read is empty and logged."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=True)
    try:
        root = etree.fromstring(body, parser, base_url=url)
    except etree.XMLSyntaxError as error:
        log.warning("feed %s cannot be read (%s)", url, type(error).__name__)
        return ()
    if root is None:
        log.warning("feed %s cannot be read: it is no XML", url)
        return ()
    found: dict[str, None] = {}
    for element in root.iter("{*}item", "{*}entry"):
        for base, reference in _links_of(element):
            if link := resolve_url(base or url, reference):
                found[link] = None
                break
    return tuple(found)


def _links_of(entry: etree._Element) -> list[tuple[str | None, str]]:
    """Where the page of an entry may be, best first, and against what: its link, or its guid if that is an address."""
    links: list[tuple[str | None, str]] = []
    others: list[tuple[str | None, str]] = []
    for child in entry:
        name = etree.QName(child).localname if isinstance(child.tag, str) else ""
        if name == "link" and child.get("href"):
            (links if child.get("rel", "alternate") == "alternate" else others).append(
                (child.base, child.get("href", ""))
            )
        elif name == "link" and child.text:
            links.append((child.base, child.text))
        elif name == "guid" and child.text and child.get("isPermaLink", "true") == "true":
            others.append((child.base, child.text))
    return links + [link for link in others if link[1].strip().startswith(("http://", "https://"))]

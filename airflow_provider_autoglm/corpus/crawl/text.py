"""The main text of a parsed page, by resiliparse or trafilatura."""

from __future__ import annotations

import re
from typing import Literal

from resiliparse.extract.html2text import extract_plain_text
from selectolax.lexbor import LexborHTMLParser, LexborNode

from airflow_provider_autoglm.exceptions import MissingExtraError

Extractor = Literal["resiliparse", "trafilatura"]

_DEPTH_OF_NAVIGATION = 3
"""Resiliparse takes every ``ul`` less than so many elements below ``body`` for the site's navigation."""

_MAX_LISTS = 200
_MAX_DEPTH = 30
_NAVIGATION = frozenset({"nav", "header", "footer", "aside", "form", "menu"})
_NAVIGATION_ROLES = frozenset({"navigation", "menu", "menubar", "contentinfo", "banner", "search"})
_NAVIGATION_NAME = re.compile(
    r"(?:^|[\s_-])(?:nav(?:bar|igation)?|docnav|menu|bread-?crumbs?|footer|sidebar|toc|pag(?:er|ination)|share|social)"
    r"(?:$|[\s_-])",
    re.IGNORECASE,
)
_MOSTLY = 0.5
_ITEMS_LOOKED_AT = 12


def require_extractor(extractor: Extractor) -> None:
    """Make sure that ``extractor`` can be used.

    :raises MissingExtraError: if its package, or what that needs, is not installed.
    """
    if extractor == "trafilatura":
        try:
            import trafilatura  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("trafilatura", "trafilatura") from error


def main_text(tree: LexborHTMLParser, html: str, extractor: Extractor = "resiliparse") -> str:
    """The text of the page without navigation, paragraphs and list items on lines of their own.

    ``tree`` is ``html`` parsed, and is changed: read links and metadata before.
    """
    if extractor == "trafilatura":
        from trafilatura import extract

        return extract(html, include_comments=True, include_tables=True) or ""
    text: str = extract_plain_text(_with_prose_lists(tree, html), main_content=True)
    return text


def _with_prose_lists(tree: LexborHTMLParser, html: str) -> str:
    """``html``, or if resiliparse would drop lists that are part of the text, a page in which it sees them as text.

    It drops ``ul`` lists near ``body``, and many that hold links. Lists whose items are mostly not links are put
    deeper, and their links become plain text.
    """
    is_changed = False
    # The inner before the outer: what is put deeper is copied, and the original with all it holds is gone.
    for element in reversed(tree.css("ul")[:_MAX_LISTS]):
        has_links = element.css_first("a[href]") is not None
        is_shallow = _is_shallow(element)
        if not (has_links or is_shallow) or not _is_prose(element) or _is_in_navigation(element):
            continue
        is_changed = True
        if has_links:
            for item in element.iter():
                item.unwrap_tags(["a"])
        if is_shallow:
            _put_deeper(tree, element)
    return (tree.html or html) if is_changed else html


def _is_shallow(element: LexborNode) -> bool:
    node = element.parent
    for _ in range(_DEPTH_OF_NAVIGATION):
        if node is None or node.tag == "body":
            return True
        node = node.parent
    return False


def _is_in_navigation(element: LexborNode) -> bool:
    """Whether the element or one around it is navigation; what is too deep to tell counts as if it were."""
    node: LexborNode | None = element
    for _ in range(_MAX_DEPTH):
        if node is None or node.tag == "body":
            return False
        attributes = node.attributes
        if node.tag in _NAVIGATION or (attributes.get("role") or "") in _NAVIGATION_ROLES:
            return True
        if _NAVIGATION_NAME.search(f"{attributes.get('class') or ''} {attributes.get('id') or ''}"):
            return True
        node = node.parent
    return True


def _is_prose(element: LexborNode) -> bool:
    """Whether most of the first items are mostly not links."""
    items = prose = 0
    for child in element.iter():
        if child.tag != "li":
            continue
        linked = sum(len(link.text()) for link in child.css("a[href]"))
        prose += not linked or linked < _MOSTLY * len(child.text().strip())
        items += 1
        if items == _ITEMS_LOOKED_AT:
            break
    return prose > _MOSTLY * items


def _put_deeper(tree: LexborHTMLParser, element: LexborNode) -> None:
    element.insert_before(tree.create_node("div"))
    wrapper = element.prev
    assert wrapper is not None
    for _ in range(_DEPTH_OF_NAVIGATION - 1):
        wrapper.insert_child(tree.create_node("div"))
        wrapper = wrapper.first_child
        assert wrapper is not None
    wrapper.insert_child(element)  # inserts a copy
    element.decompose()

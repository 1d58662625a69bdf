"""How deep the elements of a page are nested: the time of both parsers grows with the square of it."""

from __future__ import annotations

import re
from collections import Counter

from selectolax.lexbor import LexborHTMLParser

MAX_NESTING = 400
"""Elements inside one another at most."""

_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,40})(?:[^<>]*(/)>)?")
_FOREIGN = re.compile(r"<(?:svg|math)\b", re.IGNORECASE)
_TAGS_PARSED_UNSEEN = 5_000
_NEVER_DEEP = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
    | {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "caption", "colgroup"}
    | {"option", "optgroup", "rb", "rt", "rp"}
)
"""Elements without an end tag, or that end by themselves when the next one begins."""
_TOO_DEEP = " > ".join(["*"] * (MAX_NESTING + 1))


def may_be_too_deep(html: str) -> bool:
    """Whether ``html`` must not be parsed at all, going by the source alone: more elements that need an end tag are
    open at once than may be nested. Pages of a few thousand tags are parsed in no time and not looked at.

    What ends in ``/>`` is closed in SVG and MathML alone. Where there is some it counts as closed everywhere, since
    :func:`is_too_deep` sees what was nested after all.
    """
    if html.count("<") <= _TAGS_PARSED_UNSEEN:
        return False
    has_foreign = _FOREIGN.search(html) is not None
    still_open: Counter[str] = Counter()
    depth = 0
    for match in _TAG.finditer(html):
        slash, tag = match[1], match[2].lower()
        if tag in _NEVER_DEEP or (match[3] and has_foreign):
            continue
        if not slash:
            still_open[tag] += 1
            depth += 1
        elif still_open[tag]:
            still_open[tag] -= 1
            depth -= 1
        if depth > MAX_NESTING:
            return True
    return False


def is_too_deep(tree: LexborHTMLParser) -> bool:
    """Whether elements of the parsed page are nested deeper than :data:`MAX_NESTING`."""
    return bool(tree.css_matches(_TOO_DEEP))

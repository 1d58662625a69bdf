"""Which addresses are visited, and when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Visit:
    """An address to visit. ``depth`` is links from a start page, ``redirects`` the length of the chain to here."""

    depth: int
    source: int
    redirects: int
    url: str


class Frontier:
    """Hands out addresses in rounds: what a round finds is visited in the next one.

    Depth, source and the cut at ``max_pages`` depend on the site alone, not on which answer came first, so that two
    crawls of an unchanged site visit the same pages. Within a round the order is by hash of the address: a crawl that
    is cut off has seen a sample of the site and not the beginning of its alphabet.
    """

    def __init__(self, max_pages: int, max_depth: int) -> None:
        self.attempted = 0
        self._max_pages = max_pages
        self._max_depth = max_depth
        self._seen: set[str] = set()
        self._found: dict[str, Visit] = {}

    def add(self, visit: Visit) -> None:
        """Remember an address for the next round, unless it was handed out already or lies too deep."""
        if visit.depth > self._max_depth or visit.url in self._seen:
            return
        known = self._found.get(visit.url)
        if known is None or visit < known:
            self._found[visit.url] = visit

    def next_round(self) -> list[Visit]:
        """The addresses found since the last call; empty when there are none or ``max_pages`` were handed out."""
        ordered = sorted(self._found.values(), key=lambda visit: hashlib.sha256(visit.url.encode()).digest())
        visits = ordered[: self._max_pages - self.attempted]
        self._found = {}
        self._seen.update(visit.url for visit in visits)
        self.attempted += len(visits)
        return visits

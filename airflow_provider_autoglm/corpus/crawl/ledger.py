"""The books of a crawl: what a visit brought is held until the visit is over, and recorded as a whole."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import get_args

from airflow_provider_autoglm.corpus.crawl.frontier import PAGES, Found, Frontier, Visit
from airflow_provider_autoglm.corpus.crawl.job import FinalReport, Lane, ProgressReport
from airflow_provider_autoglm.corpus.crawl.known import KnownPage
from airflow_provider_autoglm.corpus.crawl.sink import PageSink, Placed
from airflow_provider_autoglm.exceptions import StorageError
from airflow_provider_autoglm.settings import CrawlSettings

log = logging.getLogger(__name__)

SECONDS_BETWEEN_COMMITS = 120.0
SECONDS_BETWEEN_REPORTS = 5.0


@dataclass
class _Held:
    """What a visit under way brought so far."""

    visit: Visit
    rows: list[Placed] = field(default_factory=list)
    content: str | None = None
    known: KnownPage | None = None
    is_unchanged: bool = False


class Ledger:
    """Stands between what downloads and what is recorded.

    Links are remembered at once, since to find one twice does no harm; rows wait until their visit is settled, and are
    then written with all others by one :meth:`commit`: first shards, whole, then the frontier with their names.
    ``ship`` is called after each commit, ``send`` with each report.

    The first error is kept in ``failure`` and nothing is recorded after it, whoever catches it.
    """

    def __init__(
        self,
        frontier: Frontier,
        sink: PageSink,
        settings: CrawlSettings,
        *,
        ship: Callable[[], None],
        send: Callable[[ProgressReport], None],
    ) -> None:
        self.failure: Exception | None = None
        self._frontier = frontier
        self._sink = sink
        self._settings = settings
        self._ship = ship
        self._send = send
        self._held: dict[int, _Held] = {}
        self._sums: defaultdict[str, float] = defaultdict(float, frontier.counts())
        self._done = frontier.attempted
        self._committed_at = self._reported_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to visit."""
        return self._frontier.is_over

    def find(self, found: Iterable[Found]) -> None:
        """Addresses to visit."""
        with self._recording():
            self._frontier.add(found)

    def halt(self, reason: str) -> None:
        """Visit nothing more, for a ``reason`` that is told with what is left."""
        self._frontier.halt(reason)

    def take(self, is_free: dict[str, bool]) -> Visit | None:
        """The next visit, unless a budget is used up or nothing can be asked for now."""
        since_commit = time.monotonic() - self._committed_at
        if self._sums["seconds"] + since_commit >= self._settings.max_duration_s:
            self._frontier.halt("max_duration_s")
        if self._sums["bytes"] >= self._settings.max_total_bytes:
            self._frontier.halt("max_total_bytes")
        with self._recording():
            visit = self._frontier.next(is_free)
        if visit is not None:
            self._held[visit.key] = _Held(visit)
        return visit

    def visit(self, key: int) -> Visit:
        """The visit under way with this key."""
        return self._held[key].visit

    def place(self, key: int, placed: Placed, *, content: str | None = None) -> None:
        """A row that a visit brought; ``content`` is a digest of what its page says."""
        held = self._held[key]
        held.rows.append(placed)
        held.content = content or held.content

    def remember(self, key: int, known: KnownPage, *, is_unchanged: bool = False) -> None:
        """What the visit tells later crawls of its page; an unchanged page is counted and has no row."""
        held = self._held[key]
        held.known, held.is_unchanged = known, is_unchanged
        held.content = known.content

    def has_rows(self, key: int) -> bool:
        """Whether a visit brought a row so far, or found its page unchanged."""
        return bool(self._held[key].rows) or self._held[key].is_unchanged

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a sum of the crawl: ``bytes``, ``answered``, ``unchanged`` …"""
        self._sums[name] += amount
        with self._recording():
            self._frontier.count({name: amount})

    def put_back(self, key: int) -> None:
        """The visit is to be made again; what it brought is forgotten."""
        del self._held[key]
        with self._recording():
            self._frontier.put_back(key)

    def settle(self, key: int) -> None:
        """The visit is over."""
        held = self._held.pop(key)
        for placed in held.rows:
            self._sink.add(placed)
            if placed.prefix:
                self._sums[f"{placed.prefix}{placed.reason}"] += 1
        if held.known is not None:
            self._sink.remember(held.known)
        if held.is_unchanged:
            self.count("unchanged")
        with self._recording():
            self._frontier.settle(key, held.content)
        self._done += held.visit.kind in PAGES
        if self._sink.is_full or time.monotonic() - self._committed_at >= SECONDS_BETWEEN_COMMITS:
            self.commit()
        elif time.monotonic() - self._reported_at >= SECONDS_BETWEEN_REPORTS:
            self._report()

    def commit(self) -> None:
        """Write the rows of all visits that are over and record them.

        :raises StorageError: if storage refuses; nothing is recorded then.
        """
        now = time.monotonic()
        self.count("seconds", now - self._committed_at)
        with self._recording():
            shards, reasons = self._sink.flush()
            self._frontier.commit(shards, reasons)
            self._ship()
        self._committed_at = now
        self._report()

    def final(self, *, is_stopped: bool, known: Iterable[str] = ()) -> FinalReport:
        """What the crawl came to, as of the last commit; ``known`` are the pages of an earlier one."""
        recorded = self._frontier.shards()
        left = self._frontier.left()
        is_whole = not is_stopped and not left
        return FinalReport(
            shards={lane: tuple(shard for name, shard in recorded if name == lane) for lane in get_args(Lane)},
            counts=self._frontier.counts(),
            left=left,
            unlinked=sum(not self._frontier.knows(url) for url in known) if is_whole else 0,
            is_stopped=is_stopped,
        )

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """After an error SQLite may have rolled back all since the last commit: what followed would last without it."""
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except sqlite3.Error as error:
            self.failure = StorageError("write", "the frontier of the crawl", error)
            raise self.failure from error
        except Exception as error:
            self.failure = error
            raise

    def _report(self) -> None:
        self._reported_at = time.monotonic()
        rejected = {
            name.removeprefix("rejected/"): int(n) for name, n in self._sums.items() if name.startswith("rejected/")
        }
        self._send(
            ProgressReport(
                done=self._done,
                found=self._frontier.found,
                bytes=int(self._sums["bytes"]),
                seconds=self._sums["seconds"] + time.monotonic() - self._committed_at,
                rejected=rejected,
            )
        )

"""Which addresses are visited, and when: one SQLite file that survives the process at any moment."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Literal

from airflow_provider_autoglm.corpus.crawl.job import Lane
from airflow_provider_autoglm.corpus.crawl.traps import date_shape, path_of
from airflow_provider_autoglm.corpus.manifest import Shard
from airflow_provider_autoglm.exceptions import CrawlRunningError, StorageError

Kind = Literal["page", "sitemap", "feed", "request"]
PAGES = ("page", "request")
"""Kinds of addresses that bring documents; the others list addresses."""

MAX_DATES_OF_A_SHAPE = 100
"""Addresses visited that differ in their dates alone: the leaves of a calendar."""

MAX_TWINS_OF_A_PATH = 5
"""Pages of one path that may say the same under different queries before the path's other queries are left out."""

_FIRST_ROUND_OF_PAGES = 1_000
_ADDED_KEPT = 200_000
_FAR = 1 << 60

_SCHEMA = """
CREATE TABLE IF NOT EXISTS urls (
  key INTEGER PRIMARY KEY, url TEXT NOT NULL, site TEXT NOT NULL, kind TEXT NOT NULL, depth INTEGER NOT NULL,
  source INTEGER NOT NULL, redirects INTEGER NOT NULL, round INTEGER NOT NULL, priority INTEGER NOT NULL,
  rank INTEGER NOT NULL, request BLOB, changed_at REAL, state INTEGER NOT NULL, shape INTEGER, path INTEGER,
  content INTEGER);
CREATE INDEX IF NOT EXISTS waiting ON urls (round, site, priority DESC, rank) WHERE state = 0;
CREATE INDEX IF NOT EXISTS shapes ON urls (shape) WHERE shape IS NOT NULL;
CREATE INDEX IF NOT EXISTS twins ON urls (path, content) WHERE path IS NOT NULL AND content IS NOT NULL;
CREATE TABLE IF NOT EXISTS shards (number INTEGER PRIMARY KEY, prefix TEXT NOT NULL, shard TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""
_ADD = """
INSERT INTO urls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT (key) DO UPDATE
SET depth = excluded.depth, source = excluded.source, redirects = excluded.redirects
WHERE state = 0 AND round = excluded.round
AND (excluded.depth, excluded.source, excluded.redirects) < (depth, source, redirects)
"""
_ADD_REQUEST = "INSERT OR IGNORE INTO urls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
_COUNT = "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
_TURNS = """
SELECT key, site, rank, row_number() OVER (PARTITION BY site ORDER BY priority DESC, rank) AS turn FROM urls
WHERE state = 0 AND round = ? AND kind = 'page'
"""
_COLUMNS = "key, url, site, kind, depth, source, redirects, round, priority, request, changed_at"

_NEXT = (
    f"SELECT {_COLUMNS} FROM urls WHERE state = 0 AND round = ? AND site = ?"  # noqa: S608 - no values in it
    " ORDER BY priority DESC, rank LIMIT 1"
)


class _State(IntEnum):
    WAITING = 0
    UNDER_WAY = 1
    DONE = 2
    LEFT_OUT = 3


@dataclass(frozen=True, kw_only=True)
class Found:
    """An address to visit. ``depth`` is links from a start page, ``redirects`` the length of the chain to here.

    ``request`` is what a spider of the user's own needs beyond the address; ``name`` tells two such requests for one
    address apart. ``changed_at`` is when a sitemap says that the page changed last, in seconds since the epoch.
    """

    url: str
    site: str
    kind: Kind = "page"
    depth: int = 0
    source: int = 0
    redirects: int = 0
    priority: int = 0
    request: bytes | None = None
    changed_at: float | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Visit(Found):
    """An address that is handed out, with its ``key`` and the round it is visited in."""

    key: int
    round: int


@dataclass(frozen=True)
class Limits:
    """What a frontier hands out at most: pages in all and of one site, requests under way at one site."""

    max_pages: int
    max_pages_per_host: int
    max_depth: int
    concurrency: int


class Frontier:
    """Hands out addresses in rounds: what a round finds is visited in the next one, when the round is over.

    Sitemaps and feeds come first: the pages they list are in one round with the start pages.

    Depth, source and the cut at ``max_pages`` depend on the site alone, not on which answer came first, so that two
    crawls of an unchanged site visit the same pages, killed or not. Within a round the order is by hash of the address:
    a crawl that is cut off has seen a sample of the site and not the beginning of its alphabet. Requests of a user's
    own spider (``request``) are one round, ordered by priority and then as they came.

    All changes since the last :meth:`commit` are one open transaction: a killed process leaves the file as that commit
    left it, so its shards, and the addresses done with them, are recorded together or not at all.

    :raises CrawlRunningError: if another process has the file open.
    :raises StorageError: if it is damaged, or no file can be there.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._limits = limits
        self._under_way: dict[int, Visit] = {}
        self._busy: Counter[str] = Counter()
        self._halted = ""
        self._added: dict[int, tuple[int, int, int]] = {}
        self._waiting: Counter[str] = Counter()
        self._turns: deque[str] = deque()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
            with _closing_on_error(self._db):
                self._begin()
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise CrawlRunningError(str(path.parent)) from None
            raise StorageError("open", str(path), f"{error}; delete it to begin the crawl anew") from error

    def _begin(self) -> None:
        # Held until the process ends, however it ends: one crawl at a time.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = TRUNCATE")
        self._db.execute("BEGIN EXCLUSIVE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            self._db.execute(statement)
        self._db.execute("UPDATE urls SET state = 0 WHERE state = 1")
        counts = self._db.execute(
            "SELECT site, count(*) FROM urls WHERE state = 2 AND kind IN ('page', 'request') GROUP BY 1"
        )
        self._attempted: Counter[str] = Counter(dict(counts.fetchall()))
        self._order = int(
            self._db.execute("SELECT coalesce(max(rank), 0) FROM urls WHERE kind = 'request'").fetchone()[0]
        )
        self._round = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        self._read_round()
        self.commit({}, {})

    @property
    def attempted(self) -> int:
        """Pages handed out so far, also by processes that were killed after a commit."""
        return self._attempted.total()

    @property
    def found(self) -> int:
        """Addresses known, visited or not."""
        return int(self._db.execute("SELECT count(*) FROM urls").fetchone()[0])

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way or left to hand out."""
        return not self._under_way and not self._has_waiting()

    def counts(self) -> dict[str, float]:
        """The sums of what was given to :meth:`count`."""
        return dict(self._db.execute("SELECT name, value FROM counts").fetchall())

    def count(self, amounts: Mapping[str, float]) -> None:
        """Add to named sums that are committed with everything else."""
        self._db.executemany(_COUNT, amounts.items())

    def add(self, found: Iterable[Found]) -> None:
        """Remember addresses for the next round, unless they are known or lie too deep."""
        pages = []
        for item in found:
            if item.depth > self._limits.max_depth or (row := self._row(item)) is None:
                continue
            if item.kind != "request":
                pages.append(row)
            elif self._db.execute(_ADD_REQUEST, row).rowcount:
                self._await_turn(item.site)
        self._db.executemany(_ADD, pages)

    def next(self, is_free: Mapping[str, bool] | None = None) -> Visit | None:
        """The next address of a site that has a request to spare, or None while there is none.

        ``is_free`` holds False for sites that are not to be asked now.
        """
        while self._has_waiting():
            for _ in range(len(self._turns)):
                site = self._turns.popleft()
                if not self._waiting[site]:
                    continue
                self._turns.append(site)
                may_ask = (is_free or {}).get(site, True) and self._busy[site] < self._limits.concurrency
                if may_ask and (visit := self._take(site)) is not None:
                    return visit
            if self._under_way or self._waiting.total():
                return None
            self._begin_round()
        return None

    def halt(self, reason: str) -> None:
        """Hand out nothing any more, because a budget is used up or a spider wants no more; ``reason`` says which."""
        self._halted = reason

    def settle(self, key: int, content: str | None = None) -> None:
        """An address is done with; ``content`` is a digest of what its page says."""
        self._db.execute(
            "UPDATE urls SET state = 2, content = ?, request = NULL WHERE key = ?", (content and _number(content), key)
        )
        self._release(key)

    def put_back(self, key: int) -> None:
        """An address is to be asked for again."""
        visit = self._release(key)
        self._db.execute("UPDATE urls SET state = 0 WHERE key = ?", (key,))
        self._attempted[visit.site] -= visit.kind in PAGES
        self._await_turn(visit.site)

    def commit(self, shards: Mapping[Lane, Iterable[Shard]], reasons: Mapping[str, int]) -> None:
        """Make everything so far last, together with ``shards`` by prefix, which are whole on storage."""
        records = [(prefix, shard.model_dump_json()) for prefix, several in shards.items() for shard in several]
        self._db.executemany("INSERT INTO shards (prefix, shard) VALUES (?, ?)", records)
        self.count(reasons)
        self._db.execute("COMMIT")
        self._db.execute("BEGIN EXCLUSIVE")

    def shards(self) -> list[tuple[str, Shard]]:
        """Every recorded shard and its prefix."""
        rows = self._db.execute("SELECT prefix, shard FROM shards ORDER BY number").fetchall()
        return [(prefix, Shard.model_validate_json(shard)) for prefix, shard in rows]

    def knows(self, url: str) -> bool:
        """Whether a page is known, visited or not."""
        key, _, _ = _numbers("page", "", url)
        return self._db.execute("SELECT 1 FROM urls WHERE key = ?", (key,)).fetchone() is not None

    def left(self) -> dict[str, int]:
        """Addresses that were found and not visited, by the limit or the trap that kept them out."""
        waiting = self._db.execute("SELECT count(*) FROM urls WHERE state IN (0, 1)").fetchone()[0]
        counted = {name.removeprefix("left/"): int(n) for name, n in self.counts().items() if name.startswith("left/")}
        if waiting:
            limit = self._halted or "max_pages"
            counted[limit] = counted.get(limit, 0) + waiting
        return counted

    def close(self) -> None:
        """Forget what is not committed."""
        self._db.close()

    def _row(self, found: Found) -> tuple[object, ...] | None:
        """A row of the table, or None for an address that was added like this, or closer to a start, just before."""
        is_request = found.kind == "request"
        key, shape, path = _numbers(found.kind, found.name, found.url)
        place = (found.depth, found.source, found.redirects)
        if self._added.get(key, (_FAR,)) <= place:
            return None
        if len(self._added) >= _ADDED_KEPT:
            self._added.clear()
        self._added[key] = place
        self._order += 1
        return (
            key,
            found.url,
            found.site,
            found.kind,
            found.depth,
            found.source,
            found.redirects,
            self._round_of(found),
            found.priority,
            self._order if is_request else key,
            found.request,
            found.changed_at,
            _State.WAITING,
            shape,
            path,
        )

    def _round_of(self, found: Found) -> int:
        """The next round; lists of pages are read before any page is visited, so that theirs are in the first round."""
        if found.kind == "request":
            return 0
        return self._round + 1 if found.kind != "page" else max(self._round + 1, _FIRST_ROUND_OF_PAGES)

    def _has_waiting(self) -> bool:
        if self._halted or self.attempted >= self._limits.max_pages:
            return False
        return bool(self._waiting.total()) or self._next_round() is not None

    def _next_round(self) -> int | None:
        lowest = self._db.execute("SELECT min(round) FROM urls WHERE state = 0").fetchone()[0]
        return None if lowest is None else int(lowest)

    def _begin_round(self) -> None:
        self._leave_out_twins()
        lowest = self._next_round()
        if lowest is not None:
            self._round = lowest
            self._db.execute(f"PRAGMA user_version = {lowest}")
            self._leave_out_dates()
            self._leave_out_surplus()
        self._read_round()

    def _read_round(self) -> None:
        query = "SELECT site, count(*) FROM urls WHERE state = 0 AND round = ? GROUP BY site ORDER BY site"
        self._waiting = Counter(dict(self._db.execute(query, (self._round,)).fetchall()))
        known = set(self._turns)
        self._turns.extend(site for site in self._waiting if site not in known)

    def _await_turn(self, site: str) -> None:
        self._waiting[site] += 1
        if site not in self._turns:
            self._turns.append(site)

    def _take(self, site: str) -> Visit | None:
        if self._attempted[site] >= self._limits.max_pages_per_host:
            left = self._db.execute("UPDATE urls SET state = 3 WHERE site = ? AND state = 0", (site,)).rowcount
            self.count({"left/max_pages_per_host": left})
            del self._waiting[site]
            return None
        row = self._db.execute(_NEXT, (self._round, site)).fetchone()
        visit = Visit(**dict(zip(_COLUMNS.split(", "), row, strict=True)))
        self._db.execute("UPDATE urls SET state = 1 WHERE key = ?", (visit.key,))
        self._under_way[visit.key] = visit
        self._busy[site] += 1
        self._waiting[site] -= 1
        self._attempted[site] += visit.kind in PAGES
        return visit

    def _release(self, key: int) -> Visit:
        visit = self._under_way.pop(key)
        self._busy[visit.site] -= 1
        return visit

    def _leave_out_dates(self) -> None:
        """Of addresses that differ in dates alone keep the first ones of the round, as many as are still allowed."""
        shapes = self._db.execute(
            "SELECT DISTINCT shape FROM urls WHERE state = 0 AND round = ? AND shape IS NOT NULL", (self._round,)
        ).fetchall()
        for (shape,) in shapes:
            done = self._db.execute("SELECT count(*) FROM urls WHERE shape = ? AND state = 2", (shape,)).fetchone()[0]
            beyond = "SELECT key FROM urls WHERE shape = ? AND state = 0 AND round = ? ORDER BY rank LIMIT -1 OFFSET ?"
            self._leave_out("calendar", beyond, (shape, self._round, max(0, MAX_DATES_OF_A_SHAPE - done)))

    def _leave_out_surplus(self) -> None:
        """Cut a round that has more pages than may still be visited: as many of each site, whichever answers first."""
        waiting = self._db.execute(
            "SELECT site, count(*) FROM urls WHERE state = 0 AND round = ? AND kind = 'page' GROUP BY site",
            (self._round,),
        ).fetchall()
        for site, number in waiting:
            allowed = max(0, self._limits.max_pages_per_host - self._attempted[site])
            if number > allowed:
                beyond = f"SELECT key FROM ({_TURNS}) WHERE site = ? AND turn > ?"  # noqa: S608
                self._leave_out("max_pages_per_host", beyond, (self._round, site, allowed))
        allowed = self._limits.max_pages - self.attempted
        if sum(number for _, number in waiting) > allowed:
            beyond = f"SELECT key FROM ({_TURNS}) ORDER BY turn, rank LIMIT -1 OFFSET ?"  # noqa: S608
            self._leave_out("max_pages", beyond, (self._round, allowed))

    def _leave_out_twins(self) -> None:
        """Leave out the other queries of paths where a query makes no difference: session numbers, sort orders."""
        paths = (
            "SELECT path FROM urls WHERE path IS NOT NULL AND content IS NOT NULL"
            " GROUP BY path, content HAVING count(*) >= ?"
        )
        same = f"SELECT key FROM urls WHERE state = 0 AND path IN ({paths})"  # noqa: S608
        self._leave_out("twins", same, (MAX_TWINS_OF_A_PATH,))

    def _leave_out(self, reason: str, keys: str, values: tuple[object, ...]) -> None:
        left = self._db.execute(f"UPDATE urls SET state = 3 WHERE key IN ({keys})", values).rowcount  # noqa: S608
        if left:
            self.count({f"left/{reason}": left})


@contextmanager
def _closing_on_error(db: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error:
        db.close()
        raise


@lru_cache(maxsize=65_536)
def _numbers(kind: Kind, name: str, url: str) -> tuple[int, int | None, int | None]:
    """The key of an address, its shape if it is the leaf of a calendar, and its path if it has a query."""
    key = _number(f"{kind} {name} {url}")
    if kind == "request":
        return key, None, None
    shape = date_shape(url)
    return key, None if shape is None else _number(shape), _number(path_of(url)) if "?" in url else None


def _number(text: str) -> int:
    """64 bits of SHA-256, as SQLite's signed integers have it."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)

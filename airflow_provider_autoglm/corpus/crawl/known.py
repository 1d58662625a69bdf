"""What earlier crawls saw of each page, so that the next one asks for changes only: one immutable corpus a run.

A part counts once the dataset of its run is published: what was crawled and then lost on the way is crawled again.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.manifest import Counters, Input, Shard, digest_of, find_manifest, rows_digest
from airflow_provider_autoglm.corpus.run_parts import RunPart, RunParts, key_of, list_parts
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.corpus.store import Corpus

STAGE = "crawl_known"
KNOWN_SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("content", pa.string()),
        ("checked_at", pa.timestamp("us", tz="UTC")),
        ("links", pa.list_(pa.string())),
    ]
)
"""A row a page: its validators, a digest of title and text, when it was last asked for, and what it links to."""

_PUBLISHED = "_published"


@dataclass(frozen=True, kw_only=True)
class KnownPage:
    """A row of :data:`KNOWN_SCHEMA`."""

    url: str
    etag: str | None
    last_modified: str | None
    content: str
    checked_at: datetime
    links: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """The page as columns."""
        return {**self.__dict__, "links": list(self.links)}

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the page only if it changed (RFC 9110)."""
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}


@dataclass(frozen=True)
class KnownParts:
    """The parts that one crawl goes by, and where it leaves its own.

    ``reading`` says how pages are read: what was read otherwise is not known.
    """

    earlier: tuple[str, ...]
    own_uri: str
    reading: str

    @classmethod
    def open(
        cls, state_uri: str, destination: str, reading: str, *, as_of: datetime | None, storage: Storage
    ) -> KnownParts:
        """Those of the newest earlier run that was published.

        :raises SettingsError: if ``as_of`` has no time zone.
        """
        parts = RunParts.seen_by(state_uri, destination, as_of=as_of, storage=storage)
        for _, run in groupby(reversed(parts.earlier), key=lambda part: part.as_of):
            found = tuple(part.uri for part in run if _counts(part, reading, storage))
            if found:
                return cls(found, parts.own.uri, reading)
        return cls((), parts.own.uri, reading)

    def as_input(self) -> Input:
        """How a manifest refers to what was known."""
        return Input(uri=self.own_uri.rpartition("/")[0], digest=digest_of(sorted(self.earlier)))

    def leave(self, attempt: StageAttempt, shards: Sequence[Shard]) -> None:
        """Commit what the crawl of ``attempt`` saw; before its corpus, so that a retry misses neither."""
        # By what was seen, not by what was asked for: a crawl that is done anew must not leave what the failed one saw.
        work = Input(uri=attempt.uri, digest=rows_digest(shards))
        part = StageAttempt(STAGE, [work], self.own_uri, {"reading": self.reading}, storage=attempt.storage)
        if part.committed is None:
            rows = sum(shard.rows for shard in shards)
            part.adopt("", shards)
            part.adopt_counts(Counters(rows_in=rows, rows_out=rows), {})
            part.commit()


def accept(state_uri: str, corpus_uri: str, storage: Storage) -> None:
    """Let what the crawl of ``corpus_uri`` saw count for later runs, since its documents are published.

    Nothing happens if the crawl left nothing, or counts already; of a joined corpus each part's crawl is meant.
    """
    manifest, _ = find_manifest(as_uri(corpus_uri), storage)
    if manifest is None:
        return
    uris = [part.uri if "://" in part.uri else f"{as_uri(corpus_uri)}/{part.uri}" for part in manifest.parts]
    keys = {key_of(uri) for uri in (as_uri(corpus_uri), *uris)}
    for part in list_parts(state_uri, storage):
        if part.key in keys:
            with suppress(FileExistsError):
                storage.create(f"{part.uri}/{_PUBLISHED}", b"")


def _counts(part: RunPart, reading: str, storage: Storage) -> bool:
    manifest, _ = find_manifest(part.uri, storage)
    reads_alike = manifest is not None and manifest.settings.get("reading") == reading
    return reads_alike and storage.exists(f"{part.uri}/{_PUBLISHED}")


class KnownPages:
    """The pages of some parts by address, on disk: a site of millions of pages takes no memory."""

    def __init__(self, parts: Sequence[Corpus]) -> None:
        # Without a name: SQLite's own temporary file, of which nothing is left however the process ends.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "CREATE TABLE known (url TEXT PRIMARY KEY, etag TEXT, last_modified TEXT, content TEXT, checked_at REAL,"
            " links BLOB) WITHOUT ROWID"
        )
        for part in parts:
            for table in part.iter_tables():
                self._db.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?)", _rows(table))

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM known").fetchone()[0])

    def get(self, url: str) -> KnownPage | None:
        """What is known of a page."""
        found = self._db.execute("SELECT * FROM known WHERE url = ?", (url,)).fetchone()
        if found is None:
            return None
        _, etag, last_modified, content, checked_at, links = found
        return KnownPage(
            url=url,
            etag=etag,
            last_modified=last_modified,
            content=content,
            checked_at=datetime.fromtimestamp(checked_at, UTC),
            links=tuple(zlib.decompress(links).decode().split("\n")) if links else (),
        )

    def urls(self) -> Iterator[str]:
        """Every known address."""
        for (url,) in self._db.execute("SELECT url FROM known"):
            yield url


def _rows(table: pa.Table) -> Iterable[tuple[Any, ...]]:
    for row in table.to_pylist():
        links = "\n".join(row["links"] or ())
        yield (
            row["url"],
            row["etag"],
            row["last_modified"],
            row["content"],
            row["checked_at"].timestamp(),
            zlib.compress(links.encode(), 1) if links else None,
        )

"""The rows of a publication on disk, without their texts: what the plan is made from, in no memory to speak of."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from airflow_provider_autoglm.corpus.publish.people import word_of
from airflow_provider_autoglm.corpus.publish.splits import split_of
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS, LABELLED_BY_PEOPLE, normalise_text
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import StorageError

KEPT_COLUMNS = ("fetched_at", *LABEL_COLUMNS.names)
"""What is remembered of a row that people have labelled."""

COLUMNS = ("doc_id", "url", "text", "published_at", "cluster_id", *KEPT_COLUMNS)
"""What a plan reads of a row."""

_CACHE_KIB = 8_192
_SCHEMA = """
CREATE TABLE rows (
  position INTEGER PRIMARY KEY,  -- old rows first, then new ones, both in the order of their corpora
  is_new INTEGER,
  doc TEXT,
  cluster TEXT,                  -- the document itself where no cluster is given
  own_cluster TEXT,              -- as it is given
  url TEXT,
  text INTEGER,                  -- hash of the normalised text
  label TEXT,                    -- '' for none
  by_people INTEGER,
  at REAL,                       -- word of people: when; null for none
  is_feedback INTEGER,           -- and how it reached us
  time REAL,                     -- of the document
  kept TEXT,                     -- JSON of the columns that are remembered of a label given by people
  split TEXT,                    -- of an old row; of every row once it is planned
  reason TEXT                    -- why the row is left out
)
"""
_INSERT = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def open_scratch() -> sqlite3.Connection:
    """A database of SQLite's own temporary file: it takes no memory but a cache, and is gone with the process."""
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{_CACHE_KIB}"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("BEGIN")
    return database


@contextmanager
def scratch_errors() -> Iterator[None]:
    """Name the folder of temporary files when it cannot be written to.

    :raises StorageError: in place of SQLite's errors.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError("write", "the temporary folder (TMPDIR)", error) from error


def create_rows(database: sqlite3.Connection) -> None:
    """An empty table ``rows``."""
    database.execute(_SCHEMA)


def insert_old(database: sqlite3.Connection, corpus: Corpus, unwanted: Unwanted) -> int:
    """Add the rows of the version before; how many there are."""
    return _insert(database, _old_rows(corpus), 0, unwanted)


def insert_new(database: sqlite3.Connection, corpora: Sequence[Corpus], unwanted: Unwanted, *, first: int) -> list[int]:
    """Add new rows at the positions from ``first`` on; where each corpus ends."""
    ends = []
    for corpus in corpora:
        first += _insert(database, _new_rows(corpus), first, unwanted)
        ends.append(first)
    return ends


class Unwanted:
    """Rows that no version takes, by what they are themselves; ``oldest`` ends the window of documents."""

    def __init__(self, erased: Sequence[str], oldest: datetime | None) -> None:
        self._erased = frozenset(erased)
        self._oldest = oldest

    def reason(self, doc_id: str, fetched: datetime | None) -> str | None:
        """Why a row is left out, or None."""
        if doc_id in self._erased:
            return "erased"
        is_old = self._oldest is not None and fetched is not None and fetched < self._oldest
        return "expired" if is_old else None


_Values = Mapping[str, Any]


def _old_rows(corpus: Corpus) -> Iterator[tuple[str | None, _Values]]:
    for stored in corpus.shards:
        split = split_of(stored.shard.name)
        for table in corpus.shard_tables(stored, COLUMNS):
            yield from ((split, values) for values in table.to_pylist())


def _new_rows(corpus: Corpus) -> Iterator[tuple[str | None, _Values]]:
    for table in corpus.iter_tables(COLUMNS):
        yield from ((None, values) for values in table.to_pylist())


def _insert(
    database: sqlite3.Connection, rows: Iterator[tuple[str | None, _Values]], first: int, unwanted: Unwanted
) -> int:
    numbered = enumerate(rows, first)
    database.executemany(_INSERT, (_stored(number, split, values, unwanted) for number, (split, values) in numbered))
    return int(database.execute("SELECT count(*) FROM rows WHERE position >= ?", (first,)).fetchone()[0])


def _stored(position: int, split: str | None, values: _Values, unwanted: Unwanted) -> tuple[Any, ...]:
    doc_id, text = values["doc_id"], values["text"]
    if not doc_id or not text:
        reason = "missing_text" if doc_id else "missing_doc_id"
        return (position, split is None, *(None,) * 12, reason)
    word = word_of(values)
    own_cluster = values.get("cluster_id")
    fetched = values.get("fetched_at")
    return (
        position,
        split is None,
        doc_id,
        own_cluster or doc_id,
        own_cluster,
        values.get("url"),
        _hashed(normalise_text(text)),
        values.get("label") or "",
        values.get("label_source") in LABELLED_BY_PEOPLE,
        None if word is None else word.at,
        None if word is None else word.is_feedback,
        _time(values.get("published_at"), fetched),
        None if word is None or split is None else _kept(values),
        split,
        unwanted.reason(doc_id, fetched),
    )


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _time(published: Any, fetched: Any) -> float | None:
    """Seconds since 1970; times without a zone are UTC."""
    found = next((time for time in (published, fetched) if isinstance(time, datetime)), None)
    if found is None:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _kept(values: _Values) -> str:
    fetched = values.get("fetched_at")
    labels = [values.get(name) for name in LABEL_COLUMNS.names]
    return json.dumps([None if fetched is None else fetched.isoformat(), *labels])


def kept_of(text: str) -> dict[str, Any]:
    """The remembered columns of a row that people have labelled."""
    fetched, *labels = json.loads(text)
    values = [None if fetched is None else datetime.fromisoformat(fetched), *labels]
    return dict(zip(KEPT_COLUMNS, values, strict=True))

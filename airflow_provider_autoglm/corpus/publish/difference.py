"""What changed from one version to the next: documents added and removed, labels and splits that are others."""

from __future__ import annotations

import io
import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from airflow_provider_autoglm.corpus.manifest import read_manifest
from airflow_provider_autoglm.corpus.publish.rows import open_scratch, scratch_errors
from airflow_provider_autoglm.corpus.publish.splits import split_of
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import (
    CorpusNotCommittedError,
    DamagedManifestError,
    ShardDamagedError,
    ShardMissingError,
    StorageNotSupportedError,
)

log = logging.getLogger(__name__)

SUMMARY, CHANGES = "diff.json", "diff.parquet"

_GONE = (
    CorpusNotCommittedError,
    DamagedManifestError,
    ShardDamagedError,
    ShardMissingError,
    StorageNotSupportedError,
)
_EXAMPLES = 20
_WITH_EXAMPLES = ("added", "removed", "relabelled")
_ROWS_AT_ONCE = 10_000
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("change", "doc_id", "label_before", "label_after", "split_before", "split_after")]
)
_FIND_CHANGES = """
CREATE TABLE changes AS
SELECT CASE WHEN split_before IS NULL THEN 'added' WHEN split_after IS NULL THEN 'removed'
            WHEN label_before <> label_after THEN 'relabelled' ELSE 'moved' END AS change, *
FROM (SELECT doc AS doc_id,
             max(CASE WHEN NOT is_after THEN label END) AS label_before,
             max(CASE WHEN is_after THEN label END) AS label_after,
             max(CASE WHEN NOT is_after THEN split END) AS split_before,
             max(CASE WHEN is_after THEN split END) AS split_after
      FROM rows GROUP BY doc)
WHERE split_before IS NULL OR split_after IS NULL OR label_before <> label_after OR split_before <> split_after
ORDER BY doc_id
"""
_LABEL_CHANGES = """
SELECT label_before, label_after, count(*) FROM changes WHERE label_before <> label_after
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
_SPLIT_CHANGES = """
SELECT split_before, split_after, count(*) FROM changes WHERE split_before <> split_after
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


@dataclass(frozen=True)
class Example:
    """A document that changed, by its id; nulls where there is no such row."""

    doc_id: str
    label_before: str | None
    label_after: str | None


@dataclass(frozen=True)
class Transition:
    """How many documents had one value and have the other now."""

    before: str
    after: str
    rows: int


@dataclass(frozen=True)
class Difference:
    """Counts of documents by ``doc_id``; a text that was edited is another document.

    ``moved`` counts those in another split, relabelled or not. Examples are those with the smallest ids.
    """

    before: int
    after: int
    added: int
    removed: int
    relabelled: int
    moved: int
    unchanged: int
    labels: tuple[Transition, ...]
    splits: tuple[Transition, ...]
    examples: dict[str, tuple[Example, ...]]

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


_DIFFERENCE = TypeAdapter(Difference)


def write_difference(uri: str, storage: Storage) -> None:
    """Write ``diff.json`` and ``diff.parquet`` of a committed version, unless they are there; of the first, nothing.

    They are a function of the two versions. If the version before is gone, or not the one that was built upon, it is
    logged and nothing is written.
    """
    manifest = read_manifest(uri, storage)
    if not (manifest.dataset or {}).get("previous") or storage.exists(f"{uri}/{SUMMARY}"):
        return
    built_upon = manifest.inputs[-1]
    after = Corpus.open(uri, storage=storage, verify=False)
    try:
        before = Corpus.open(built_upon.uri, storage=storage, verify=False)
        if before.digest != built_upon.digest:
            raise CorpusNotCommittedError(built_upon.uri)
        with scratch_errors(), closing(_loaded(before, after)) as database:
            changes, summary = _parquet(database), _summary(database, before, after)
    except _GONE as error:
        log.warning("publish: what changed since %s is not known: it is not there any more (%s)", built_upon.uri, error)
        return
    storage.replace(f"{uri}/{CHANGES}", changes)
    storage.replace(f"{uri}/{SUMMARY}", json.dumps(summary.to_dict(), indent=1, ensure_ascii=False).encode())


def compare(before: Corpus, after: Corpus) -> Difference:
    """How two versions differ, any two of one dataset."""
    with scratch_errors(), closing(_loaded(before, after)) as database:
        return _summary(database, before, after)


def read_difference(uri: str, storage: Storage) -> Difference | None:
    """What ``diff.json`` of a version says; None if it has none."""
    try:
        return _DIFFERENCE.validate_json(storage.read(f"{uri}/{SUMMARY}"))
    except FileNotFoundError:
        return None


def _loaded(before: Corpus, after: Corpus) -> sqlite3.Connection:
    database = open_scratch()
    database.execute("CREATE TABLE rows (doc TEXT, is_after INTEGER, label TEXT, split TEXT)")
    for is_after, version in enumerate((before, after)):
        database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", _rows(version, is_after))
    database.execute(_FIND_CHANGES)
    return database


def _rows(version: Corpus, is_after: int) -> Iterator[tuple[str, int, str, str]]:
    for stored in version.shards:
        split = split_of(stored.shard.name)
        for table in version.shard_tables(stored, ["doc_id", "label"]):
            labels = table["label"].fill_null("").to_pylist()
            for doc_id, label in zip(table["doc_id"].to_pylist(), labels, strict=True):
                yield doc_id, is_after, label, split


def _summary(database: sqlite3.Connection, before: Corpus, after: Corpus) -> Difference:
    counts = dict(database.execute("SELECT change, count(*) FROM changes GROUP BY change"))
    relabelled, removed = counts.get("relabelled", 0), counts.get("removed", 0)
    splits = _transitions(database, _SPLIT_CHANGES)
    return Difference(
        before=_number(before),
        after=_number(after),
        added=counts.get("added", 0),
        removed=removed,
        relabelled=relabelled,
        moved=sum(found.rows for found in splits),
        unchanged=before.rows - removed - relabelled - counts.get("moved", 0),
        labels=_transitions(database, _LABEL_CHANGES),
        splits=splits,
        examples={change: _examples(database, change) for change in _WITH_EXAMPLES},
    )


def _number(version: Corpus) -> int:
    return int((version.manifest.dataset or {})["version"])


def _transitions(database: sqlite3.Connection, query: str) -> tuple[Transition, ...]:
    return tuple(Transition(*row) for row in database.execute(query))


def _examples(database: sqlite3.Connection, change: str) -> tuple[Example, ...]:
    found = database.execute(
        "SELECT doc_id, label_before, label_after FROM changes WHERE change = ? ORDER BY doc_id LIMIT ?",
        (change, _EXAMPLES),
    )
    return tuple(Example(*row) for row in found)


def _parquet(database: sqlite3.Connection) -> bytes:
    """The changes as a file, by ``doc_id``; about 20 bytes each."""
    file = io.BytesIO()
    changes = database.execute("SELECT * FROM changes ORDER BY doc_id")
    with pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer:
        while rows := changes.fetchmany(_ROWS_AT_ONCE):
            columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
            writer.write_table(pa.table(columns, schema=_SCHEMA))
    return file.getvalue()

"""Corpora: opened and checked, read shard by shard, and written from documents of your own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.documents import admit_documents
from airflow_provider_autoglm.corpus.manifest import (
    Input,
    Manifest,
    Shard,
    digest_of,
    find_manifest,
    read_manifest,
    rows_digest,
)
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.schema import DOCUMENT_SCHEMA
from airflow_provider_autoglm.corpus.shards import MAX_SHARD_BYTES, MISSING, damage_of
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import (
    CorpusExistsError,
    InvalidFragmentError,
    PartChangedError,
    SettingsError,
    ShardDamagedError,
    ShardMissingError,
    StorageError,
)

Kind = Literal["shards", "rejected", "removed"]
_FRAGMENT = re.compile(r"shards=(\d+)-(\d+)")


@dataclass(frozen=True)
class StoredShard:
    """A shard and the corpus (or part) it lies in."""

    corpus_uri: str
    shard: Shard

    @property
    def uri(self) -> str:
        """Where the file lies."""
        return f"{self.corpus_uri}/{self.shard.name}"


@dataclass(frozen=True)
class Corpus:
    """A committed corpus, or the run of its shards that a ``#shards=first-last`` fragment names."""

    uri: str
    manifest: Manifest
    shards: tuple[StoredShard, ...]
    storage: Storage = field(repr=False)

    @classmethod
    def open(cls, uri: str, *, storage: Storage | None = None, verify: bool = True) -> Corpus:
        """Open ``uri`` and, with ``verify``, compare every shard with the manifest (presence, size, SHA-256).

        :raises CorpusNotCommittedError: if there is no manifest.
        :raises DamagedManifestError: if the manifest cannot be read.
        :raises PartChangedError: if a part is not the one that was joined.
        :raises ShardMissingError: if a shard is gone.
        :raises ShardDamagedError: if a shard is shorter or otherwise not what was written.
        :raises InvalidFragmentError: if the fragment names shards that do not exist.
        """
        storage = storage or Storage.local()
        location, _, fragment = as_uri(uri).partition("#")
        manifest = read_manifest(location, storage)
        shards = tuple(_stored_shards(location, manifest, "shards", storage))
        if fragment:
            shards = _selected(location, fragment, shards)
        corpus = cls(as_uri(uri), manifest, shards, storage)
        if verify:
            corpus.verify()
        return corpus

    @property
    def rows(self) -> int:
        """Rows of the selected shards."""
        return sum(stored.shard.rows for stored in self.shards)

    @property
    def digest(self) -> str:
        """Digest of the selected rows: 32 hex digits."""
        return rows_digest(stored.shard for stored in self.shards) if "#" in self.uri else self.manifest.digest

    def iter_tables(self, columns: Sequence[str] | None = None, *, kind: Kind = "shards") -> Iterator[pa.Table]:
        """Row groups in order, never more than one in memory; ``kind`` chooses rejected or removed rows instead."""
        for stored in self.stored(kind):
            yield from self.shard_tables(stored, columns)

    def shard_tables(self, stored: StoredShard, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The row groups of one shard; ``columns`` that it lacks are left out."""
        with self._parquet(stored) as parquet:
            wanted = None if columns is None else [name for name in columns if name in parquet.schema_arrow.names]
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group, columns=wanted)
                # Arrow's pool keeps what was freed; a long stage must not grow with its corpus.
                pa.default_memory_pool().release_unused()

    def shard_columns(self, stored: StoredShard, columns: Sequence[str]) -> pa.Table:
        """Some small columns of a whole shard at once, in less time than by row groups; missing ones are left out."""
        with self._parquet(stored) as parquet:
            return parquet.read(columns=[name for name in columns if name in parquet.schema_arrow.names])

    def shard_rows(self, stored: StoredShard, rows: NDArray[np.int64]) -> pa.Table:
        """The rows of a shard with the ascending numbers ``rows``, one at least; only their row groups are read."""
        with self._parquet(stored) as parquet:
            sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
            ends = np.cumsum(sizes)
            group_of = np.searchsorted(ends, rows, side="right")
            return pa.concat_tables(
                parquet.read_row_group(group).take(rows[group_of == group] - (ends[group] - sizes[group]))
                for group in np.unique(group_of).tolist()
            )

    @contextmanager
    def _parquet(self, stored: StoredShard) -> Iterator[pq.ParquetFile]:
        try:
            with self.storage.open(stored.uri) as file:
                yield pq.ParquetFile(file)
        except FileNotFoundError:
            raise ShardMissingError(stored.corpus_uri, stored.shard.name) from None
        except pa.ArrowInvalid as error:
            raise ShardDamagedError(stored.corpus_uri, stored.shard.name, str(error)) from error
        except OSError as error:
            raise StorageError("read", stored.uri, error) from error

    def schemas(self) -> tuple[pa.Schema, ...]:
        """The different schemas of the selected shards, read from their footers."""
        found: dict[str, pa.Schema] = {}
        for stored in self.shards:
            with self.storage.open(stored.uri) as file:
                schema = pq.read_schema(file).remove_metadata()
            found.setdefault(schema.to_string(), schema)
        return tuple(found.values())

    def to_table(self, columns: Sequence[str] | None = None, *, kind: Kind = "shards") -> pa.Table:
        """All rows in memory; columns that some shards lack are null there."""
        tables = list(self.iter_tables(columns, kind=kind))
        if not tables:
            empty = DOCUMENT_SCHEMA.empty_table()
            return empty if columns is None else empty.select([c for c in columns if c in empty.column_names])
        return pa.concat_tables(tables, promote_options="permissive")

    def stored(self, kind: Kind) -> tuple[StoredShard, ...]:
        """The shards of the rows, or all those of the rejected or removed ones."""
        if kind == "shards":
            return self.shards
        return tuple(_stored_shards(self.uri.partition("#")[0], self.manifest, kind, self.storage))

    def as_input(self) -> Input:
        """How a manifest refers to this corpus."""
        whole = self.manifest.digest if "#" in self.uri else None
        return Input(uri=self.uri, digest=self.digest, corpus_digest=whole)

    def verify(self) -> None:
        """Compare the selected shards with the manifest; see :meth:`open` for what is raised."""
        for stored in self.shards:
            damage = damage_of(stored.shard, stored.uri, self.storage)
            if damage == MISSING:
                raise ShardMissingError(stored.corpus_uri, stored.shard.name)
            if damage is not None:
                raise ShardDamagedError(stored.corpus_uri, stored.shard.name, damage)


def open_sources(
    source: str | Sequence[str], *, storage: Storage | None = None, verify: bool = True
) -> tuple[Corpus, ...]:
    """The corpora of one URI or a list of them, checked as :meth:`Corpus.open` does.

    :raises SettingsError: if the list is empty.
    """
    uris = [source] if isinstance(source, str) else list(source)
    if not uris:
        raise SettingsError(["source: name at least one corpus"])
    return tuple(Corpus.open(uri, storage=storage, verify=verify) for uri in uris)


def write_corpus(
    destination: str,
    tables: Iterable[pa.Table],
    *,
    stage: str,
    source: str = "documents",
    max_shard_bytes: int = MAX_SHARD_BYTES,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Bring your own documents: Arrow tables with at least the column ``text`` become a committed corpus.

    Missing document columns are filled in (``doc_id`` from ``url``, or ``source``, and the text); other columns are
    kept. Rows without text or with invalid UTF-8 go to ``rejected/``. Writing the same documents again is reused.

    :raises MissingColumnsError: if a table has no column ``text``.
    :raises CorpusExistsError: if other documents are committed at ``destination``.
    """
    attempt = StageAttempt(
        stage, [], destination, {"source": source}, storage=storage, progress=progress, provenance=provenance
    )
    attempt.limit_shards(max_shard_bytes)
    for table in tables:
        admitted = admit_documents(table, uri=destination, source=source)
        attempt.count_in(table.num_rows)
        attempt.write(admitted.kept)
        attempt.reject(admitted.rejected)
        attempt.report()
    attempt.finish_shards()
    is_forced = provenance is not None and provenance.force
    existing = None if is_forced else find_manifest(attempt.uri, attempt.storage)[0]
    result = attempt.commit() if existing is None else attempt.reused_result(existing)
    if result.digest != attempt.digest:
        raise CorpusExistsError(destination)
    return result


def _stored_shards(uri: str, manifest: Manifest, kind: Kind, storage: Storage) -> Iterator[StoredShard]:
    own: tuple[Shard, ...] = getattr(manifest, kind)
    yield from (StoredShard(uri, shard) for shard in own)
    for part in manifest.parts:
        part_uri = part.uri if "://" in part.uri else f"{uri}/{part.uri}"
        part_manifest = read_manifest(part_uri, storage)
        if part_manifest.digest != part.digest:
            raise PartChangedError(part_uri, part.digest, part_manifest.digest)
        yield from _stored_shards(part_uri, part_manifest, kind, storage)


def _selected(uri: str, fragment: str, shards: tuple[StoredShard, ...]) -> tuple[StoredShard, ...]:
    match = _FRAGMENT.fullmatch(fragment)
    if match is None:
        raise InvalidFragmentError(uri, fragment)
    first, last = int(match[1]), int(match[2])
    if not first <= last < len(shards):
        raise InvalidFragmentError(uri, fragment)
    return shards[first : last + 1]


def work_digest(inputs: Iterable[Input], settings_digest: str) -> str:
    """Names one piece of work: these inputs with these settings."""
    return digest_of([item.digest for item in inputs], settings_digest)

"""Writing shards: Parquet files under names that no other attempt uses."""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import suppress
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_autoglm.corpus.manifest import Shard
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import StorageError

MAX_SHARD_BYTES = 64 * 1024 * 1024
MISSING = "missing"
_HASH_BLOCK_BYTES = 1024 * 1024
ROWS_OF_A_GROUP = 1_000
"""Rows of a Parquet row group, the unit a stage reads and holds."""
_REPEATED = ("source", "lang", "charset", "host", "label", "labeler", "label_source", "split", "reason", "stage")
"""Columns with few different values, which a dictionary makes small; one of texts or ids makes reading slower."""


def damage_of(shard: Shard, uri: str, storage: Storage) -> str | None:
    """What is wrong with the file at ``uri``, compared with what was written: presence, size, SHA-256."""
    size = storage.size(uri)
    if size is None:
        return MISSING
    if size != shard.bytes:
        return f"{size} bytes instead of {shard.bytes}"
    digest = hashlib.sha256()
    with storage.open(uri) as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return None if digest.hexdigest() == shard.sha256 else "its content was altered"


class ShardWriter:
    """Writes tables one after the other to shards of ``corpus_uri``; a shard ends at its size or at :meth:`end_shard`.

    ``prefix`` is put before each name (``rejected/``, ``data/train-``); names contain ``attempt``.
    """

    def __init__(
        self,
        storage: Storage,
        corpus_uri: str,
        attempt: str,
        *,
        prefix: str = "",
        max_shard_bytes: int = MAX_SHARD_BYTES,
    ) -> None:
        self.shards: list[Shard] = []
        self._storage = storage
        self._corpus_uri = corpus_uri
        self._attempt = attempt
        self._prefix = prefix
        self._max_shard_bytes = max_shard_bytes
        self._begun = 0
        self._open: _OpenShard | None = None

    def write(self, table: pa.Table) -> None:
        """Append rows; a table with other columns than the open shard's starts a new one."""
        if table.num_rows == 0:
            return
        if self._open is not None and not self._open.schema.equals(table.schema):
            self.end_shard()
        if self._open is None:
            name = f"{self._prefix}{self._attempt}-{self._begun:05d}.parquet"
            self._begun += 1
            self._open = _OpenShard(self._storage, f"{self._corpus_uri}/{name}", name, table.schema)
        self._open.write(table)
        if self._open.uncompressed_bytes >= self._max_shard_bytes:
            self.end_shard()

    def end_shard(self) -> None:
        """Finish the open shard, if any: it is on storage, whole, when this returns."""
        if self._open is not None:
            self.shards.append(self._open.finish())
            self._open = None


class _OpenShard:
    def __init__(self, storage: Storage, uri: str, name: str, schema: pa.Schema) -> None:
        self.schema = schema
        self.uncompressed_bytes = 0
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._name = name
        self._uri = uri
        self._rows = 0
        self._file = _HashingFile(storage.open_new(uri))
        repeated = [name for name in _REPEATED if name in schema.names]
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd", use_dictionary=repeated or False)

    def write(self, table: pa.Table) -> None:
        self._pending.append(table)
        self._pending_rows += table.num_rows
        self._rows += table.num_rows
        self.uncompressed_bytes += table.nbytes
        if self._pending_rows >= ROWS_OF_A_GROUP:
            self._write_pending()

    def _write_pending(self) -> None:
        table = pa.concat_tables(self._pending).combine_chunks()
        self._pending, self._pending_rows = [], 0
        try:
            self._writer.write_table(table, row_group_size=ROWS_OF_A_GROUP)
        except OSError as error:
            raise StorageError("write", self._uri, error) from error

    def finish(self) -> Shard:
        if self._pending:
            self._write_pending()
        try:
            self._writer.close()
            self._file.finish()
        except OSError as error:
            raise StorageError("write", self._uri, error) from error
        return Shard(name=self._name, rows=self._rows, bytes=self._file.bytes, sha256=self._file.sha256.hexdigest())


class _HashingFile:
    """A sink for pyarrow that knows size and SHA-256 of what went through it."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self.closed = False
        self._sink = sink

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self.bytes += len(data)
        self._sink.write(data)
        return len(data)

    def close(self) -> None:
        """Left open for :meth:`finish`, which syncs before it closes."""

    def finish(self) -> None:
        self._sink.flush()
        with suppress(io.UnsupportedOperation):
            os.fsync(self._sink.fileno())
        self._sink.close()
        self.closed = True

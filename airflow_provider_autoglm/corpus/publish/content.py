"""A digest of what a version says, whatever files it lies in and whichever run has published it."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from airflow_provider_autoglm.corpus.publish.splits import split_of
from airflow_provider_autoglm.corpus.store import Corpus

_MODULUS = 2**256
_COLUMNS = ("doc_id", "text", "label", "label_source")


class ContentDigest:
    """Documents with their text, label and split, in any order and any files: the same ones give the same digest.

    The SHA-256 of each row are summed up modulo 2²⁵⁶ (a multiset hash, Bellare and Micciancio 1997), so that nothing
    needs to be sorted or held. Scores, times and addresses do not count: they differ from run to run.
    """

    def __init__(self) -> None:
        self._sum = 0

    def add(self, split: str, rows: pa.Table) -> None:
        """Take in the rows of a split."""
        columns = (rows[name].to_pylist() if name in rows.column_names else [None] * rows.num_rows for name in _COLUMNS)
        for values in zip(*columns, strict=True):
            # Lengths keep two rows apart whose values read the same when put together.
            fields = b"".join(b"%d:%s" % (len(field), field) for field in (_bytes(value) for value in (split, *values)))
            self._sum += int.from_bytes(hashlib.sha256(fields).digest(), "big")
        self._sum %= _MODULUS

    def hexdigest(self) -> str:
        """64 hex digits."""
        return f"{self._sum:064x}"


def content_digest(version: Corpus) -> str:
    """The digest of a committed version, computed from its files: 64 hex digits."""
    digest = ContentDigest()
    for stored in version.shards:
        for table in version.shard_tables(stored, _COLUMNS):
            digest.add(split_of(stored.shard.name), table)
    return digest.hexdigest()


def _bytes(value: str | None) -> bytes:
    return b"" if value is None else value.encode("utf-8", "surrogatepass")

"""Reading the labelled rows of a dataset version, split by split."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import SettingsError

TRAIN, VALIDATION, TEST = "train", "validation", "test"

_Row = tuple[str, str, str]


@dataclass(frozen=True)
class Examples:
    """Labelled texts in the order of a hash of their ``doc_id``; ``classes`` are positions in the dataset's labels."""

    doc_ids: tuple[str, ...]
    texts: tuple[str, ...]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)

    def first(self, count: int) -> Self:
        """The first ``count`` of them, which is a draw by hash."""
        return type(self)(self.doc_ids[:count], self.texts[:count], self.classes[:count])


@dataclass(frozen=True)
class Dataset:
    """A published dataset version. ``labels`` are the names of its classes, in their order."""

    uri: str
    version: str
    digest: str
    labels: tuple[str, ...]
    corpus: Corpus = field(repr=False)

    @classmethod
    def open(cls, uri: str, *, storage: Storage | None = None) -> Self:
        """Open a version and compare its files with the manifest; see :meth:`Corpus.open` for what is raised.

        :raises SettingsError: if ``uri`` is a corpus, but no dataset version.
        """
        corpus = Corpus.open(uri, storage=storage)
        record = corpus.manifest.dataset
        if record is None:
            raise SettingsError([f"dataset: {uri} is no dataset version; publish it first and name <root>/datasets/v1"])
        return cls(corpus.uri, str(record["version"]), corpus.digest, tuple(record["labels"]), corpus)

    def tables(self, split: str) -> Iterator[pa.Table]:
        """``doc_id``, ``text`` and ``label`` of the rows that have a text and one of :attr:`labels`, table by table."""
        names = pa.array(self.labels, pa.string())
        for stored in self.corpus.shards:
            if not stored.shard.name.startswith(f"data/{split}-"):
                continue
            for table in self.corpus.shard_tables(stored, ["doc_id", "text", "label"]):
                is_labelled = pc.is_in(table["label"].cast(pa.string()), value_set=names)
                yield table.filter(pc.and_(is_labelled, pc.is_valid(table["text"])))

    def read(self, split: str, limit: int | None = None) -> Examples:
        """The labelled rows of a split, ``limit`` at most; of those no more than ``limit`` are held in memory."""
        rows = self._rows(split)
        drawn = sorted(rows, key=_hash) if limit is None else heapq.nsmallest(limit, rows, key=_hash)
        return Examples(
            tuple(doc_id for doc_id, _, _ in drawn),
            tuple(text for _, text, _ in drawn),
            self.classes(label for _, _, label in drawn),
        )

    def class_rows(self, split: str) -> NDArray[np.int64]:
        """How many labelled rows of the split each class has."""
        counts = np.zeros(len(self.labels), np.int64)
        for table in self.tables(split):
            counts += np.bincount(self.classes(table["label"].to_pylist()), minlength=len(self.labels))
        return counts

    def classes(self, names: Iterable[str]) -> NDArray[np.int64]:
        """The position of each name in :attr:`labels`; -1 for a name that is not there."""
        position = {name: number for number, name in enumerate(self.labels)}
        return np.array([position.get(name, -1) for name in names], np.int64)

    def _rows(self, split: str) -> Iterator[_Row]:
        for table in self.tables(split):
            columns = (table[name].to_pylist() for name in ("doc_id", "text", "label"))
            yield from zip(*columns, strict=True)


def _hash(row: _Row) -> bytes:
    return hashlib.sha256(row[0].encode()).digest()

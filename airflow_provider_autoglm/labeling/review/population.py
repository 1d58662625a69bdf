"""The rows a spot check can ask about: what is held of them, and how those that are drawn are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.documents import replace_invalid_utf8
from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE, require_columns
from airflow_provider_autoglm.corpus.store import Corpus

ABSTAINED = -1
_NEEDED = ("doc_id", "text", "label", "label_source")
_BYTES_OF_HASH = 8


@dataclass(frozen=True)
class Population:
    """The documents of some corpora that no person has labelled, each once, by one entry in each array.

    ``stratum`` numbers the label of a document in ``labels``, or is ``ABSTAINED``; ``order`` is a keyed hash of its
    ``doc_id``, ``margin`` its lead over the second label (infinite if nobody knows), ``row`` its number in the corpora.
    """

    labels: tuple[str, ...]
    stratum: NDArray[np.int32]
    order: NDArray[np.uint64]
    margin: NDArray[np.float32]
    row: NDArray[np.int64]

    @property
    def labelled(self) -> NDArray[np.intp]:
        """Numbers of the documents with a label: those whose share of right labels is estimated."""
        return np.flatnonzero(self.stratum != ABSTAINED)

    @property
    def abstained(self) -> NDArray[np.intp]:
        """Numbers of the documents without a label."""
        return np.flatnonzero(self.stratum == ABSTAINED)


def read_population(corpora: Sequence[Corpus]) -> Population:
    """Read the small columns of ``corpora``; of rows with one ``doc_id`` the first counts, one without is left out.

    The hashes are keyed by the content of the corpora, in whatever order they and their shards come.

    :raises MissingColumnsError: if a corpus lacks ``doc_id``, ``text``, ``label`` or ``label_source``.
    """
    shards = sorted(stored.shard.sha256 for corpus in corpora for stored in corpus.shards)
    key = digest_of(shards).encode()
    numbers: dict[str, int] = {}
    parts = [_empty()]
    first = 0
    for corpus in corpora:
        for schema in corpus.schemas():
            require_columns(corpus.uri, schema.empty_table(), _NEEDED)
        for table in corpus.iter_tables(["doc_id", "label", "label_margin", "label_source"]):
            parts.append(_candidates(table, first, key, numbers))
            first += table.num_rows
    order, stratum, margin, row = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    _, once = np.unique(order, return_index=True)
    once.sort()
    return _sorted_by_label(Population(tuple(numbers), stratum[once], order[once], margin[once], row[once]))


def read_rows(
    corpora: Sequence[Corpus], rows: NDArray[np.int64], columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with these numbers, ascending, and of each those of ``columns`` that there are.

    Bytes that are no UTF-8 come as U+FFFD. Only one row group is in memory.
    """
    first = 0
    for corpus, stored in [(each, stored) for each in corpora for stored in each.shards]:
        end = first + stored.shard.rows
        tables = corpus.shard_tables(stored, columns) if len(_within(rows, first, end)) else ()
        start = first
        for table in tables:
            wanted = _within(rows, start, start + table.num_rows)
            found, _ = replace_invalid_utf8(table.take(wanted - start))
            yield from zip(wanted.tolist(), found.to_pylist(), strict=True)
            start += table.num_rows
        first = end


def shuffled(order: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Another random order made of one: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = (order ^ (order >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _within(rows: NDArray[np.int64], first: int, end: int) -> NDArray[np.int64]:
    return rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)]


_Arrays = tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]


def _empty() -> _Arrays:
    return np.zeros(0, np.uint64), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.int64)


def _candidates(table: pa.Table, first: int, key: bytes, numbers: dict[str, int]) -> _Arrays:
    ids, labels, sources = (table[name].to_pylist() for name in ("doc_id", "label", "label_source"))
    rows = [row for row, doc_id in enumerate(ids) if doc_id and sources[row] not in LABELLED_BY_PEOPLE]
    hashes = b"".join(hashlib.blake2b(ids[row].encode(), key=key, digest_size=_BYTES_OF_HASH).digest() for row in rows)
    strata = [ABSTAINED if labels[row] is None else numbers.setdefault(labels[row], len(numbers)) for row in rows]
    return (
        np.frombuffer(hashes, ">u8").astype(np.uint64),
        np.array(strata, np.int32),
        _margins(table)[rows],
        np.array(rows, np.int64) + first,
    )


def _margins(table: pa.Table) -> NDArray[np.float32]:
    if "label_margin" not in table.column_names:
        return np.full(table.num_rows, np.inf, np.float32)
    margins = table["label_margin"].cast(pa.float32()).to_numpy()
    return np.where(np.isfinite(margins), margins, np.inf).astype(np.float32)


def _sorted_by_label(found: Population) -> Population:
    """The same with the labels in the order of their names: what is drawn must not depend on which came first."""
    by_name = sorted(range(len(found.labels)), key=found.labels.__getitem__)
    number = np.full(len(by_name) + 1, ABSTAINED, np.int32)
    number[by_name] = np.arange(len(by_name))
    labels = tuple(found.labels[place] for place in by_name)
    return Population(labels, number[found.stratum], found.order, found.margin, found.row)

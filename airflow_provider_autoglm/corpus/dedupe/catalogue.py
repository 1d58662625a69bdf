"""What de-duplication holds of every document: numbers, not texts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash64
from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE, normalise_text, require_columns
from airflow_provider_autoglm.corpus.store import Corpus

log = logging.getLogger(__name__)

_COLUMNS = ("doc_id", "text")


@dataclass(frozen=True)
class Catalogue:
    """The documents of all sources in order; rows without ``doc_id`` or ``text`` are none and have no number.

    ``text_hash`` is 128 bits of the normalised text in two columns, ``length`` its characters.
    """

    doc_id: pa.Array
    is_labelled_by_people: NDArray[np.bool_]
    length: NDArray[np.int64]
    text_hash: NDArray[np.uint64]
    fingerprint: NDArray[np.uint64]

    @property
    def size(self) -> int:
        """Number of documents."""
        return len(self.doc_id)

    def rank_of_doc_id(self) -> NDArray[np.int64]:
        """The place of each document in the order of ``doc_id``."""
        return _places(pc.array_sort_indices(self.doc_id).to_numpy().astype(np.int64))

    def keep_order(self) -> NDArray[np.int64]:
        """Documents, the one to keep first: labelled by people, longer normalised text, smaller ``doc_id``."""
        return np.lexsort((self.rank_of_doc_id(), -self.length, ~self.is_labelled_by_people))


def is_document(table: pa.Table) -> pa.ChunkedArray:
    """Which rows have both a ``doc_id`` and a ``text``."""
    return pc.and_(pc.is_valid(table["doc_id"]), pc.is_valid(table["text"]))


def catalogue_of(sources: Sequence[Corpus]) -> Catalogue:
    """Read ``sources`` once and fingerprint every document.

    :raises MissingColumnsError: if a corpus lacks ``doc_id`` or ``text``.
    """
    pages: list[Catalogue] = []
    for corpus in sources:
        for stored in corpus.shards:
            for table in corpus.shard_tables(stored, [*_COLUMNS, "label_source"]):
                require_columns(corpus.uri, table, _COLUMNS)
                pages.append(_page(table.filter(is_document(table))))
            log.info("dedupe: %d rows of shard %s fingerprinted", stored.shard.rows, stored.shard.name)
    if not pages:
        pages = [_page(pa.table({name: pa.array([], pa.string()) for name in _COLUMNS}))]
    return Catalogue(
        doc_id=pa.concat_arrays([page.doc_id for page in pages]),
        is_labelled_by_people=np.concatenate([page.is_labelled_by_people for page in pages]),
        length=np.concatenate([page.length for page in pages]),
        text_hash=np.concatenate([page.text_hash for page in pages]),
        fingerprint=np.concatenate([page.fingerprint for page in pages]),
    )


def _page(documents: pa.Table) -> Catalogue:
    texts = documents["text"].to_pylist()
    normalised = [normalise_text(text) for text in texts]
    hashes = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in normalised)
    if "label_source" in documents.column_names:
        labelled = pc.is_in(documents["label_source"], pa.array(LABELLED_BY_PEOPLE, pa.string())).to_numpy()
    else:
        labelled = np.zeros(len(texts), np.bool_)
    return Catalogue(
        doc_id=documents["doc_id"].combine_chunks().cast(pa.large_string()),
        is_labelled_by_people=labelled.astype(np.bool_),
        length=np.array([len(text) for text in normalised], np.int64),
        text_hash=np.frombuffer(hashes, np.uint64).reshape(-1, 2),
        fingerprint=simhash64(texts),
    )


def _places(order: NDArray[np.int64]) -> NDArray[np.int64]:
    places = np.empty_like(order)
    places[order] = np.arange(order.size)
    return places

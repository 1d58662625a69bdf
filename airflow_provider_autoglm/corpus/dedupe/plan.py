"""The whole decision of de-duplication, before a row is written: what goes, for whom, and who belongs together."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.candidates import (
    band_column,
    fingerprints_of,
    has_candidate,
    is_candidate,
)
from airflow_provider_autoglm.corpus.dedupe.clusters import Clusters, find_clusters
from airflow_provider_autoglm.corpus.dedupe.neighbours import hamming_distances
from airflow_provider_autoglm.corpus.dedupe.prints import BAND_COLUMNS, Prints, is_document, prints_schema
from airflow_provider_autoglm.corpus.dedupe.shingles import ShinglesOnDisk
from airflow_provider_autoglm.corpus.dedupe.store import NOTHING_STORED, DocumentStore, sketches_of
from airflow_provider_autoglm.corpus.dedupe.verify import KEPT, Problem
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

log = logging.getLogger(__name__)

_STORED = -1
_SAMPLE = 5


@dataclass(frozen=True)
class Compared:
    """What becomes of the documents that have a candidate, in ascending order of their numbers ``document``.

    ``kept_id`` is the ``doc_id`` that is kept instead of theirs, or null; ``hamming``, ``jaccard`` and ``is_exact`` say
    how the two compare. ``cluster_id`` names the cluster.
    """

    document: NDArray[np.int64]
    doc_id: pa.Array
    kept_id: pa.Array
    hamming: NDArray[np.uint8]
    jaccard: NDArray[np.float32]
    is_exact: NDArray[np.bool_]
    cluster_id: pa.Array


@dataclass(frozen=True)
class Plan:
    """The fingerprint of every document by its number, and what becomes of those that are compared; others stay."""

    fingerprints: NDArray[np.uint64]
    compared: Compared
    metrics: dict[str, float]

    @property
    def removed(self) -> int:
        """How many documents go."""
        return len(self.compared.kept_id) - int(self.compared.kept_id.null_count)

    def sample(self) -> list[str]:
        """Some of the documents that would go, with what each would go for: the least similar ones first."""
        gone = np.flatnonzero(self.compared.kept_id.is_valid().to_numpy(zero_copy_only=False))
        least = gone[np.argsort(self.compared.jaccard[gone], kind="stable")][:_SAMPLE]
        columns = (self.compared.doc_id, self.compared.kept_id)
        ids = zip(*(column.take(least).to_pylist() for column in columns), strict=True)
        return [f"{one} for {other}" for one, other in ids]


@dataclass(frozen=True)
class _Heap:
    """All documents that are compared, in keep order: those labelled by people, those of the store, the others.

    ``facts`` are their prints; ``number`` is that of the document, or ``_STORED``; ``place`` its row of the store, or
    -1; ``first`` is the first one with the same text.
    """

    facts: pa.Table
    number: NDArray[np.int64]
    place: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def distinct(self) -> NDArray[np.int64]:
        """The first document of each text."""
        return np.flatnonzero(self.first == np.arange(self.first.size))


def plan_removal(
    sources: Sequence[Corpus],
    prints: Prints,
    settings: DedupeSettings,
    *,
    store: DocumentStore | None = None,
    published: Sequence[Corpus] | None = None,
    is_compared: NDArray[np.bool_] | None = None,
) -> Plan:
    """Decide what goes; the same documents in another order give the same decision.

    ``is_compared`` is what :func:`candidates.has_candidate` finds, when that was searched before. Documents of the
    ``store`` stay; with ``published`` only those count that one of these dataset versions holds.
    """
    started = time.monotonic()
    fingerprints = fingerprints_of(prints)
    if is_compared is None:
        is_compared = has_candidate(prints, fingerprints, settings)
    stored = NOTHING_STORED
    if store is not None and store.earlier:
        keys = [band_column(prints, name) for name in (BAND_COLUMNS if settings.method != "simhash" else ())]
        stored = store.candidates(fingerprints, keys, settings, published)
        is_compared = is_compared | is_candidate(fingerprints, keys, stored, settings)
    searched = time.monotonic()
    log.info(
        "dedupe: %d of %d documents have a candidate (%s, similarity %g: Hamming distance <= %d), %d of earlier runs",
        int(is_compared.sum()),
        fingerprints.size,
        settings.method,
        settings.similarity,
        settings.max_hamming,
        stored.num_rows,
    )
    heap = _heap(_facts(prints, is_compared, stored, settings), np.flatnonzero(is_compared))
    clusters = find_clusters(_problem(heap, settings), _shingles(sources, heap, stored))
    compared = _compared(heap, clusters, stored)
    metrics = {
        "candidates": clusters.candidates,
        "verified_pairs": clusters.verified,
        "clusters": _shared(compared.cluster_id),
        "seconds/search": round(searched - started, 3),
        "seconds/verify": round(time.monotonic() - searched, 3),
    }
    return Plan(fingerprints, compared, metrics)


def _facts(
    prints: Prints, is_compared: NDArray[np.bool_], stored: pa.Table, settings: DedupeSettings
) -> pa.Table:
    """The prints of the documents that are compared, those of the store behind them."""
    tables = [prints_schema(settings).empty_table()]
    seen = 0
    for table in prints.iter_tables():
        tables.append(table.filter(pa.array(is_compared[seen : seen + table.num_rows])))
        seen += table.num_rows
    tables.append(stored.drop_columns(["cluster_id", "set_size", "sketch"]))
    return pa.concat_tables(tables, promote_options="default").drop_columns(["length"]).combine_chunks()


def _heap(facts: pa.Table, numbers: NDArray[np.int64]) -> _Heap:
    """Put documents in keep order; ``facts`` are those of the documents ``numbers``, then those of the store."""
    is_stored = np.arange(facts.num_rows) >= numbers.size
    is_labelled = facts["is_labelled"].to_numpy() & ~is_stored
    is_known = pc.is_in(facts["doc_id"], facts["doc_id"].slice(numbers.size)).to_numpy()
    rank = facts["rank"].to_numpy()  # NaN for a null, which is sorted behind all numbers
    order = np.lexsort((_rank_of(facts["doc_id"].combine_chunks()), -rank, ~is_known, ~is_stored, ~is_labelled))
    number = np.append(numbers, np.full(facts.num_rows - numbers.size, _STORED))[order]
    place = np.where(is_stored, np.arange(facts.num_rows) - numbers.size, _STORED)[order]
    facts = facts.take(order)
    return _Heap(facts, number, place, _first_with_same_text(facts["text_hash"]))


def _first_with_same_text(text_hash: pa.ChunkedArray) -> NDArray[np.int64]:
    """For each place, the first place with the same text."""
    codes = text_hash.combine_chunks().dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    places: NDArray[np.int64] = first[codes].astype(np.int64)
    pa.default_memory_pool().release_unused()
    return places


def _problem(heap: _Heap, settings: DedupeSettings) -> Problem:
    distinct = heap.distinct
    facts = heap.facts.take(distinct)
    bands = [facts[name].to_numpy() for name in BAND_COLUMNS if settings.method != "simhash"]
    stored = np.flatnonzero(heap.number[distinct] == _STORED)
    return Problem(
        fingerprints=facts["simhash"].to_numpy(),
        band_keys=np.ascontiguousarray(np.array(bands, np.uint32).reshape(len(bands), distinct.size).T),
        max_hamming=settings.max_hamming if settings.method != "minhash" else -1,
        min_jaccard=settings.min_jaccard,
        first_stored=int(stored[0]) if stored.size else 0,
        end_stored=int(stored[-1]) + 1 if stored.size else 0,
    )


def _shingles(sources: Sequence[Corpus], heap: _Heap, stored: pa.Table) -> ShinglesOnDisk:
    """The sets of the first document of each text, read from the corpus or taken from the store."""
    distinct = heap.distinct
    number, place = heap.number[distinct], heap.place[distinct]
    shingles = ShinglesOnDisk(distinct.size)
    of_store = np.flatnonzero(number == _STORED)
    rows = stored.take(place[of_store])
    shingles.add(of_store, sketches_of(rows), rows["set_size"].to_numpy())
    of_corpus = np.flatnonzero(number != _STORED)
    by_number = of_corpus[np.argsort(number[of_corpus])]
    shingles.add_texts(_texts(sources, number[by_number], by_number))
    return shingles


def _texts(
    sources: Sequence[Corpus], numbers: NDArray[np.int64], targets: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], list[str]]]:
    """The texts of the documents ``numbers``, ascending, a page at a time with the ``targets`` they belong to."""
    seen = 0
    for corpus in sources if numbers.size else ():
        for table in corpus.iter_tables(["doc_id", "text"]):
            texts = table.filter(is_document(table))["text"]
            first, end = np.searchsorted(numbers, (seen, seen + len(texts)))
            wanted = texts.take(pa.array(numbers[first:end] - seen))
            seen += len(texts)
            yield targets[first:end], wanted.to_pylist()


def _compared(heap: _Heap, clusters: Clusters, stored: pa.Table) -> Compared:
    """Carry the decision on distinct texts over to all documents that are compared."""
    distinct = heap.distinct
    text = np.searchsorted(distinct, heap.first)
    is_text_kept = clusters.kept_by[text] == KEPT
    # A copy of a text that goes itself goes for the same kept document: kept_id always names one that is kept.
    instead = distinct[np.where(is_text_kept, text, clusters.kept_by[text])]
    is_known = pc.is_in(heap.facts["doc_id"], stored["doc_id"]).to_numpy()
    goes = (instead != np.arange(instead.size)) & ~(is_known & _is_first_of_its_id(heap))
    fingerprints = heap.facts["simhash"].to_numpy()
    hamming = hamming_distances(fingerprints, np.arange(instead.size), fingerprints, instead)
    jaccard = np.where(is_text_kept, 1.0, clusters.jaccard[text]).astype(np.float32)
    kept_id = heap.facts["doc_id"].take(pa.array(instead, mask=~goes))
    cluster_id = _cluster_ids(heap, clusters.component[text], stored)
    documents = np.flatnonzero(heap.number != _STORED)
    documents = documents[np.argsort(heap.number[documents])]
    return Compared(
        document=heap.number[documents],
        doc_id=heap.facts["doc_id"].take(documents).combine_chunks(),
        kept_id=kept_id.take(documents).combine_chunks(),
        hamming=hamming[documents],
        jaccard=jaccard[documents],
        is_exact=(goes & is_text_kept)[documents],
        cluster_id=cluster_id.take(documents),
    )


def _is_first_of_its_id(heap: _Heap) -> NDArray[np.bool_]:
    """Which documents of the batch are the first ones with their ``doc_id``."""
    of_batch = np.flatnonzero(heap.number != _STORED)
    ids = heap.facts["doc_id"].take(of_batch).combine_chunks().dictionary_encode().indices.to_numpy()
    is_first = np.zeros(heap.number.size, np.bool_)
    is_first[of_batch[np.unique(ids, return_index=True)[1]]] = True
    return is_first


def _cluster_ids(heap: _Heap, component: NDArray[np.int64], stored: pa.Table) -> pa.Array:
    """For each document the name of its cluster: of one that the store has, else the smallest ``doc_id``."""
    is_stored = heap.number == _STORED
    of_store = stored["cluster_id"].combine_chunks().take(pa.array(heap.place, mask=~is_stored))
    names = pc.coalesce(of_store, heap.facts["doc_id"].combine_chunks())
    order = np.lexsort((_rank_of(names), ~is_stored, component))
    _, first = np.unique(component[order], return_index=True)
    return names.take(order[first[np.unique(component, return_inverse=True)[1]]])


def _shared(cluster_id: pa.Array) -> int:
    """Clusters of two documents or more."""
    return int(pc.sum(pc.greater(pc.value_counts(cluster_id).field("counts"), 1)).as_py() or 0)


def _rank_of(strings: pa.Array) -> NDArray[np.int64]:
    """The place of each string in ascending order; equal strings have the same."""
    order = pc.array_sort_indices(strings).to_numpy()
    ordered = strings.take(order)
    is_new = np.ones(len(strings), np.int64)
    is_new[1:] = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
    ranks = np.empty_like(is_new)
    ranks[order] = np.cumsum(is_new)
    return ranks

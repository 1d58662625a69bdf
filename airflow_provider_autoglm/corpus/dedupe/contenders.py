"""The documents that are compared, from the corpus and from the store, in the order in which they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.candidates import band_column
from airflow_provider_autoglm.corpus.dedupe.facts import TEXT_HASH, read_facts
from airflow_provider_autoglm.corpus.dedupe.prints import Prints, bands_of
from airflow_provider_autoglm.corpus.dedupe.shingles import ShinglesOnDisk
from airflow_provider_autoglm.corpus.dedupe.store import sketches_of
from airflow_provider_autoglm.corpus.dedupe.verify import Problem
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

STORED = -1


@dataclass(frozen=True)
class Contenders:
    """All documents that are compared, in keep order: those labelled by people, those of the store, the others.

    ``number`` is that of the document in the corpus, or ``STORED``; ``cluster_id`` the one that the store has, or null.
    ``first`` is the first document with the same text. ``place`` counts the documents of the corpus, then those of the
    store; ``set_place`` is where ``shingles`` has the set of the text: the whole one if the text is in this corpus too.
    ``is_known`` says that the store has the document itself, ``is_here`` that the corpus has it.
    """

    doc_id: pa.Array
    cluster_id: pa.Array
    number: NDArray[np.int64]
    fingerprints: NDArray[np.uint64]
    first: NDArray[np.int64]
    place: NDArray[np.int64]
    set_place: NDArray[np.int64]
    is_known: NDArray[np.bool_]
    is_here: NDArray[np.bool_]
    shingles: ShinglesOnDisk

    @property
    def distinct(self) -> NDArray[np.int64]:
        """The first document of each text."""
        return np.flatnonzero(self.first == np.arange(self.first.size))


def read_contenders(
    sources: Sequence[Corpus],
    numbers: NDArray[np.int64],
    fingerprints: NDArray[np.uint64],
    stored: pa.Table,
    settings: DedupeSettings,
) -> Contenders:
    """Read the documents ``numbers``, ascending, of ``sources``, and put them and the ``stored`` ones in keep order."""
    total = numbers.size + stored.num_rows
    shingles = ShinglesOnDisk(total)
    facts = read_facts(sources, numbers, settings, shingles)
    shingles.add(np.arange(numbers.size, total), sketches_of(stored), stored["set_size"].to_numpy())
    columns = ["doc_id", *TEXT_HASH, "is_labelled", "rank", "cluster_id"]
    every = pa.concat_tables(
        [table.select([name for name in columns if name in table.column_names]) for table in (facts, stored)],
        promote_options="default",
    ).combine_chunks()
    del facts
    is_stored = np.arange(total) >= numbers.size
    is_known = pc.is_in(every["doc_id"], stored["doc_id"]).to_numpy() & ~is_stored
    order = _keep_order(every, is_stored, is_known)
    number = np.append(numbers, np.full(stored.num_rows, STORED))[order]
    first = _first_with_same_text([every[half].to_numpy()[order] for half in TEXT_HASH])
    return Contenders(
        doc_id=every["doc_id"].combine_chunks().take(order),
        cluster_id=every["cluster_id"].combine_chunks().take(order),
        number=number,
        fingerprints=np.append(fingerprints[numbers], stored["simhash"].to_numpy())[order],
        first=first,
        place=order,
        set_place=_set_places(order, first, number),
        is_known=is_known[order],
        is_here=~is_stored[order] | pc.is_in(every["doc_id"], every["doc_id"].slice(0, numbers.size)).to_numpy()[order],
        shingles=shingles,
    )


def problem_of(contenders: Contenders, prints: Prints, stored: pa.Table, settings: DedupeSettings) -> Problem:
    """The comparison of the first documents of each text."""
    distinct = contenders.distinct
    of_store = np.flatnonzero(contenders.number[distinct] == STORED)
    return Problem(
        fingerprints=contenders.fingerprints[distinct],
        band_keys=_band_keys(contenders, distinct, prints, stored, settings),
        max_hamming=settings.max_hamming if settings.method != "minhash" else -1,
        min_jaccard=settings.min_jaccard,
        first_stored=int(of_store[0]) if of_store.size else 0,
        end_stored=int(of_store[-1]) + 1 if of_store.size else 0,
    )


def rank_of(strings: pa.Array) -> NDArray[np.int64]:
    """The place of each string in ascending order; equal strings have the same."""
    order = pc.array_sort_indices(strings).to_numpy()
    ordered = strings.take(order)
    is_new = np.ones(len(strings), np.int64)
    is_new[1:] = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
    ranks = np.empty_like(is_new)
    ranks[order] = np.cumsum(is_new)
    return ranks


def _keep_order(facts: pa.Table, is_stored: NDArray[np.bool_], is_known: NDArray[np.bool_]) -> NDArray[np.int64]:
    is_labelled = facts["is_labelled"].to_numpy() & ~is_stored
    rank = facts["rank"].to_numpy()  # NaN for a null, which is sorted behind all numbers
    ids = rank_of(facts["doc_id"].combine_chunks())
    # Rows may have one doc_id and different texts; in what order they came must not count then either.
    texts = [facts[half].to_numpy() for half in TEXT_HASH]
    return np.lexsort((*texts, ids, -rank, ~is_known, ~is_stored, ~is_labelled))


def _first_with_same_text(halves: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """For each place, the first place with the same text."""
    by_text = np.lexsort(halves)
    is_new = np.ones(by_text.size, np.bool_)
    is_new[1:] = np.any([half[by_text][1:] != half[by_text][:-1] for half in halves], axis=0)
    first = np.empty_like(by_text)
    first[by_text] = by_text[np.flatnonzero(is_new)[np.cumsum(is_new) - 1]]
    return first


def _set_places(place: NDArray[np.int64], first: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the set of each first document lies: of the store there is only a sketch, of the corpus the whole set."""
    places = place.copy()
    of_corpus = np.flatnonzero(number != STORED)
    places[first[of_corpus]] = place[of_corpus]
    return places


def _band_keys(
    contenders: Contenders, distinct: NDArray[np.int64], prints: Prints, stored: pa.Table, settings: DedupeSettings
) -> NDArray[np.uint32]:
    """The keys of MinHash, one row a document, read band by band."""
    bands = bands_of(settings)
    keys = np.empty((distinct.size, len(bands)), np.uint32)
    is_stored = contenders.number[distinct] == STORED
    places = contenders.place[distinct[is_stored]] - (contenders.place.size - stored.num_rows)
    for band, name in enumerate(bands):
        keys[~is_stored, band] = band_column(prints, name)[contenders.number[distinct[~is_stored]]]
        if places.size:
            keys[is_stored, band] = stored[name].to_numpy()[places]
    return keys

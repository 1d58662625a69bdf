"""The documents that are compared, from the corpus and from the store, in the order in which they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.facts import TEXT_HASH, read_looks
from airflow_provider_autoglm.corpus.dedupe.key_rows import KeyRows, iter_key_rows, side_by_side
from airflow_provider_autoglm.corpus.dedupe.names import NamesOnDisk
from airflow_provider_autoglm.corpus.dedupe.prints import Prints, bands_of
from airflow_provider_autoglm.corpus.dedupe.shingles import ShingleReader, ShinglesOnDisk
from airflow_provider_autoglm.corpus.dedupe.store import sketches_of
from airflow_provider_autoglm.corpus.dedupe.verify import Problem
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.dedupe import DedupeSettings


@dataclass(frozen=True)
class Contenders:
    """All documents that are compared, in keep order: those labelled by people, those of the store, the others.

    ``place`` is where a document comes among the ``of_batch`` ones of the corpus, in its order, and those of the store
    behind them; ``first`` is the first document with the same text. ``is_known`` says that the store has the document
    itself, ``is_here`` that the corpus has it. ``names`` are the ``doc_id`` of every place, then the clusters of those
    of the store, and ``name_ranks`` their order.
    """

    place: NDArray[np.int32]
    first: NDArray[np.int32]
    is_known: NDArray[np.bool_]
    is_here: NDArray[np.bool_]
    of_batch: int
    names: NamesOnDisk
    name_ranks: NDArray[np.uint32]

    @property
    def is_distinct(self) -> NDArray[np.bool_]:
        """Which documents are the first ones of their text."""
        return np.equal(self.first, np.arange(self.first.size, dtype=np.int32))

    @property
    def distinct(self) -> NDArray[np.int32]:
        """The first document of each text."""
        return np.flatnonzero(self.is_distinct).astype(np.int32)


@dataclass(frozen=True)
class _Facts:
    """What decides which document is kept, as ``facts.FACTS`` has it; ``text_hash`` is ``uint64[2, documents]``."""

    text_hash: NDArray[np.uint64]
    is_labelled: NDArray[np.bool_]
    rank: NDArray[np.float64]

    @classmethod
    def unknown(cls, documents: int) -> _Facts:
        """Room for so many."""
        return cls(np.zeros((2, documents), np.uint64), np.zeros(documents, np.bool_), np.full(documents, np.nan))


def read_contenders(
    sources: Sequence[Corpus],
    is_compared: NDArray[np.bool_],
    prints: Prints,
    stored: pa.Table,
    settings: DedupeSettings,
) -> tuple[Contenders, ShingleReader]:
    """Read the documents of ``sources`` that are compared, and put them and the ``stored`` ones in keep order.

    What is compared of the first document of each text, the reader has.
    """
    of_batch = int(is_compared.sum())
    total = of_batch + stored.num_rows
    facts, names = _Facts.unknown(total), NamesOnDisk()
    shingles = ShinglesOnDisk(total, len(bands_of(settings)))
    _read_batch(facts, names, shingles, sources, is_compared, prints, settings)
    _add_stored(facts, names, shingles, stored, of_batch, settings)
    text, is_labelled, rank = _ranks_of_texts(facts.text_hash), facts.is_labelled, facts.rank
    del facts
    ranks = names.ranks()
    is_known, is_here = _known_and_here(ranks, of_batch, total)
    is_of_batch = np.ones(total, np.bool_)
    is_of_batch[of_batch:] = False
    # Rows may have one doc_id and different texts; in what order they came must not count then either.
    keys = (text, ranks[:total], np.negative(rank, out=rank), ~is_known, is_of_batch, ~is_labelled)
    order = np.lexsort(keys).astype(np.int32)
    del keys, rank
    first = _first_of_text(text[order])
    contenders = Contenders(order, first, is_known[order], is_here[order], of_batch, names, ranks)
    return contenders, shingles.reader(_set_places(contenders))


def problem_of(
    contenders: Contenders,
    fingerprints: NDArray[np.uint64],
    is_compared: NDArray[np.bool_],
    stored: pa.Table,
    settings: DedupeSettings,
) -> Problem:
    """The comparison of the first documents of each text."""
    places = contenders.place[contenders.is_distinct]
    of_store = np.flatnonzero(places >= contenders.of_batch)
    return Problem(
        fingerprints=np.append(fingerprints[is_compared], stored["simhash"].to_numpy())[places],
        bands=len(bands_of(settings)),
        max_hamming=settings.max_hamming if settings.method != "minhash" else -1,
        min_jaccard=settings.min_jaccard,
        first_stored=int(of_store[0]) if of_store.size else 0,
        end_stored=int(of_store[-1]) + 1 if of_store.size else 0,
    )


def keys_in_band(
    contenders: Contenders, is_compared: NDArray[np.bool_], prints: Prints, stored: pa.Table, name: str
) -> NDArray[np.uint32]:
    """The keys in one band of MinHash, of the first documents of each text."""
    keys = np.empty(contenders.place.size, np.uint32)
    done = 0
    for page in iter_key_rows(prints, is_compared, [name]):
        keys[done : done + len(page)] = page[:, 0]
        done += len(page)
    if stored.num_rows:
        keys[done:] = stored[name].to_numpy()
    return keys[contenders.place[contenders.is_distinct]]


def _read_batch(
    facts: _Facts,
    names: NamesOnDisk,
    shingles: ShinglesOnDisk,
    sources: Sequence[Corpus],
    is_compared: NDArray[np.bool_],
    prints: Prints,
    settings: DedupeSettings,
) -> None:
    """Fill in what is known of the documents of the corpus."""
    keys = KeyRows(prints, is_compared, bands_of(settings))
    done = 0
    for look in read_looks(sources, is_compared, settings):
        rows = slice(done, done + look.facts.num_rows)
        facts.text_hash[:, rows] = [look.facts[half].to_numpy() for half in TEXT_HASH]
        facts.is_labelled[rows] = look.facts["is_labelled"].to_numpy()
        facts.rank[rows] = look.facts["rank"].to_numpy()  # NaN for a null
        names.add(look.facts["doc_id"].combine_chunks())
        sizes = np.diff(look.sets.bounds)
        shingles.add(keys.take(sizes.size), look.sets, sizes)
        done = rows.stop


def _add_stored(
    facts: _Facts,
    names: NamesOnDisk,
    shingles: ShinglesOnDisk,
    stored: pa.Table,
    of_batch: int,
    settings: DedupeSettings,
) -> None:
    """Fill in what is known of the documents of the store, behind those of the corpus; they are never labelled."""
    if stored.num_rows == 0:
        return
    facts.text_hash[:, of_batch:] = [stored[half].to_numpy() for half in TEXT_HASH]
    doc_ids = stored["doc_id"].combine_chunks()
    names.add(doc_ids)
    names.add(pc.coalesce(stored["cluster_id"].combine_chunks(), doc_ids))
    shingles.add(side_by_side(stored, bands_of(settings)), sketches_of(stored), stored["set_size"].to_numpy())


def _known_and_here(
    ranks: NDArray[np.uint32], of_batch: int, total: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which documents of the corpus the store has too, and which documents the corpus has."""
    in_corpus, in_store = np.zeros((2, ranks.size), np.bool_)
    in_corpus[ranks[:of_batch]] = True
    in_store[ranks[of_batch:total]] = True
    is_known = in_store[ranks[:total]]
    is_known[of_batch:] = False
    return is_known, in_corpus[ranks[:total]]


def _set_places(contenders: Contenders) -> NDArray[np.int32]:
    """Where the set of each distinct text lies: of the store there is only a sketch, of the corpus the whole set."""
    places = contenders.place.copy()
    of_corpus = np.flatnonzero(places < contenders.of_batch)
    places[contenders.first[of_corpus]] = contenders.place[of_corpus]
    return places[contenders.is_distinct]


def _ranks_of_texts(text_hash: NDArray[np.uint64]) -> NDArray[np.int32]:
    """A number for each text, that says how its hashes are ordered; equal texts have the same."""
    return _ranks_of_runs(text_hash, np.lexsort(tuple(text_hash)))


@kernel
def _ranks_of_runs(text_hash: NDArray[np.uint64], order: NDArray[np.int64]) -> NDArray[np.int32]:
    ranks = np.zeros(order.size, np.int32)
    for n in range(1, order.size):
        this, last = order[n], order[n - 1]
        is_new = text_hash[0, this] != text_hash[0, last] or text_hash[1, this] != text_hash[1, last]
        ranks[this] = ranks[last] + is_new
    return ranks


@kernel
def _first_of_text(text: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each document the first one with the same text; texts are numbers below that of documents."""
    first_of = np.full(text.size, -1, np.int32)
    first = np.empty_like(text)
    for n in range(text.size):
        if first_of[text[n]] < 0:
            first_of[text[n]] = n
        first[n] = first_of[text[n]]
    return first

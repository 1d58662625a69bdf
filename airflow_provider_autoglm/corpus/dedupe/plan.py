"""The whole decision of de-duplication, before a row is written: what goes, for whom, and who belongs together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.anchoring import KEPT, Anchoring, anchor, find_candidates
from airflow_provider_autoglm.corpus.dedupe.catalogue import Catalogue, catalogue_of, is_document
from airflow_provider_autoglm.corpus.dedupe.neighbours import hamming_distances
from airflow_provider_autoglm.corpus.dedupe.shingles import Shingles, ShinglesOnDisk
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

log = logging.getLogger(__name__)

_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True)
class Plan:
    """For each document, by its number in the catalogue, what becomes of it.

    ``kept_by`` is the document that is kept instead, or ``KEPT``; ``hamming``, ``jaccard`` and ``is_exact`` say how
    the two compare. ``cluster`` is the document that names the cluster.
    """

    doc_id: pa.Array
    fingerprint: NDArray[np.uint64]
    kept_by: NDArray[np.int64]
    hamming: NDArray[np.uint8]
    jaccard: NDArray[np.float32]
    is_exact: NDArray[np.bool_]
    cluster: NDArray[np.int64]
    metrics: dict[str, float]

    @property
    def removed(self) -> int:
        """How many documents go."""
        return int((self.kept_by != KEPT).sum())


def plan_removal(sources: Sequence[Corpus], settings: DedupeSettings) -> Plan:
    """Read ``sources`` twice at most and decide; the same documents in another order give the same decision.

    :raises MissingColumnsError: if a corpus lacks ``doc_id`` or ``text``.
    """
    catalogue = catalogue_of(sources)
    order = catalogue.keep_order()
    first = _first_with_same_text(catalogue.text_hash[order])
    distinct = np.flatnonzero(first == np.arange(order.size))
    documents = order[distinct]
    candidates = find_candidates(catalogue.fingerprint[documents], settings.max_hamming)
    log.info("dedupe: %d candidate pairs among %d distinct texts", candidates.pairs, documents.size)
    shingles = _read_shingles(sources, catalogue.size, documents, candidates.has_any())
    anchoring = anchor(candidates, shingles, settings.min_jaccard)
    return _assemble(catalogue, order, np.searchsorted(distinct, first), documents, anchoring, candidates.pairs)


def _first_with_same_text(text_hash: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each place in keep order, the first place with the same text."""
    by_text = np.lexsort((text_hash[:, 1], text_hash[:, 0]))
    ordered = text_hash[by_text]
    is_new = np.ones(by_text.size, np.bool_)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty_like(by_text)
    first[by_text] = by_text[np.flatnonzero(is_new)[np.cumsum(is_new) - 1]]
    return first


def _read_shingles(
    sources: Sequence[Corpus], rows: int, documents: NDArray[np.int64], is_wanted: NDArray[np.bool_]
) -> Shingles:
    """The sets of the wanted ones of ``documents``, numbered as there; shards without any are not read."""
    place = np.full(rows, -1, np.int64)
    place[documents[is_wanted]] = np.flatnonzero(is_wanted)
    shingles = ShinglesOnDisk(documents.size)
    seen = 0
    for corpus in sources:
        for table in corpus.iter_tables(["doc_id", "text"]) if is_wanted.any() else ():
            texts = table.filter(is_document(table))["text"]
            places = place[seen : seen + len(texts)]
            seen += len(texts)
            wanted = np.flatnonzero(places >= 0)
            shingles.add(places[wanted], texts.take(pa.array(wanted)).to_pylist())
    return shingles.read()


def _assemble(
    catalogue: Catalogue,
    order: NDArray[np.int64],
    text: NDArray[np.int64],
    documents: NDArray[np.int64],
    anchoring: Anchoring,
    candidates: int,
) -> Plan:
    """Carry the decision on distinct texts over to all documents; ``text`` numbers the text of each place."""
    is_exact = documents[text] != order
    is_text_kept = anchoring.kept_by[text] == KEPT
    # A copy of a text that goes itself goes for the same kept document: kept_id always names one that is kept.
    instead = np.where(is_text_kept, documents[text], documents[anchoring.kept_by[text]])
    kept_by = np.where(is_exact | ~is_text_kept, instead, KEPT)
    hamming = hamming_distances(catalogue.fingerprint, documents[text], instead)
    jaccard = np.where(is_text_kept, 1.0, anchoring.jaccard[text])
    component = anchoring.component[text]
    sizes = np.bincount(component, minlength=1)
    return Plan(
        doc_id=catalogue.doc_id,
        fingerprint=catalogue.fingerprint,
        kept_by=_by_document(kept_by, order),
        hamming=_by_document(hamming, order),
        jaccard=_by_document(jaccard.astype(np.float32), order),
        is_exact=_by_document(is_exact & is_text_kept, order),
        cluster=_by_document(_smallest_doc_id(catalogue.rank_of_doc_id()[order], component, order), order),
        metrics={
            "candidates": candidates,
            "verified_pairs": anchoring.verified_pairs,
            "clusters": int((sizes > 1).sum()),
        },
    )


def _smallest_doc_id(
    rank: NDArray[np.int64], component: NDArray[np.int64], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each place, the document of its component whose ``doc_id`` is the smallest."""
    smallest = np.full(rank.size, rank.size, np.int64)
    np.minimum.at(smallest, component, rank)
    document_of_rank = np.empty_like(order)
    document_of_rank[rank] = order
    return document_of_rank[smallest[component]]


def _by_document(values: NDArray[_Value], order: NDArray[np.int64]) -> NDArray[_Value]:
    ordered = np.empty_like(values)
    ordered[order] = values
    return ordered

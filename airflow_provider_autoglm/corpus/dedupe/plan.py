"""The whole decision of de-duplication, before a row is written: what goes, for whom, and who belongs together."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.bucket_search import hamming_distances
from airflow_provider_autoglm.corpus.dedupe.candidates import (
    band_column,
    fingerprints_of,
    has_candidate,
    is_candidate,
)
from airflow_provider_autoglm.corpus.dedupe.clusters import Clusters, find_clusters
from airflow_provider_autoglm.corpus.dedupe.contenders import STORED, Contenders, problem_of, rank_of, read_contenders
from airflow_provider_autoglm.corpus.dedupe.prints import Prints, bands_of
from airflow_provider_autoglm.corpus.dedupe.store import NOTHING_STORED, DocumentStore
from airflow_provider_autoglm.corpus.dedupe.verify import KEPT
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

log = logging.getLogger(__name__)

_SAMPLE = 5


@dataclass(frozen=True)
class Compared:
    """What becomes of the documents that have a candidate, in ascending order of their numbers ``document``.

    ``kept_id`` is the ``doc_id`` that is kept instead of theirs, or null; ``hamming``, ``jaccard`` and ``is_exact`` say
    how the two compare. ``cluster_id`` names the cluster. ``is_kept_earlier`` says that only an earlier run has the one
    that is kept.
    """

    document: NDArray[np.int64]
    doc_id: pa.Array
    kept_id: pa.Array
    hamming: NDArray[np.uint8]
    jaccard: NDArray[np.float32]
    is_exact: NDArray[np.bool_]
    is_kept_earlier: NDArray[np.bool_]
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

    @property
    def removed_for_earlier(self) -> int:
        """How many of them go for one of an earlier run: an edited site must not look like one of copies."""
        return int(self.compared.is_kept_earlier.sum())

    def sample(self) -> list[str]:
        """Some of the documents that would go for others of this run, and for which: the least similar ones first."""
        is_gone = self.compared.kept_id.is_valid().to_numpy(zero_copy_only=False)
        gone = np.flatnonzero(is_gone & ~self.compared.is_kept_earlier)
        least = gone[np.argsort(self.compared.jaccard[gone], kind="stable")][:_SAMPLE]
        columns = (self.compared.doc_id, self.compared.kept_id)
        ids = zip(*(column.take(least).to_pylist() for column in columns), self.compared.jaccard[least], strict=True)
        return [f"{one} for {other} (Jaccard {jaccard:.2f})" for one, other, jaccard in ids]


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
        keys = [band_column(prints, name) for name in bands_of(settings)]
        stored = store.candidates(fingerprints, keys, settings, published)
        is_compared = is_compared | is_candidate(fingerprints, keys, stored, settings)
    searched = time.monotonic()
    log.info(
        "dedupe: %d of %d documents have a candidate (%s); %d documents of earlier runs are among these",
        int(is_compared.sum()),
        fingerprints.size,
        _rule(settings),
        stored.num_rows,
    )
    contenders = read_contenders(sources, np.flatnonzero(is_compared), fingerprints, stored, settings)
    problem = problem_of(contenders, prints, stored, settings)
    clusters = find_clusters(problem, contenders.shingles, contenders.set_place[contenders.distinct])
    compared = _compared(contenders, clusters)
    metrics = {
        "candidates": clusters.candidates,
        "verified_pairs": clusters.verified,
        "clusters": _shared(compared.cluster_id),
        "seconds/search": round(searched - started, 3),
        "seconds/verify": round(time.monotonic() - searched, 3),
    }
    return Plan(fingerprints, compared, metrics)


def _rule(settings: DedupeSettings) -> str:
    simhash = f"similarity {settings.similarity:g}: Hamming distance <= {settings.max_hamming}"
    minhash = "a MinHash band in common"
    return {"simhash": simhash, "minhash": minhash, "both": f"{simhash}, or {minhash}"}[settings.method]


def _compared(contenders: Contenders, clusters: Clusters) -> Compared:
    """Carry the decision on distinct texts over to all documents that are compared."""
    distinct = contenders.distinct
    text = np.searchsorted(distinct, contenders.first)
    is_text_kept = clusters.kept_by[text] == KEPT
    # A copy of a text that goes itself goes for the same kept document: kept_id always names one that is kept.
    instead = distinct[np.where(is_text_kept, text, clusters.kept_by[text])]
    goes = (instead != np.arange(instead.size)) & ~(contenders.is_known & _is_first_of_its_id(contenders))
    hamming = hamming_distances(contenders.fingerprints, np.arange(instead.size), contenders.fingerprints, instead)
    jaccard = np.where(is_text_kept, 1.0, clusters.jaccard[text]).astype(np.float32)
    documents = np.flatnonzero(contenders.number != STORED)
    documents = documents[np.argsort(contenders.number[documents])]
    return Compared(
        document=contenders.number[documents],
        doc_id=contenders.doc_id.take(documents),
        kept_id=contenders.doc_id.take(pa.array(instead[documents], mask=~goes[documents])),
        hamming=hamming[documents],
        jaccard=jaccard[documents],
        is_exact=(goes & is_text_kept)[documents],
        is_kept_earlier=(goes & ~contenders.is_here[instead])[documents],
        cluster_id=_cluster_ids(contenders, clusters.component[text], documents),
    )


def _is_first_of_its_id(contenders: Contenders) -> NDArray[np.bool_]:
    """Which documents of the batch are the first ones with their ``doc_id``."""
    of_batch = np.flatnonzero(contenders.number != STORED)
    ids = contenders.doc_id.take(of_batch).dictionary_encode().indices.to_numpy()
    is_first = np.zeros(contenders.number.size, np.bool_)
    is_first[of_batch[np.unique(ids, return_index=True)[1]]] = True
    return is_first


def _cluster_ids(contenders: Contenders, component: NDArray[np.int64], documents: NDArray[np.int64]) -> pa.Array:
    """The names of the clusters of ``documents``: of one that the store has, else the smallest ``doc_id``."""
    names = pc.coalesce(contenders.cluster_id, contenders.doc_id)
    order = np.lexsort((rank_of(names), contenders.number != STORED, component))
    components, first = np.unique(component[order], return_index=True)
    return names.take(order[first[np.searchsorted(components, component[documents])]])


def _shared(cluster_id: pa.Array) -> int:
    """Clusters of two documents or more."""
    return int(pc.sum(pc.greater(pc.value_counts(cluster_id).field("counts"), 1)).as_py() or 0)

"""What becomes of the documents that are compared: the decision on distinct texts carried over to all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.bucket_search import bits_set
from airflow_provider_autoglm.corpus.dedupe.clusters import Clusters
from airflow_provider_autoglm.corpus.dedupe.contenders import Contenders
from airflow_provider_autoglm.corpus.dedupe.names import NO_NAME, NamesOnDisk
from airflow_provider_autoglm.corpus.dedupe.verify import KEPT


@dataclass(frozen=True)
class Compared:
    """What becomes of the documents that have a candidate, in the order of the corpus.

    ``kept`` is the place in ``names`` of the ``doc_id`` that is kept instead of theirs, or ``NO_NAME``; ``hamming``,
    ``jaccard`` and ``is_exact`` say how the two compare. ``cluster`` is the place of the cluster's name, ``NO_NAME`` if
    that is the document's own. ``is_kept_earlier`` says that only an earlier run has the one that is kept. The names of
    these documents are the first ones. ``shared_clusters`` have two of them or more.
    """

    names: NamesOnDisk
    kept: NDArray[np.int32]
    hamming: NDArray[np.uint8]
    jaccard: NDArray[np.float32]
    is_exact: NDArray[np.bool_]
    is_kept_earlier: NDArray[np.bool_]
    cluster: NDArray[np.int32]
    shared_clusters: int

    @property
    def is_gone(self) -> NDArray[np.bool_]:
        """Which of them go."""
        return np.not_equal(self.kept, NO_NAME)


def decide(contenders: Contenders, clusters: Clusters, fingerprints: NDArray[np.uint64]) -> Compared:
    """Say of each document of the corpus what its text's cluster makes of it.

    ``fingerprints`` and ``clusters`` are those of the first documents of each text.
    """
    text_of = np.cumsum(contenders.is_distinct, dtype=np.int32)
    text_of = text_of[contenders.first] - np.int32(1)
    of_batch, ranks = contenders.of_batch, contenders.name_ranks
    cluster = _cluster_names(clusters.component, text_of, contenders.place, ranks, of_batch)
    shared_clusters = _repeated(cluster, ranks)
    cluster[cluster == np.arange(of_batch, dtype=np.int32)] = NO_NAME
    kept, hamming, jaccard, is_exact, is_kept_earlier = _decisions(
        text_of,
        contenders.distinct,
        contenders.place,
        of_batch,
        contenders.is_here,
        _is_first_known_of_its_id(contenders),
        clusters.kept_by,
        clusters.jaccard,
        fingerprints,
    )
    return Compared(contenders.names, kept, hamming, jaccard, is_exact, is_kept_earlier, cluster, shared_clusters)


def _is_first_known_of_its_id(contenders: Contenders) -> NDArray[np.bool_]:
    """Which documents are the first ones with their ``doc_id`` of those that the store has too."""
    known = np.flatnonzero(contenders.is_known)
    ids = contenders.name_ranks[contenders.place[known]]
    is_first = np.zeros(contenders.place.size, np.bool_)
    is_first[known[np.unique(ids, return_index=True)[1]]] = True
    return is_first


@kernel
def _preference(name: int, ranks: NDArray[np.uint32], of_batch: int) -> int:
    """Names of the store come before those of the corpus, which are the first ones."""
    return int(ranks[name]) + (ranks.size if name < of_batch else 0)


@kernel
def _cluster_names(
    component: NDArray[np.int32],
    text: NDArray[np.int32],
    place: NDArray[np.int32],
    ranks: NDArray[np.uint32],
    of_batch: int,
) -> NDArray[np.int32]:
    """Of each document of the corpus its cluster's name: one that the store has, else the smallest ``doc_id``."""
    best = np.full(component.size, NO_NAME, np.int32)
    of_store = text.size - of_batch
    for n in range(text.size):
        name = place[n] + (of_store if place[n] >= of_batch else 0)
        other = best[component[text[n]]]
        if other == NO_NAME or _preference(name, ranks, of_batch) < _preference(other, ranks, of_batch):
            best[component[text[n]]] = name
    names = np.empty(of_batch, np.int32)
    for n in range(text.size):
        if place[n] < of_batch:
            names[place[n]] = best[component[text[n]]]
    return names


@kernel
def _repeated(names: NDArray[np.int32], ranks: NDArray[np.uint32]) -> int:
    """How many different names there are more than once."""
    seen = np.zeros(ranks.size, np.uint8)
    repeated = 0
    for name in names:
        rank = ranks[name]
        repeated += seen[rank] == 1
        seen[rank] = min(seen[rank] + 1, 2)
    return repeated


@kernel
def _decisions(
    text: NDArray[np.int32],
    distinct: NDArray[np.int32],
    place: NDArray[np.int32],
    of_batch: int,
    is_here: NDArray[np.bool_],
    is_spared: NDArray[np.bool_],
    kept_by: NDArray[np.int32],
    similarity: NDArray[np.float32],
    fingerprints: NDArray[np.uint64],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """The first columns of :class:`Compared`, of documents in keep order; ``similarity`` is that of each text."""
    kept = np.full(of_batch, NO_NAME, np.int32)
    hamming, jaccard = np.zeros(of_batch, np.uint8), np.ones(of_batch, np.float32)
    is_exact, is_kept_earlier = np.zeros(of_batch, np.bool_), np.zeros(of_batch, np.bool_)
    for n in range(place.size):
        # A copy of a text that goes itself goes for the same kept document: kept_id always names one that is kept.
        one, other = text[n], text[n] if kept_by[text[n]] == KEPT else kept_by[text[n]]
        row, instead = place[n], distinct[other]
        if row >= of_batch or instead == n or is_spared[n]:
            continue
        kept[row], jaccard[row] = place[instead], similarity[one]
        hamming[row] = bits_set(fingerprints[one] ^ fingerprints[other])
        is_exact[row], is_kept_earlier[row] = one == other, not is_here[instead]
    return kept, hamming, jaccard, is_exact, is_kept_earlier

"""The whole decision of de-duplication, before a row is written: what goes, for whom, and who belongs together."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.candidates import (
    band_column,
    fingerprints_of,
    has_candidate,
    is_candidate,
)
from airflow_provider_autoglm.corpus.dedupe.clusters import find_clusters
from airflow_provider_autoglm.corpus.dedupe.compared import Compared, decide
from airflow_provider_autoglm.corpus.dedupe.contenders import keys_in_band, problem_of, read_contenders
from airflow_provider_autoglm.corpus.dedupe.prints import Prints, bands_of
from airflow_provider_autoglm.corpus.dedupe.store import NOTHING_STORED, DocumentStore
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

log = logging.getLogger(__name__)

_SAMPLE = 5


@dataclass(frozen=True)
class Plan:
    """The fingerprint of every document by its number, and what becomes of those that are compared; others stay."""

    fingerprints: NDArray[np.uint64]
    is_compared: NDArray[np.bool_]
    compared: Compared
    metrics: dict[str, float]

    @property
    def removed(self) -> int:
        """How many documents go."""
        return int(self.compared.is_gone.sum())

    @property
    def removed_for_earlier(self) -> int:
        """How many of them go for one of an earlier run: an edited site must not look like one of copies."""
        return int(self.compared.is_kept_earlier.sum())

    def sample(self) -> list[str]:
        """Some of the documents that would go for others of this run, and for which: the least similar ones first."""
        compared = self.compared
        gone = np.flatnonzero(compared.is_gone & ~compared.is_kept_earlier)
        least = gone[np.argsort(compared.jaccard[gone], kind="stable")][:_SAMPLE]
        ids = [compared.names.take(places).to_pylist() for places in (least, compared.kept[least])]
        pairs = zip(*ids, compared.jaccard[least], strict=True)
        return [f"{one} for {other} (Jaccard {jaccard:.2f})" for one, other, jaccard in pairs]


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
    contenders, reader = read_contenders(sources, is_compared, prints, stored, settings)
    problem = problem_of(contenders, fingerprints, is_compared, stored, settings)
    names = bands_of(settings)
    clusters = find_clusters(
        problem, reader, lambda band: keys_in_band(contenders, is_compared, prints, stored, names[band])
    )
    del reader
    compared = decide(contenders, clusters, problem.fingerprints)
    metrics = {
        "candidates": clusters.candidates,
        "verified_pairs": clusters.verified,
        "clusters": compared.shared_clusters,
        "seconds/search": round(searched - started, 3),
        "seconds/verify": round(time.monotonic() - searched, 3),
    }
    return Plan(fingerprints, is_compared, compared, metrics)


def _rule(settings: DedupeSettings) -> str:
    simhash = f"similarity {settings.similarity:g}: Hamming distance <= {settings.max_hamming}"
    minhash = "a MinHash band in common"
    return {"simhash": simhash, "minhash": minhash, "both": f"{simhash}, or {minhash}"}[settings.method]

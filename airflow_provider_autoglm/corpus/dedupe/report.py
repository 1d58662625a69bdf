"""What a de-duplication did, read again from its corpus: figures, histograms and pairs to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.dedupe.report_histograms import Clusters, Distances, Histograms
from airflow_provider_autoglm.corpus.dedupe.report_pairs import Pair, PairChooser, read_pairs
from airflow_provider_autoglm.corpus.report.manifests import settings_of
from airflow_provider_autoglm.corpus.report.places import Place, row_groups
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

PAIRS_SHOWN = 20


@dataclass(frozen=True)
class Report:
    """All of it. ``kept_earlier`` of the removed documents went for one that an earlier run keeps.

    ``candidates`` and ``verified_pairs`` are None where the corpus was joined from parts that know only their own.
    """

    uri: str
    pipeline: str
    created_at: str
    settings: DedupeSettings
    rows_in: int
    rows_out: int
    rejected: int
    exact_duplicates: int
    near_duplicates: int
    kept_earlier: int
    candidates: int | None
    verified_pairs: int | None
    histograms: Histograms
    pairs: tuple[Pair, ...]

    @property
    def clusters(self) -> int:
        """How many clusters have two documents or more."""
        return sum(self.histograms.cluster_sizes.values())

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types; of the pairs the ids, no text."""
        return {
            "uri": self.uri,
            "created_at": self.created_at,
            "settings": self.settings.model_dump(mode="json"),
            "max_hamming": self.settings.max_hamming,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rejected": self.rejected,
            "exact_duplicates": self.exact_duplicates,
            "near_duplicates": self.near_duplicates,
            "kept_earlier": self.kept_earlier,
            "candidates": self.candidates,
            "verified_pairs": self.verified_pairs,
            "clusters": self.clusters,
            "hamming": list(self.histograms.hamming),
            "cluster_sizes": {str(size): clusters for size, clusters in self.histograms.cluster_sizes.items()},
            "pairs": [
                {
                    "doc_id": pair.removed.doc_id,
                    "kept_id": pair.kept_id,
                    "is_exact": pair.is_exact,
                    "hamming": pair.hamming,
                    "jaccard": round(pair.jaccard, 4),
                }
                for pair in self.pairs
            ],
        }


def report_of(corpus: Corpus, *, pairs: int = PAIRS_SHOWN) -> Report:
    """Read the report from a corpus that :func:`~airflow_provider_autoglm.corpus.dedupe.deduplicate` committed.

    Texts are read of the ``pairs`` that tell most alone: near duplicates before exact ones, those with the kept text
    here before those of earlier runs, the least similar first. In memory are a few numbers for each removed document,
    and one row group.
    """
    distances, clusters = Distances(), Clusters()
    for _, removed in row_groups(corpus, "removed", ["cluster_id", "kept_id", "hamming", "reason"]):
        distances.add(removed)
        clusters.add_removed(removed)
    clusters.finish_removed()
    for _, kept in row_groups(corpus, "shards", ["doc_id", "cluster_id"]):
        clusters.add_kept(kept)
    chooser = PairChooser(pairs)
    for first, removed in row_groups(corpus, "removed", chooser.columns):
        chooser.offer(removed, first, clusters.are_here(removed["kept_id"].to_pylist()))
    kept_ids = {choice.kept_id for choice in chooser.chosen if not choice.is_kept_earlier}
    manifest, metrics = corpus.manifest, corpus.manifest.metrics
    settings = settings_of(manifest, DedupeSettings)
    return Report(
        uri=corpus.uri,
        pipeline=manifest.pipeline,
        created_at=manifest.created_at,
        settings=settings,
        rows_in=manifest.counters.rows_in,
        rows_out=manifest.counters.rows_out,
        rejected=manifest.counters.rejected,
        exact_duplicates=manifest.counters.removed - distances.near_duplicates,
        near_duplicates=distances.near_duplicates,
        kept_earlier=clusters.kept_earlier,
        candidates=_whole_number(metrics.get("candidates")),
        verified_pairs=_whole_number(metrics.get("verified_pairs")),
        histograms=Histograms(distances.histogram(settings.max_hamming), clusters.histogram()),
        pairs=read_pairs(corpus, chooser.chosen, _places(corpus, kept_ids)),
    )


def _places(corpus: Corpus, doc_ids: set[str]) -> dict[str, Place]:
    """Where the kept documents ``doc_ids`` lie."""
    wanted = pa.array(sorted(doc_ids), pa.string())
    places = {}
    for first, kept in row_groups(corpus, "shards", ["doc_id"]):
        for row in np.flatnonzero(pc.is_in(kept["doc_id"], wanted)).tolist():
            places[kept["doc_id"][row].as_py()] = Place(first.shard, first.row + row)
    return places


def _whole_number(value: float | None) -> int | None:
    return None if value is None else int(value)

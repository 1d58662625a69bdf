"""How far removed documents were from what is kept, and how large the clusters are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.report_pairs import EXACT_DUPLICATE

_BITS = 64


@dataclass(frozen=True)
class Histograms:
    """``hamming[d]`` near duplicates are d bits from what is kept; ``cluster_sizes[n]`` clusters have n documents.

    Clusters of one document are left out. What an earlier run keeps counts as a document of its cluster.
    """

    hamming: tuple[int, ...]
    cluster_sizes: Mapping[int, int]


class Distances:
    """Hamming distances of near duplicates to what is kept."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BITS + 1, np.int64)

    def add(self, removed: pa.Table) -> None:
        """Count the rows (``hamming``, ``reason``) that are no exact duplicates."""
        near = removed.filter(pc.not_equal(removed["reason"], EXACT_DUPLICATE))
        self._counts += np.bincount(near["hamming"].to_numpy(), minlength=self._counts.size)

    @property
    def near_duplicates(self) -> int:
        """How many were counted."""
        return int(self._counts.sum())

    def histogram(self, max_hamming: int) -> tuple[int, ...]:
        """From 0 to ``max_hamming``, or to the largest distance there is: MinHash finds farther ones."""
        largest = max(max_hamming, int(np.flatnonzero(self._counts).max(initial=0)))
        return tuple(self._counts[: largest + 1].tolist())


class Clusters:
    """Sizes of the clusters that documents were removed from, which are those of two documents or more.

    All removed rows are added before the kept ones. Ids are held as 64-bit hashes.
    """

    def __init__(self) -> None:
        self._pages: list[NDArray[np.int64]] = []

    def add_removed(self, removed: pa.Table) -> None:
        """Take note of ``cluster_id`` and ``kept_id``."""
        hashed = [_hashes(removed[name].to_pylist()) for name in ("cluster_id", "kept_id")]
        self._pages.append(np.stack(hashed))

    def finish_removed(self) -> None:
        """Get ready for the kept rows."""
        cluster_ids, kept_ids = np.concatenate([np.zeros((2, 0), np.int64), *self._pages], axis=1)
        self._pages.clear()
        self._cluster_ids, cluster_of, self._sizes = np.unique(cluster_ids, return_inverse=True, return_counts=True)
        self._kept_ids, first, self._removed_for = np.unique(kept_ids, return_index=True, return_counts=True)
        self._cluster_of_kept = cluster_of[first]
        self._is_here = np.zeros(self._kept_ids.size, np.bool_)

    def add_kept(self, kept: pa.Table) -> None:
        """Count kept rows (``doc_id``, ``cluster_id``), and see which of them the removed rows name."""
        doc_ids, cluster_ids = (_hashes(kept[name].to_pylist()) for name in ("doc_id", "cluster_id"))
        self._sizes += np.bincount(_places(self._cluster_ids, cluster_ids), minlength=self._sizes.size)
        self._is_here[_places(self._kept_ids, doc_ids)] = True

    def are_here(self, kept_ids: Iterable[str]) -> NDArray[np.bool_]:
        """Which of the ids that removed rows name are those of kept rows."""
        found: NDArray[np.bool_] = self._is_here[np.searchsorted(self._kept_ids, _hashes(kept_ids))]
        return found

    @property
    def kept_earlier(self) -> int:
        """How many documents went for one that is not here, since an earlier run keeps it."""
        return int(self._removed_for[~self._is_here].sum())

    def histogram(self) -> dict[int, int]:
        """Number of clusters by their size."""
        kept_elsewhere = np.bincount(self._cluster_of_kept[~self._is_here], minlength=self._sizes.size)
        sizes, clusters = np.unique(self._sizes + kept_elsewhere, return_counts=True)
        return dict(zip(sizes.tolist(), clusters.tolist(), strict=True))


def _hashes(ids: Iterable[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, ids), np.int64)


def _places(ordered: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where those of ``values`` that are in ``ordered`` lie there."""
    if ordered.size == 0:
        return ordered
    places = np.minimum(np.searchsorted(ordered, values), ordered.size - 1)
    found: NDArray[np.int64] = places[ordered[places] == values]
    return found

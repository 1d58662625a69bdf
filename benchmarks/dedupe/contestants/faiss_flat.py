"""``faiss-cpu``: ``IndexBinaryFlat``, exact as well."""

from __future__ import annotations

import time
from typing import Any

import faiss
import numpy as np


def pairs(prints: str, output: str, max_hamming: int) -> dict[str, Any]:
    """All pairs of the saved fingerprints, by a range search of all in all."""
    fingerprints = np.load(prints)
    start = time.process_time()
    codes = fingerprints.view(np.uint8).reshape(-1, 8)
    index = faiss.IndexBinaryFlat(64)
    index.add(codes)
    limits, _, neighbours = index.range_search(codes, max_hamming + 1)
    rows = np.repeat(np.arange(fingerprints.size), np.diff(limits.astype(np.int64)))
    is_first = rows < neighbours
    i, j = rows[is_first], neighbours[is_first]
    order = np.lexsort((j, i))
    found = np.stack([i[order], j[order]])
    seconds = time.process_time() - start
    np.save(output, found)
    return {"cpu_s": seconds, "pairs": int(found.shape[1])}

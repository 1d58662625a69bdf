"""``simhash``, whose fingerprints ours have to equal."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from simhash import Simhash

from benchmarks.dedupe.contestants.texts import read


def fingerprint(source: str, output: str, most: int) -> dict[str, Any]:
    """Fingerprint the first ``most`` documents; ``failed`` are the rows that the package cannot take."""
    texts = read(source, ["text"])["text"].to_pylist()[:most]
    prints = np.zeros(len(texts), np.uint64)
    failed = []
    start = time.process_time()
    for row, text in enumerate(texts):
        try:
            prints[row] = Simhash(text).value
        except OverflowError:  # a window more than 255 times
            failed.append(row)
    seconds = time.process_time() - start
    np.save(output, prints)
    return {"cpu_s": seconds, "texts": len(texts), "failed": failed}

"""``datasketch``: MinHash and MinHashLSH."""

from __future__ import annotations

from typing import Any

from datasketch import MinHash, MinHashLSH

from benchmarks.dedupe.contestants.texts import grams, read, write

PERMUTATIONS = 128
THRESHOLD = 0.5


def deduplicate(source: str, destination: str) -> dict[str, Any]:
    """Sketches in bulk, then one query and one insertion a document."""
    table = read(source)
    texts = table["text"].to_pylist()
    sets = ([gram.encode("utf-8", "surrogatepass") for gram in set(grams(text))] for text in texts)
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    sketches: dict[int, MinHash] = {}
    kept_for: dict[int, int] = {}
    for row, sketch in enumerate(MinHash.generator(sets, num_perm=PERMUTATIONS)):
        for kept in sorted(index.query(sketch)):
            if sketch.jaccard(sketches[kept]) >= THRESHOLD:
                kept_for[row] = kept
                break
        else:
            sketches[row] = sketch
            index.insert(row, sketch)
    write(table, kept_for, destination)
    return {}

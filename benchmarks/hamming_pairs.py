"""All pairs within Hamming distance 9 against brute force by NumPy and, where it is installed, faiss.

``python -m benchmarks.hamming_pairs`` prints a table of CPU seconds, one thread each; the prints are random ones, a
fifth of them copies of others with up to twelve bits flipped.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.neighbours import pairs_within

MAX_HAMMING = 9
ROWS_OF_A_BLOCK = 256
MOST_FOR_BRUTE_FORCE = 20_000


def prints(count: int) -> NDArray[np.uint64]:
    """``count`` fingerprints in random order."""
    generator = np.random.default_rng(count)
    fingerprints = generator.integers(0, 2**64, count, np.uint64)
    copies = fingerprints[: count // 5].copy()
    for _ in range(12):
        is_flipped = generator.random(copies.size) < 0.6
        flips = np.uint64(1) << generator.integers(0, 64, copies.size).astype(np.uint64)
        copies[is_flipped] ^= flips[is_flipped]
    fingerprints[-copies.size :] = copies
    generator.shuffle(fingerprints)
    return fingerprints


def by_autoglm(fingerprints: NDArray[np.uint64]) -> set[tuple[int, int]]:
    """The library."""
    pairs = pairs_within(fingerprints, MAX_HAMMING)
    return set(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True))


def by_brute_force(fingerprints: NDArray[np.uint64]) -> set[tuple[int, int]]:
    """All against all, some rows at a time."""
    found: set[tuple[int, int]] = set()
    for start in range(0, fingerprints.size, ROWS_OF_A_BLOCK):
        rows = fingerprints[start : start + ROWS_OF_A_BLOCK, None]
        i, j = np.nonzero(np.bitwise_count(rows ^ fingerprints[None, start:]) <= MAX_HAMMING)
        found.update((start + a, start + b) for a, b in zip(i.tolist(), j.tolist(), strict=True) if a < b)
    return found


def by_faiss(fingerprints: NDArray[np.uint64]) -> set[tuple[int, int]]:
    """``IndexBinaryFlat``, exact as well."""
    import faiss

    faiss.omp_set_num_threads(1)
    codes = fingerprints.view(np.uint8).reshape(-1, 8)
    index = faiss.IndexBinaryFlat(64)
    index.add(codes)
    limits, _, neighbours = index.range_search(codes, MAX_HAMMING + 1)
    rows = np.repeat(np.arange(fingerprints.size), np.diff(limits.astype(np.int64)))
    is_first = rows < neighbours
    return set(zip(rows[is_first].tolist(), neighbours[is_first].tolist(), strict=True))


def timed(work: Callable[[], set[tuple[int, int]]]) -> tuple[float, set[tuple[int, int]]]:
    """CPU seconds of one call, and what it returns."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def main() -> None:
    """Compile, then measure."""
    by_autoglm(prints(10))
    peers = {"NumPy": by_brute_force}
    if importlib.util.find_spec("faiss") is not None:
        peers["faiss"] = by_faiss
    print(f"{'prints':>8} {'pairs':>8} {'ours':>8}   peers: CPU seconds, ratio, same pairs")
    for count in (10_000, 100_000):
        fingerprints = prints(count)
        ours, found = timed(lambda: by_autoglm(fingerprints))  # noqa: B023 - called at once
        row = f"{count:8,} {len(found):8,} {ours:8.3f}"
        for name, peer in peers.items():
            if name == "NumPy" and count > MOST_FOR_BRUTE_FORCE:
                continue
            theirs, expected = timed(lambda: peer(fingerprints))  # noqa: B023 - called at once
            row += f"   {name} {theirs:.2f} {theirs / ours:.0f}x {'yes' if found == expected else 'NO'}"
        print(row)


if __name__ == "__main__":
    main()

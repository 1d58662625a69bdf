"""This project."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from airflow_provider_autoglm.corpus.dedupe import deduplicate as deduplicate_corpus
from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash64
from airflow_provider_autoglm.corpus.dedupe.neighbours import pairs_within
from airflow_provider_autoglm.settings import DedupeSettings
from benchmarks.dedupe.contestants.texts import read

_Found = TypeVar("_Found")

PASSES = 3
STORED_SEED = 5
PLANTED_SHARE = 0.23


def fingerprint(source: str, output: str) -> dict[str, Any]:
    """Fingerprint every document; the mean of some passes."""
    texts = read(source, ["text"])["text"].to_pylist()
    simhash64(texts[:1])
    seconds, prints = _mean_cpu(lambda: simhash64(texts))
    np.save(output, prints)
    return {"cpu_s": seconds, "texts": len(texts)}


def pairs(prints: str, output: str, max_hamming: int) -> dict[str, Any]:
    """All pairs of the saved fingerprints."""
    fingerprints = np.load(prints)
    pairs_within(fingerprints[:10], max_hamming)
    seconds, found = _mean_cpu(lambda: pairs_within(fingerprints, max_hamming))
    np.save(output, np.stack([found.i, found.j]))
    return {"cpu_s": seconds, "pairs": int(found.i.size)}


def between(batch: int, stored: int, max_hamming: int) -> dict[str, Any]:
    """All pairs of a batch with stored fingerprints: random ones, to which planted neighbours are added."""
    from airflow_provider_autoglm.corpus.dedupe.neighbours import pairs_between

    generator = np.random.default_rng(STORED_SEED)
    kept = generator.integers(0, 2**64, stored, np.uint64)
    new = generator.integers(0, 2**64, batch, np.uint64)
    planted = int(batch * PLANTED_SHARE)
    originals = generator.choice(stored, planted, replace=False)
    new[:planted] = kept[originals]
    for _ in range(max_hamming):
        is_flipped = generator.random(planted) < 0.7
        flips = np.uint64(1) << generator.integers(0, 64, planted).astype(np.uint64)
        new[:planted][is_flipped] ^= flips[is_flipped]
    pairs_between(new[:10], kept[:10], max_hamming)
    start = time.process_time()
    found = pairs_between(new, kept, max_hamming)
    seconds = time.process_time() - start
    is_planted = np.isin(np.arange(planted) * stored + originals, found.i.astype(np.int64) * stored + found.j)
    return {"cpu_s": seconds, "pairs": int(found.i.size), "planted": planted, "found": int(is_planted.sum())}


def deduplicate(source: str, destination: str, method: str) -> dict[str, Any]:
    """The stage, from corpus to corpus."""
    return dict(deduplicate_corpus(source, destination, DedupeSettings.model_validate({"method": method})).metrics)


def _mean_cpu(work: Callable[[], _Found]) -> tuple[float, _Found]:
    start = time.process_time()
    for _ in range(PASSES):
        found = work()
    return (time.process_time() - start) / PASSES, found

"""Fingerprints and pairs: the compiled parts alone, against the packages that do the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.dedupe.child import measure
from benchmarks.dedupe.corpora import Prepared
from benchmarks.dedupe.tables import Table, ratio

MAX_HAMMING = 9
SAMPLED_ROWS = 500
STORED = 10_000_000
BATCH = 100_000


def fingerprint_table(corpora: Sequence[Prepared], samples: Sequence[int], *, folder: Path, cache: Path) -> Table:
    """Rates on all of a corpus against ``simhash`` on a sample of it, and bit-equality on that sample."""
    table = Table("Fingerprints: documents a CPU second")
    for corpus, sample in zip(corpora, samples, strict=True):
        ours = measure(
            "autoglm", "fingerprint", cache=cache, source=corpus.uri, output=str(prints_of(corpus, folder))
        ).returned
        expected = folder / "simhash.npy"
        theirs = measure(
            "simhash_package", "fingerprint", cache=cache, source=corpus.uri, output=str(expected), most=sample
        ).returned
        differs = np.load(prints_of(corpus, folder))[: theirs["texts"]] != np.load(expected)
        differs[theirs["failed"]] = False
        rates = [each["texts"] / each["cpu_s"] for each in (ours, theirs)]
        table.add(
            {
                "documents": corpus.name,
                "ours": rates[0],
                "simhash": rates[1],
                "ratio": ratio(rates[0], rates[1]),
                "compared": theirs["texts"] - len(theirs["failed"]),
                "different": int(differs.sum()),
                "simhash fails": len(theirs["failed"]),
            }
        )
    return table


def pair_table(corpus: Prepared, *, folder: Path, cache: Path, with_faiss: bool) -> Table:
    """All pairs of a corpus's fingerprints against ``IndexBinaryFlat``, and against brute force on some rows."""
    table = Table(f"Pairs of fingerprints within {MAX_HAMMING} bits: CPU seconds")
    prints = prints_of(corpus, folder)
    fingerprints = np.load(prints)
    arguments = {"prints": str(prints), "max_hamming": MAX_HAMMING}
    ours = measure("autoglm", "pairs", cache=cache, output=str(folder / "ours.npy"), **arguments).returned
    found = np.load(folder / "ours.npy")
    row = {"prints": fingerprints.size, "different prints": np.unique(fingerprints).size, "pairs": ours["pairs"]}
    row |= {"ours": ours["cpu_s"], "faiss": None, "ratio": "-", "as faiss": None}
    if with_faiss:
        theirs = measure("faiss_flat", "pairs", cache=cache, output=str(folder / "faiss.npy"), **arguments).returned
        row |= {"faiss": theirs["cpu_s"], "ratio": ratio(theirs["cpu_s"], ours["cpu_s"])}
        row["as faiss"] = np.array_equal(found, np.load(folder / "faiss.npy"))
    row["as brute force"] = is_as_brute_force(fingerprints, found)
    table.add(row)
    table.notes.append(f"brute force: all neighbours of {min(SAMPLED_ROWS, fingerprints.size)} rows, by NumPy")
    return table


def store_table(*, cache: Path) -> Table:
    """A batch against the fingerprints of earlier runs."""
    table = Table(f"A batch against stored fingerprints, within {MAX_HAMMING} bits")
    measured = measure("autoglm", "between", cache=cache, batch=BATCH, stored=STORED, max_hamming=MAX_HAMMING)
    returned = measured.returned
    table.add(
        {
            "batch": BATCH,
            "stored": STORED,
            "CPU s": returned["cpu_s"],
            "peak MiB": measured.peak_mib,
            "planted": returned["planted"],
            "found": returned["found"],
            "pairs": returned["pairs"],
        }
    )
    table.notes.append("stored: random fingerprints; the peak includes numba and the making of both sides")
    return table


def is_as_brute_force(fingerprints: NDArray[np.uint64], found: NDArray[np.int64]) -> bool:
    """Whether ``found`` (``int64[2, pairs]``) has exactly the neighbours of some rows that comparing with all gives."""
    rows = np.random.default_rng(0).permutation(fingerprints.size)[:SAMPLED_ROWS]
    is_sampled = np.zeros(fingerprints.size, np.bool_)
    is_sampled[rows] = True
    i, j = np.concatenate([found, found[::-1]], axis=1)
    ours = np.unique(i[is_sampled[i]] * fingerprints.size + j[is_sampled[i]])
    expected = []
    for row in rows:
        near = np.flatnonzero(np.bitwise_count(fingerprints ^ fingerprints[row]) <= MAX_HAMMING)
        expected.append(row * fingerprints.size + near[near != row])
    return np.array_equal(ours, np.unique(np.concatenate(expected)))


def prints_of(corpus: Prepared, folder: Path) -> Path:
    """Where the fingerprints of a corpus are kept for :func:`pair_table`."""
    return folder / f"{Path(corpus.uri).name}.npy"

"""Near-duplicate removal against its peers: speed, memory, recall and precision on documentation of Debian packages.

``python -m benchmarks.dedupe --size 10k|100k|1m [--all] [--output FILE.json]`` prints tables. Every contestant is a
process of its own; CPU seconds are those of that process, all its threads, and its imports unless it says otherwise.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.dedupe.child import measure
from benchmarks.dedupe.corpora import Prepared, prepare
from benchmarks.dedupe.debian import sources
from benchmarks.dedupe.documents import CHINESE, LONG, SHORT, stretches, unique_files
from benchmarks.dedupe.speed import fingerprint_table, pair_table, store_table
from benchmarks.dedupe.stage import METHODS, PEERS, Peer, memory_table, stage_tables
from benchmarks.dedupe.tables import Table

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000}
SMALLEST = "10k"
"""Without the tables that need more texts, or more time."""

SIDE_DOCUMENTS = 10_000
MEMORY_SIZES = (10_000, 200_000)
FEWEST = 100
"""Documents that a corpus needs to be worth a table."""

SAMPLES = {SHORT.name: 14_000, LONG.name: 1_000, CHINESE.name: 5_000}
"""Documents that ``simhash`` is given, 20,000 together; a tenth of it at the smallest size."""

LARGEST_FOR_FAISS = 100_000
PACKAGES = ("simhash", "rensa", "datasketch", "faiss-cpu", "numba", "numpy", "pyarrow")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedupe", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default=SMALLEST, help="documents of the main corpus")
    parser.add_argument("--all", action="store_true", help="give every peer all documents, however long it takes")
    parser.add_argument("--output", type=Path, help="write the tables as JSON, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="autoglm-bench-") as temporary:
        tables = []
        for table in run(options.size, Path(temporary), is_patient=options.all):
            print(table, flush=True)
            tables.append(asdict(table))
    if options.output is not None:
        report = {"size": options.size, "environment": environment(), "tables": tables}
        options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return 0


def run(size: str, folder: Path, *, is_patient: bool = False) -> Iterator[Table]:
    """The tables of a size, one after the other as they are measured."""
    cache = folder / "kernels"
    start = time.perf_counter()
    read = sources(size)
    files = unique_files(read)
    paragraphs = sum(map(len, files))
    texts = {shape: list(stretches(files, shape)) for shape in (SHORT, LONG, CHINESE)}
    del files
    counts = {SHORT: SIZES[size], LONG: SIDE_DOCUMENTS, CHINESE: SIDE_DOCUMENTS}
    prepared = [prepare(folder, shape, texts[shape], count) for shape, count in counts.items()]
    corpora = [corpus for corpus in prepared if len(corpus.made) >= FEWEST]
    short = corpora[0]
    yield corpus_table([source.name for source in read], prepared, paragraphs, time.perf_counter() - start)
    yield compile_table(corpora[-1], folder, cache)
    samples = [SAMPLES[corpus.name] // (10 if size == SMALLEST else 1) for corpus in corpora]
    yield fingerprint_table(corpora, samples, folder=folder, cache=cache)
    with_faiss = is_installed("faiss") and (is_patient or len(short.made) <= LARGEST_FOR_FAISS)
    yield pair_table(short, folder=folder, cache=cache, with_faiss=with_faiss)
    if size != SMALLEST:
        yield store_table(cache=cache)
    for corpus in corpora:
        yield from stage_tables(corpus, peers_for(corpus, is_patient=is_patient), folder=folder, cache=cache)
    if size != SMALLEST:
        grown = [prepare(folder / "memory", SHORT, texts[SHORT], count) for count in MEMORY_SIZES]
        yield memory_table(grown, folder=folder, cache=cache)


def corpus_table(names: Sequence[str], corpora: Sequence[Prepared], paragraphs: int, seconds: float) -> Table:
    """What the documents are made of."""
    table = Table("Documents")
    for corpus in corpora:
        characters = sum(len(document.text) for document in corpus.made)
        table.add(
            {
                "": corpus.name,
                "asked for": corpus.asked,
                "documents": len(corpus.made),
                "real": len(corpus.made) - corpus.planted,
                "planted": corpus.planted,
                "characters each": characters / max(1, len(corpus.made)),
                "real texts to choose from": corpus.real,
            }
        )
    table.notes.append(f"{paragraphs:,} different paragraphs of {', '.join(names)}; prepared in {seconds:.0f} s")
    return table


def compile_table(corpus: Prepared, folder: Path, cache: Path) -> Table:
    """The first run of a machine, which compiles; all others find the kernels."""
    table = Table("First call: kernels are compiled, once a machine")
    for method in METHODS:
        calls = []
        for call in ("first", "second"):
            destination = str(folder / f"{call}-{method}")
            calls.append(
                measure(
                    "autoglm", "deduplicate", cache=cache, source=corpus.uri, destination=destination, method=method
                )
            )
        first, second = calls
        table.add({"method": method, "first CPU s": first.cpu_s, "wall s": first.wall_s, "second CPU s": second.cpu_s})
    return table


def peers_for(corpus: Prepared, *, is_patient: bool) -> list[Peer]:
    """The peers that are installed and get through so many documents; says which are not there."""
    missing = sorted({peer.package for peer in PEERS if not is_installed(peer.package)})
    for package in missing:
        print(f"{package} is not installed (extra `bench`): left out", file=sys.stderr)
    present = [peer for peer in PEERS if peer.package not in missing]
    return [peer for peer in present if is_patient or len(corpus.made) <= peer.most]


def is_installed(package: str) -> bool:
    """Whether a peer can be imported."""
    return importlib.util.find_spec(package) is not None


def environment() -> dict[str, str | int | None]:
    """What the figures depend on."""
    versions = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(), **versions}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())

"""The whole stage against libraries that do the same: Parquet in, Parquet out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from airflow_provider_autoglm.corpus.store import Corpus
from benchmarks.dedupe.child import Measured, measure
from benchmarks.dedupe.corpora import Prepared
from benchmarks.dedupe.tables import Cell, Table, ratio
from benchmarks.dedupe.truth import Quality, judge

METHODS = ("simhash", "minhash", "both")


@dataclass(frozen=True)
class Peer:
    """A library: the package, the contestant's module, and the most documents it is given."""

    package: str
    module: str
    most: int = 1_000_000


PEERS = (
    Peer("rensa", "rensa_lsh"),
    Peer("datasketch", "datasketch_lsh", most=10_000),
)


@dataclass(frozen=True)
class Outcome:
    """What a contestant took and how good it was."""

    name: str
    measured: Measured
    quality: Quality
    largest_cluster: int | None


def stage_tables(corpus: Prepared, peers: Sequence[Peer], *, folder: Path, cache: Path) -> tuple[Table, Table]:
    """CPU seconds, memory and quality of every method of ours and of ``peers``; and recall by variant."""
    ours = [_run_ours(method, corpus, folder, cache) for method in METHODS]
    outcomes = [*ours, *(_run(peer, corpus, folder, cache) for peer in peers)]
    table = Table(f"Whole stage, Parquet to Parquet: {len(corpus.made):,} documents, {corpus.name}")
    for outcome in outcomes:
        table.add(_row(outcome, ours[-1]))
        table.details[outcome.name] = outcome.measured.returned
    table.notes += [
        "ratio: CPU seconds over those of ours, both; the second figures are without imports",
        "unlike: removed, with an exact Jaccard similarity below 0.5 to the document kept instead",
    ]
    recall = Table(f"Recall by variant: {corpus.name}")
    for outcome in outcomes:
        recall.add({"": outcome.name, **dict(sorted(outcome.quality.recall_of.items()))})
    return table, recall


def memory_table(corpora: Sequence[Prepared], *, folder: Path, cache: Path) -> Table:
    """Peak memory of the stage as the corpus grows."""
    table = Table("Peak memory of the stage, MiB")
    for method in METHODS:
        peaks = []
        for corpus in corpora:
            destination = str(folder / f"memory-{method}-{len(corpus.made)}")
            measured = measure(
                "autoglm", "deduplicate", cache=cache, source=corpus.uri, destination=destination, method=method
            )
            peaks.append(measured.peak_mib)
        growth = (peaks[-1] - peaks[0]) * 2**20 / (len(corpora[-1].made) - len(corpora[0].made))
        columns = [f"{len(corpus.made):,} documents" for corpus in corpora]
        table.add({"method": method, **dict(zip(columns, peaks, strict=True)), "bytes a document": growth})
    return table


def _run_ours(method: str, corpus: Prepared, folder: Path, cache: Path) -> Outcome:
    destination = str(folder / f"ours-{method}-{Path(corpus.uri).name}")
    measured = measure("autoglm", "deduplicate", cache=cache, source=corpus.uri, destination=destination, method=method)
    deduplicated = Corpus.open(destination)
    removed = deduplicated.to_table(["url", "kept_id", "cluster_id"], kind="removed").to_pydict()
    kept = deduplicated.to_table(["url", "doc_id", "cluster_id"]).to_pydict()
    row_of = dict(zip(kept["doc_id"], map(int, kept["url"]), strict=True))
    kept_for = {int(url): row_of[kept_id] for url, kept_id in zip(removed["url"], removed["kept_id"], strict=True)}
    clusters = Counter([*removed["cluster_id"], *kept["cluster_id"]])
    return Outcome(f"ours, {method}", measured, judge(corpus.made, kept_for), max(clusters.values()))


def _run(peer: Peer, corpus: Prepared, folder: Path, cache: Path) -> Outcome:
    destination = str(folder / f"{peer.package}-{Path(corpus.uri).name}.parquet")
    measured = measure(peer.module, "deduplicate", cache=cache, source=corpus.uri, destination=destination)
    removed = pq.read_table(f"{destination}.removed")
    kept_for = dict(zip(removed["row"].to_pylist(), removed["kept"].to_pylist(), strict=True))
    return Outcome(peer.package, measured, judge(corpus.made, kept_for), None)


def _row(outcome: Outcome, ours: Outcome) -> dict[str, Cell]:
    theirs = outcome.measured
    return {
        "": outcome.name,
        "CPU s": theirs.cpu_s,
        "ratio": ratio(theirs.cpu_s, ours.measured.cpu_s),
        "w/o imports": theirs.cpu_without_imports_s,
        "ratio ": ratio(theirs.cpu_without_imports_s, ours.measured.cpu_without_imports_s),
        "wall s": theirs.wall_s,
        "peak MiB": theirs.peak_mib,
        "removed": outcome.quality.removed,
        "recall": f"{outcome.quality.recall:.4f}",
        "precision": f"{outcome.quality.precision:.4f}",
        "unlike": outcome.quality.unlike,
        "largest cluster": outcome.largest_cluster,
    }

"""Labelling against ``transformers.pipeline``: texts of mixed lengths, the same classifier, the same labels.

``python -m benchmarks.label [--texts N] [--memory] [--ag-news FILE …] [--output FILE.json]`` prints tables. Every
contestant is a process of its own on one thread; CPU seconds are those of labelling alone, best of some rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_autoglm.corpus.store import write_corpus
from benchmarks.dedupe.child import Measured, measure
from benchmarks.dedupe.tables import Table, ratio
from benchmarks.label import accuracy
from benchmarks.label.classifier import Race, prepare
from demo.docstrings import AREAS

TEXTS = 360
ROUNDS = 2
MAX_TOKENS = (256, 512)
"""What is read of a text: our default, and all that the model can, which is what the pipeline reads by itself."""

BATCH_SIZES = (32, 1)
MEMORY_SIZES = (1_000, 10_000)
MEMORY_TOKENS = 16
ROWS_OF_A_TABLE = 1_000
LABELS = [{"name": area} for area in AREAS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and write them; the exit status says whether the pipeline's labels are ours."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label", description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=int, default=TEXTS, help="docstrings to label")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each contestant labels them")
    parser.add_argument("--memory", action="store_true", help="also the memory of 1,000 and 10,000 documents")
    parser.add_argument("--output", type=Path, help="write the tables as JSON, too")
    for name, content in accuracy.FILES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="FILE", help=f"accuracy on {content}")
    options = parser.parse_args(arguments)
    files = {name: path for name in accuracy.FILES if (path := getattr(options, name)) is not None}
    with tempfile.TemporaryDirectory(prefix="autoglm-bench-") as temporary:
        tables = []
        for table in run(Path(temporary), options.texts, options.rounds, with_memory=options.memory):
            print(table, flush=True)
            tables.append(table)
    for table in accuracy.tables(files):
        print(table, flush=True)
        tables.append(table)
    if options.output is not None:
        report = [asdict(table) for table in tables]
        options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return 0 if all(row["same labels"] == 1.0 for table in tables[: len(MAX_TOKENS)] for row in table.rows) else 1


def run(folder: Path, texts: int, rounds: int, *, with_memory: bool) -> Iterator[Table]:
    """The tables, one after the other as they are measured."""
    usual, most = MAX_TOKENS
    race = prepare(folder, texts, usual)
    exact = _ours(race, folder, rounds, usual, "fp32")
    yield speed_table(race, exact, folder, rounds, usual)
    yield speed_table(race, _ours(race, folder, rounds, most, "fp32"), folder, rounds, most)
    yield precision_table(race, exact, folder, rounds, usual)
    if with_memory:
        yield memory_table(pq.read_table(race.texts)["text"].to_pylist(), folder)


def speed_table(race: Race, ours: Measured, folder: Path, rounds: int, max_tokens: int) -> Table:
    """Against the pipeline, at its usual batch size and text by text."""
    quartiles = ", ".join(f"{count:,.0f}" for count in np.percentile(race.characters, (25, 50, 75, 100)))
    table = Table(f"{max_tokens} tokens of {len(race.truth):,} docstrings; quartiles of characters {quartiles}")
    table.add({"": "ours", **_speed(ours, ours)})
    for size in BATCH_SIZES:
        theirs = _best(
            "transformers_pipeline",
            rounds,
            folder,
            texts=race.texts,
            model=race.model,
            max_tokens=max_tokens,
            batch_size=size,
        )
        table.add({"": f"pipeline(batch_size={size})", **_speed(theirs, ours)})
    return table


def precision_table(race: Race, exact: Measured, folder: Path, rounds: int, max_tokens: int) -> Table:
    """Fewer bits: what they bring, and what they cost."""
    table = Table("Fewer bits on the CPU")
    there = measure("benchmarks.label.contestants.autoglm", "precisions", cache=folder).returned["names"]
    for precision in there:
        found = exact if precision == "fp32" else _ours(race, folder, rounds, max_tokens, precision)
        table.add(
            {
                "": precision,
                "texts a CPU s": _texts_a_second(found),
                "times faster": _texts_a_second(found) / _texts_a_second(exact),
                "same labels": _share(found.returned["labels"], exact.returned["labels"]),
                "right": _share(found.returned["labels"], race.truth),
                "CPU s to load": found.returned["load_s"],
            }
        )
    missing = {"fp32", "bf16", "int8"} - set(there)
    if missing:
        table.notes.append(f"not on this CPU: {', '.join(sorted(missing))}")
    return table


def memory_table(texts: Sequence[str], folder: Path) -> Table:
    """Peak memory of the stage: it must not grow with the corpus."""
    table = Table("Memory of the whole stage")
    for size in MEMORY_SIZES:
        source = write_corpus(str(folder / f"source-{size}"), _tables(texts, size), stage="clean").uri
        taken = measure(
            "benchmarks.label.contestants.autoglm",
            "run_stage",
            cache=folder,
            source=source,
            destination=str(folder / f"labelled-{size}"),
            labels=LABELS,
            max_tokens=MEMORY_TOKENS,
        )
        table.add({"documents": size, "peak MiB": taken.peak_mib, "CPU s": taken.cpu_without_imports_s})
    table.notes.append(f"{MEMORY_TOKENS} tokens of a text are read, so that it ends soon; batches are as large as ever")
    return table


def _tables(texts: Sequence[str], count: int) -> Iterator[pa.Table]:
    repeated = cycle(texts)
    for start in range(0, count, ROWS_OF_A_TABLE):
        numbers = [f"https://example.com/{number}" for number in range(start, min(count, start + ROWS_OF_A_TABLE))]
        yield pa.table({"url": numbers, "text": list(islice(repeated, len(numbers)))})


def _ours(race: Race, folder: Path, rounds: int, max_tokens: int, precision: str) -> Measured:
    return _best(
        "autoglm",
        rounds,
        folder,
        texts=race.texts,
        kind="classifier",
        model=race.model,
        labels=LABELS,
        max_tokens=max_tokens,
        precision=precision,
        device="cpu",
    )


def _best(contestant: str, rounds: int, folder: Path, **arguments: Any) -> Measured:
    """The round that took the least CPU."""
    module = f"benchmarks.label.contestants.{contestant}"
    measured = [measure(module, "classify", cache=folder, **arguments) for _ in range(rounds)]
    return min(measured, key=lambda one: float(one.returned["cpu_s"]))


def _speed(found: Measured, ours: Measured) -> dict[str, Any]:
    return {
        "texts a CPU s": _texts_a_second(found),
        "ratio": ratio(found.returned["cpu_s"], ours.returned["cpu_s"]),
        "same labels": _share(found.returned["labels"], ours.returned["labels"]),
        "CPU s to load": found.returned["load_s"],
        "peak MiB": found.peak_mib,
    }


def _texts_a_second(found: Measured) -> float:
    return len(found.returned["labels"]) / float(found.returned["cpu_s"])


def _share(labels: Sequence[str], others: Sequence[str]) -> float:
    return float(np.mean([one == other for one, other in zip(labels, others, strict=True)]))


if __name__ == "__main__":
    sys.exit(main())

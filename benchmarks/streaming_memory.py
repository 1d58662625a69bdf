"""Peak memory of cleaning and publishing at 2,000 and 20,000 documents: it must not grow with the corpus.

``python -m benchmarks.streaming_memory`` prints a table; each measurement is a process of its own. A version is
published on top of an earlier one, which is read as well.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pyarrow as pa

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.settings import CleanSettings, PublishSettings

SIZES = (2_000, 20_000)
CHARACTERS = 2_000
LIMIT = 1.2
ROWS_OF_A_TABLE = 500
WORDS = [f"word{number}" for number in range(5_000)]


def documents(count: int, seed: int) -> Iterator[pa.Table]:
    """Labelled documents of about ``CHARACTERS`` characters."""
    generator = random.Random(seed)
    for start in range(0, count, ROWS_OF_A_TABLE):
        rows = range(start, min(count, start + ROWS_OF_A_TABLE))
        texts = [" ".join(generator.choices(WORDS, k=CHARACTERS // 9)) for _ in rows]
        yield pa.table(
            {
                "url": [f"https://example.com/{seed}/{row}" for row in rows],
                "text": texts,
                "label": ["even" if row % 2 == 0 else "odd" for row in rows],
                "label_source": ["auto"] * len(rows),
            }
        )


def prepare(folder: str, size: int) -> None:
    """Two labelled corpora and a first version of one of them."""
    for seed in (1, 2):
        write_corpus(f"{folder}/{seed}", documents(size, seed), stage="label")
    publish(f"{folder}/1", f"{folder}/datasets", PublishSettings())


def run(stage: str, folder: str) -> None:
    """Run one stage and print the peak resident memory of this process in MiB."""
    if stage == "clean":
        clean(f"{folder}/1", f"{folder}/clean", CleanSettings())
    elif stage == "publish":
        publish(f"{folder}/2", f"{folder}/datasets", PublishSettings())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(stage: str, size: int) -> float:
    """Peak memory of a stage at a size, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", __spec__.name, "prepare", folder, str(size)], check=True)
        command = [sys.executable, "-m", __spec__.name, stage, folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def main() -> int:
    """Print the table; the exit status says whether memory stays below the limit."""
    print(f"{'stage':<10}{SIZES[0]:>10,} docs{SIZES[1]:>10,} docs   ratio (limit {LIMIT})")
    is_flat = True
    for stage in ("clean", "publish"):
        small, large = (measure(stage, size) for size in SIZES)
        is_flat = is_flat and large / small <= LIMIT
        print(f"{stage:<10}{small:>11.0f} MiB{large:>11.0f} MiB   {large / small:.2f}")
    return 0 if is_flat else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        prepare(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:]:
        run(sys.argv[1], sys.argv[2])
    else:
        sys.exit(main())

"""SimHash fingerprints against the package ``simhash``: bit-equal, CPU seconds of one process.

``python -m benchmarks.simhash_fingerprints`` prints a table; the texts are the docstrings of the standard library.
"""

from __future__ import annotations

import ast
import random
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from simhash import Simhash

from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash64

TEXTS_OF_THE_PEER = 400
TEXTS = 10_000


def docstrings(minimum: int = 200) -> list[str]:
    """Docstrings of the standard library with at least ``minimum`` characters, read without importing anything."""
    trees = (ast.parse(path.read_bytes()) for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")))
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, documented))
    return [text for node in nodes if len(text := ast.get_docstring(node) or "") >= minimum]


def english(characters: int) -> list[str]:
    """``TEXTS`` different stretches of the docstrings."""
    everything = " ".join(" ".join(docstrings()).split())
    generator = random.Random(characters)
    starts = [generator.randrange(len(everything) - characters) for _ in range(TEXTS)]
    return [everything[start : start + characters] for start in starts]


def chinese(characters: int) -> list[str]:
    """``TEXTS`` rows of the 3,000 first characters of the CJK block, the low ones more often."""
    generator = random.Random(characters)
    return [
        "".join(chr(0x4E00 + int(3_000 * generator.random() ** 3)) for _ in range(characters)) for _ in range(TEXTS)
    ]


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(name: str, texts: Sequence[str]) -> None:
    """Print one row of the table."""
    sample = texts[:TEXTS_OF_THE_PEER]
    ours = cpu_seconds(lambda: simhash64(texts)) / len(texts)
    theirs = cpu_seconds(lambda: [Simhash(text).value for text in sample]) / len(sample)
    is_equal = np.array_equal(simhash64(sample), np.array([Simhash(text).value for text in sample], np.uint64))
    print(f"{name:24} {1 / ours:14,.0f} {1 / theirs:14,.0f} {theirs / ours:7.1f}x {'yes' if is_equal else 'NO'}")


def main() -> None:
    """Compile, then measure."""
    simhash64(["compile"])
    print(f"{'texts':24} {'ours':>14} {'simhash':>14} {'ratio':>8} bit-equal    (texts per CPU second)")
    measure("English, 218 characters", english(218))
    measure("English, 2,000", english(2_000))
    measure("Chinese, 200", chinese(200))


if __name__ == "__main__":
    main()

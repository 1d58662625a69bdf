"""Documents, corpora of them, and processes that are killed or that meet at the same moment."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.store import write_corpus

WriteDocuments = Callable[..., str]

_KILLED = """
import os, signal

shards = 0

def progress(_):
    global shards
    shards += 1
    if shards == {shards}:
        os.kill(os.getpid(), signal.SIGKILL)

{code}
"""

_MEETING = """
import json

{code}

for number in range({rounds}):
    print("ready", flush=True)
    input()
    print(json.dumps(attempt(number)), flush=True)
"""


def documents(count: int, *, first: int = 0) -> pa.Table:
    """Documents of a few English sentences, all different."""
    numbers = range(first, first + count)
    text = "This is the text of page {0}, which tells the reader a little about the number {0} and why it is there."
    return pa.table(
        {
            "url": [f"https://example.org/{number}" for number in numbers],
            "title": [f"Page {number}" for number in numbers],
            "text": [text.format(number) for number in numbers],
        }
    )


def strings_of(values: Sequence[bytes | None]) -> pa.StringArray:
    """Strings with these bytes, UTF-8 or not: what a Parquet reader gives without checking."""
    binary = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(values), binary.buffers())


@pytest.fixture
def write_documents(tmp_path: Path) -> WriteDocuments:
    """Write documents, or tables of your own, as a corpus with so many rows a shard; its URI."""

    def write(content: int | pa.Table = 100, *, rows_of_a_shard: int = 10, name: str = "source") -> str:
        table = documents(content) if isinstance(content, int) else content
        tables = [table.slice(row, rows_of_a_shard) for row in range(0, table.num_rows, rows_of_a_shard)]
        return write_corpus(f"{tmp_path.as_uri()}/{name}", tables, stage="crawl", max_shard_bytes=1).uri

    return write


def killed_after_shards(shards: int, code: str) -> None:
    """Run ``code`` in a process that SIGKILLs itself when its ``progress`` is called for that many shards."""
    program = _KILLED.format(shards=shards, code=code)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr


def at_once(*codes: str, rounds: int = 1) -> list[list[Any]]:
    """Run each code's ``attempt(round)`` in a process of its own, all at the same moment; what they return."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _MEETING.format(code=code, rounds=rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for code in codes
    ]
    results = []
    try:
        for _ in range(rounds):
            for process in processes:
                assert _line(process) == "ready"
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            results.append([json.loads(_line(process)) for process in processes])
    finally:
        for process in processes:
            process.communicate()
    return results


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline().strip()
    assert line, process.stderr.read()
    return line

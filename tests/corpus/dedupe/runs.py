"""Corpora of made-up documents, and what the stage makes of them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus

Row = Mapping[str, Any]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_HAN = "".join(map(chr, range(0x4E00, 0x4E00 + 400)))


def words_of(seed: object, count: int = 24) -> list[str]:
    """Made-up words, the same for the same seed."""
    generator = random.Random(str(seed))
    return ["".join(generator.choices(_LETTERS, k=generator.randint(3, 7))) for _ in range(count)]


def text_of(seed: object, *, changed: Iterable[int] = (), words: int = 24) -> str:
    """Made-up words, those at ``changed`` with another last letter."""
    made_up = words_of(seed, words)
    for position in changed:
        made_up[position] = made_up[position][:-1] + "é"
    return " ".join(made_up)


def han_text_of(seed: object, *, changed: Iterable[int] = (), characters: int = 40) -> str:
    """Chinese characters without sense, those at ``changed`` replaced by others."""
    made_up = random.Random(str(seed)).choices(_HAN, k=characters)
    for position in changed:
        made_up[position] = chr(ord(made_up[position]) + 500)
    return "".join(made_up)


def document(doc_id: str, text: str | None, **columns: object) -> Row:
    """A row as the stage gets it."""
    return {"doc_id": doc_id, "url": f"https://site.example/{doc_id}", "text": text, **columns}


def write_shards(uri: Path | str, shards: Iterable[Sequence[Row] | pa.Table], *, storage: Storage | None = None) -> str:
    """A corpus with one shard a list of rows; what has no row is no shard."""
    attempt = StageAttempt("clean", [], str(uri), {}, storage=storage)
    for number, rows in enumerate(shards):
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist([dict(row) for row in rows])
        writer = attempt.writer(f"{number:05d}-")
        writer.write(table)
        writer.end_shard()
        attempt.count_in(table.num_rows)
        attempt.count_out(table.num_rows)
        attempt.adopt("", writer.shards)
    return attempt.commit().uri


def kept_rows(result: StageResult, *, storage: Storage | None = None) -> list[dict[str, Any]]:
    """The rows that stay, in order."""
    rows: list[dict[str, Any]] = Corpus.open(result.uri, storage=storage).to_table().to_pylist()
    return rows


def removed_rows(result: StageResult, *, storage: Storage | None = None) -> dict[str, dict[str, Any]]:
    """The rows that go, by ``doc_id``."""
    rows = Corpus.open(result.uri, storage=storage).to_table(kind="removed").to_pylist()
    return {row["doc_id"]: row for row in rows}


def ids(result: StageResult, *, storage: Storage | None = None) -> list[str]:
    """The documents that stay, in order."""
    return [row["doc_id"] for row in kept_rows(result, storage=storage)]


def decisions(result: StageResult) -> dict[str, tuple[Any, ...]]:
    """For each document that goes all that the stage says of it, whatever shard it lay in."""
    said = ("kept_id", "hamming", "jaccard", "reason", "cluster_id")
    return {name: tuple(row[column] for column in said) for name, row in removed_rows(result).items()}


def counted(result: StageResult) -> dict[str, float]:
    """The metrics that are no times."""
    timed = ("seconds/", "duration_s", "rows_per_s")
    return {name: value for name, value in result.metrics.items() if not name.startswith(timed)}


def windows(text: str) -> set[str]:
    """The set of windows of four word characters, as the package ``simhash`` makes them; of a shorter text, itself."""
    content = "".join(re.findall(r"[\w\u4e00-\u9fcc]+", text.lower()))
    return {content[start : start + 4] for start in range(max(len(content) - 3, 1))} - {""}


def jaccard(one: str, other: str) -> float:
    """Jaccard similarity of the sets of windows, exactly."""
    a, b = windows(one), windows(other)
    return len(a & b) / len(a | b) if a | b else 0.0

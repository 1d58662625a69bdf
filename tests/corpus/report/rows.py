"""Corpora with rows that were set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus

Row = Mapping[str, Any]


def row(doc_id: str, text: str | None = None, *, reason: str = "too_short", **columns: Any) -> Row:
    """A row that was set aside."""
    return {"doc_id": doc_id, "url": f"https://site.example/{doc_id}", "text": text, "reason": reason, **columns}


def with_rejected(uri: Path, rows: Sequence[Row], *, stage: str = "clean", shards: int = 2) -> Corpus:
    """A committed corpus whose rejected rows are ``rows``, spread over shards."""
    attempt = StageAttempt(stage, [], str(uri), {})
    attempt.count_in(len(rows))
    for number in range(shards):
        attempt.reject(pa.Table.from_pylist([dict(entry) for entry in rows[number::shards]]))
        attempt.finish_shards()
    attempt.commit()
    return Corpus.open(str(uri))

"""The corpora of one benchmark on disk, with what is known of their documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_autoglm.corpus.store import write_corpus
from benchmarks.dedupe.documents import Document, Shape, as_tables, documents, largest

_SEED = 20


@dataclass(frozen=True)
class Prepared:
    """A committed corpus of ``made``, in that order.

    ``asked`` counts the documents that were wanted, ``real`` the texts that were there to choose from.
    """

    name: str
    uri: str
    made: Sequence[Document]
    asked: int
    real: int

    @property
    def planted(self) -> int:
        """How many documents are variants of others."""
        return len(self.made) - len({document.family for document in self.made})


def prepare(folder: Path, shape: Shape, texts: Sequence[str], count: int) -> Prepared:
    """Write a corpus of ``count`` documents, or of as many as ``texts`` are enough for."""
    made = documents(texts, min(count, largest(len(texts))), _SEED)
    uri = str(folder / f"{shape.name.replace(' ', '-').replace(',', '')}-{count}")
    write_corpus(uri, as_tables(made), stage="clean")
    return Prepared(shape.name, uri, made, count, len(texts))

"""A folder of dataset versions, and labelled rows to publish there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.manifest import Input, Manifest, ReviewRecord
from airflow_provider_autoglm.corpus.publish import PublishedDataset, publish
from airflow_provider_autoglm.corpus.publish.record import DatasetRecord
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import PublishSettings

Row = dict[str, Any]


def row(number: int, label: str | None = "a", **columns: Any) -> Row:
    """One labelled document; ``columns`` change or add values."""
    return {
        "doc_id": f"doc-{number:04d}",
        "text": f"This is text number {number}.",
        "cluster_id": f"doc-{number:04d}",
        "label": label,
        "label_score": 0.5,
        "label_source": "auto",
        **columns,
    }


def rows(first: int, end: int, **columns: Any) -> list[Row]:
    """Labelled documents with these numbers, half of them ``a`` and half ``b``."""
    return [row(number, "ab"[number % 2], **columns) for number in range(first, end)]


def write_table(
    uri: str,
    table: pa.Table,
    *,
    rows_of_a_shard: int,
    inputs: Sequence[Input] = (),
    metrics: Mapping[str, float] | None = None,
    review: ReviewRecord | None = None,
) -> str:
    """Commit a table as it is, as the label stage would, or with a ``review`` as the one after it."""
    attempt = StageAttempt("label" if review is None else "review", inputs, uri, {})
    for first in range(0, table.num_rows, rows_of_a_shard):
        attempt.count_in(min(rows_of_a_shard, table.num_rows - first))
        attempt.write(table.slice(first, rows_of_a_shard))
        attempt.finish_shards()
    return attempt.commit(metrics=metrics, review=review).uri


def review(**values: Any) -> ReviewRecord:
    """A review that was passed; ``values`` change it."""
    passed = {
        "outcome": "passed",
        "accuracy": 0.912,
        "low": 0.878,
        "high": 0.938,
        "confidence": 0.95,
        "target": 0.8,
        "population": 500,
        "asked": 246,
        "answered": 241,
        "corrected": 17,
        "rounds": 1,
    }
    return ReviewRecord.model_validate({**passed, **values})


@dataclass
class Datasets:
    """The versions of one dataset, and the corpora they are made of."""

    folder: Path
    corpora: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """Where the versions lie."""
        return f"{self.folder.as_uri()}/datasets"

    def corpus(self, content: Sequence[Row] | pa.Table, *, rows_of_a_shard: int = 10, **more: Any) -> str:
        """Commit labelled rows as a corpus of its own, see :func:`write_table`; its URI."""
        table = content if isinstance(content, pa.Table) else pa.Table.from_pylist(list(content))
        if table.num_columns == 0:
            table = pa.Table.from_pylist([row(0)]).slice(0, 0)
        uri = f"{self.folder.as_uri()}/corpus-{len(self.corpora)}"
        self.corpora.append(write_table(uri, table, rows_of_a_shard=rows_of_a_shard, **more))
        return self.corpora[-1]

    def publish(self, *sources: str | Sequence[Row], **settings: Any) -> PublishedDataset:
        """Publish corpora, by URI or by their rows."""
        uris = [source if isinstance(source, str) else self.corpus(source) for source in sources]
        return publish(uris, self.uri, PublishSettings.parse(settings))

    def manifest(self, version: int) -> Manifest:
        """The manifest of a version."""
        return Corpus.open(f"{self.uri}/v{version}").manifest

    def record(self, version: int) -> DatasetRecord:
        """What the manifest of a version says of it."""
        return DatasetRecord.of(self.manifest(version))

    def rows(self, version: int) -> dict[str, Row]:
        """The rows of a version by ``doc_id``, each with its ``split``."""
        corpus = Corpus.open(f"{self.uri}/v{version}")
        found: dict[str, Row] = {}
        for stored in corpus.shards:
            split = stored.shard.name.removeprefix("data/").partition("-")[0]
            for table in corpus.shard_tables(stored):
                for values in table.to_pylist():
                    assert values["doc_id"] not in found, "a document is there twice"
                    found[values["doc_id"]] = {**values, "split": split}
        assert len(found) == corpus.rows
        return found

    def aside(self, version: int, kind: Any) -> dict[str, str]:
        """The reasons of the rejected or removed rows of a version."""
        table = Corpus.open(f"{self.uri}/v{version}").to_table(kind=kind)
        return {values["doc_id"]: values["reason"] for values in table.to_pylist()}


@pytest.fixture
def datasets(tmp_path: Path) -> Datasets:
    """An empty folder of dataset versions."""
    return Datasets(tmp_path)

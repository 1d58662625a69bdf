"""The digest of what a version says: of its documents, texts, labels and splits, whoever has published them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.publish.content import ContentDigest, content_digest
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import ShardDamagedError
from tests.corpus.publish.conftest import Datasets, rows


def digest_of(*tables: pa.Table, split: str = "train") -> str:
    digest = ContentDigest()
    for table in tables:
        digest.add(split, table)
    return digest.hexdigest()


def one(**columns: Any) -> pa.Table:
    return pa.Table.from_pylist([{"doc_id": "x", "text": "one", "label": "a", "label_source": "auto", **columns}])


def test_the_same_rows_from_other_runs_in_another_order_are_the_same_content(datasets: Datasets) -> None:
    other = Datasets(datasets.folder / "other")
    fetched = [{**values, "fetched_at": datetime(2026, 11, 3, tzinfo=UTC)} for values in rows(0, 60)]
    datasets.publish(rows(0, 60))
    other.publish(datasets.corpus(fetched[::-1], rows_of_a_shard=7))

    assert datasets.manifest(1).digest != other.manifest(1).digest
    assert datasets.record(1).content_digest == other.record(1).content_digest != digest_of()


def test_the_same_rows_in_the_same_files_have_the_same_digest_of_their_files_too(datasets: Datasets) -> None:
    other = Datasets(datasets.folder / "other")
    datasets.publish(rows(0, 60))
    other.publish(datasets.corpus(rows(0, 60)))

    assert datasets.manifest(1).digest == other.manifest(1).digest


def test_the_digest_of_a_version_can_be_computed_from_its_files(datasets: Datasets) -> None:
    datasets.publish(rows(0, 60))
    datasets.publish(rows(50, 90, label_source="human"))

    version = Corpus.open(f"{datasets.uri}/v2")
    assert content_digest(version) == datasets.record(2).content_digest != datasets.record(1).content_digest


@pytest.mark.parametrize("columns", [{"doc_id": "y"}, {"text": "two"}, {"label": "b"}, {"label_source": "human"}])
def test_another_document_text_label_or_source_of_it_is_another_content(columns: dict[str, str]) -> None:
    assert digest_of(one(**columns)) != digest_of(one())


def test_another_split_is_another_content_and_a_score_is_not() -> None:
    assert digest_of(one(), split="test") != digest_of(one())
    assert digest_of(one(label_score=0.3)) == digest_of(one())


def test_a_row_twice_is_not_a_row_once_and_values_do_not_run_into_each_other() -> None:
    assert digest_of(one(), one()) not in (digest_of(one()), digest_of())
    assert digest_of(one(doc_id="x1", text="one")) != digest_of(one(doc_id="x", text="1one"))
    assert digest_of(one(label_source=None)) == digest_of(one().drop_columns("label_source"))


def test_a_version_whose_file_was_altered_is_not_opened(datasets: Datasets) -> None:
    datasets.publish(rows(0, 60))
    shard = next((datasets.folder / "datasets" / "v1" / "data").glob("train-*"))
    altered = bytearray(shard.read_bytes())
    altered[100] ^= 1
    shard.write_bytes(altered)

    with pytest.raises(ShardDamagedError, match="altered"):
        Corpus.open(f"{datasets.uri}/v1")

"""Formats with types: Parquet, Arrow, and datasets as the library ``datasets`` leaves them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import (
    DamagedSourceError,
    MissingColumnsError,
    SettingsError,
    SourceNotFoundError,
    UnusableColumnError,
)
from tests.corpus.conftest import strings_of
from tests.corpus.crawl.records.conftest import Crawl


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A dataset of two splits with named classes, as ``save_to_disk`` writes it."""
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["cat", "dog"])})
    train = datasets.Dataset.from_dict({"text": ["one", "two", "three"], "label": [0, 1, -1]}, features=features)
    test = datasets.Dataset.from_dict({"text": ["four"], "label": [1]}, features=features)
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(tmp_path / "saved", num_shards={"train": 2})
    return str(tmp_path / "saved")


def test_columns_of_parquet_keep_their_types(tmp_path: Path, crawl_files: Crawl) -> None:
    table = pa.table({"text": ["one", "", None], "stars": [5, 4, 3], "meta": [{"a": 1}] * 3})
    pq.write_table(table, tmp_path / "a.parquet")

    read = crawl_files(str(tmp_path / "a.parquet"))

    assert (read.kept[0]["stars"], read.kept[0]["meta"]) == (5, {"a": 1})
    assert (read.reasons, read.problems) == (["empty_text", "missing_text"], [None, None])


def test_only_the_fields_that_are_taken_come_along(tmp_path: Path, crawl_files: Crawl) -> None:
    table = pa.table(
        {
            "id": [1],
            "page": [{"body": {"content": "one"}, "date": "2026-01-02T03:04:05+01:00"}],
            "dotted.name": ["D"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    fields = {"text": "page.body.content", "fetched_at": "page.date", "title": "dotted.name"}

    (row,) = crawl_files({"files": str(tmp_path / "a.parquet"), "fields": fields}).kept

    assert (row["text"], row["title"]) == ("one", "D")
    assert row["fetched_at"] == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert not {"id", "page"} & row.keys()


@pytest.mark.parametrize("path", ["body", "page.nothing", "page.body.content.deeper", "nothing.body"])
def test_a_field_that_is_not_there_is_named(tmp_path: Path, crawl_files: Crawl, path: str) -> None:
    pq.write_table(pa.table({"page": [{"body": {"content": "one"}}]}), tmp_path / "a.parquet")

    with pytest.raises(MissingColumnsError, match=f"missing columns {path}; found page"):
        crawl_files({"files": str(tmp_path / "a.parquet"), "fields": {"text": path}})


def test_invalid_utf8_and_times_that_are_none_are_rejected(tmp_path: Path, crawl_files: Crawl) -> None:
    table = pa.table(
        {
            "text": strings_of([b"fine", b"broken \xed\xa0\x80", b"undated", b"broken and undated \xff"]),
            "fetched_at": strings_of([b"2026-01-02", b" ", b"some day", b"\xff"]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")

    read = crawl_files(str(tmp_path / "a.parquet"))

    assert read.texts == ["fine"]
    assert sorted(read.reasons) == ["invalid_utf8", "invalid_value", "invalid_value"]
    assert "fetched_at: 'some day' is no time (ISO 8601, RFC 2822 or a Unix time)" in read.problems


def test_a_text_column_of_another_kind_is_a_named_error(tmp_path: Path, crawl_files: Crawl) -> None:
    pq.write_table(pa.table({"text": [[1, 2]]}), tmp_path / "a.parquet")

    with pytest.raises(UnusableColumnError, match="column text of type list"):
        crawl_files(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.parquet", b"PAR1 no PAR1"), ("a.arrow", b"no Arrow at all"), ("b.arrow", b"ARROW1 neither")],
)
def test_a_file_of_another_format_is_a_named_error(
    tmp_path: Path, crawl_files: Crawl, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DamagedSourceError, match=name):
        crawl_files(str(tmp_path / name))


def test_an_empty_file_still_needs_its_columns(tmp_path: Path, crawl_files: Crawl) -> None:
    pq.write_table(pa.table({"body": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(MissingColumnsError, match="missing columns text; found body"):
        crawl_files(str(tmp_path / "a.parquet"))

    assert crawl_files({"files": str(tmp_path / "a.parquet"), "fields": {"text": "body"}}).result.rows_in == 0


def test_a_saved_dataset_is_read_with_the_names_of_its_classes(saved: str, crawl_files: Crawl) -> None:
    read = crawl_files({"dataset": saved, "name": "pets"})

    assert {(row["text"], row["label"], row["source"]) for row in read.kept} == {
        ("one", "cat", "pets"),
        ("two", "dog", "pets"),
        ("three", None, "pets"),
        ("four", "dog", "pets"),
    }


def test_one_split_or_one_folder_of_a_saved_dataset_can_be_read(saved: str, crawl_files: Crawl) -> None:
    assert crawl_files({"dataset": saved, "split": "test"}).texts == ["four"]
    assert crawl_files({"dataset": f"{saved}/train"}).texts == ["one", "two", "three"]
    with pytest.raises(SettingsError, match=r"split = 'dev': .*saved has train, test"):
        crawl_files({"dataset": saved, "split": "dev"})


def test_a_dataset_that_was_cut_off_between_two_batches_fails(saved: str, crawl_files: Crawl) -> None:
    file = Path(saved) / "test" / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:-8])

    with pytest.raises(DamagedSourceError, match="the stream has no end"):
        crawl_files({"dataset": saved})


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"splits": "train"}'])
def test_a_description_of_a_dataset_that_says_nothing_is_damage(saved: str, crawl_files: Crawl, content: str) -> None:
    (Path(saved) / "dataset_dict.json").write_text(content)

    with pytest.raises(DamagedSourceError, match=r"dataset_dict\.json"):
        crawl_files({"dataset": saved})


def test_a_dataset_as_the_hub_has_it_is_read_by_split(tmp_path: Path, crawl_files: Crawl) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "kind": datasets.ClassLabel(names=["cat", "dog"])})
    for path, text in {
        "data/train-00000-of-00001.parquet": "one",
        "data/test-00000-of-00001.parquet": "two",
        "other/train/0.parquet": "three",
        "top.parquet": "four",
    }.items():
        (tmp_path / "hub" / path).parent.mkdir(parents=True, exist_ok=True)
        rows = datasets.Dataset.from_dict({"text": [text], "kind": [1]}, features=features)
        rows.to_parquet(tmp_path / "hub" / path)
    (tmp_path / "hub" / "README.md").write_text("a card")
    hub = str(tmp_path / "hub")

    everything = crawl_files({"dataset": hub, "fields": {"text": "text", "label": "kind"}})

    assert sorted(everything.texts) == ["four", "one", "three", "two"]
    assert {row["label"] for row in everything.kept} == {"dog"}
    assert sorted(crawl_files({"dataset": hub, "split": "train"}).texts) == ["one", "three"]
    with pytest.raises(SourceNotFoundError, match="hub"):
        crawl_files({"dataset": hub, "split": "dev"})


def test_arrow_files_of_both_kinds_are_read_in_small_batches(tmp_path: Path, crawl_files: Crawl) -> None:
    table = pa.table({"text": [f"text {number}" for number in range(2_500)], "n": range(2_500)})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)

    read = crawl_files({"files": f"{tmp_path}/*.arrow", "fields": {"text": "text"}})

    assert read.texts == [*table["text"].to_pylist()] * 2
    assert "n" not in Corpus.open(read.result.uri).to_table().column_names

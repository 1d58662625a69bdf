from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import DamagedSourceError, SettingsError, SourceNotFoundError, StorageError
from tests.corpus.conftest import strings_of
from tests.corpus.crawl.records.conftest import Crawl


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"text": text}))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for path in ("a.jsonl", "b.jsonl", "2026-01/a.jsonl", "2026-02/deep/a.jsonl", "other/c.json", "_tmp/a.jsonl"):
        write(folder / path, path)
    write(folder / "notes.txt", "notes")
    write(folder / "_SUCCESS", "hidden")
    return folder


@pytest.mark.parametrize(
    ("place", "texts"),
    [
        ("", ["a.jsonl", "b.jsonl"]),
        ("/", ["a.jsonl", "b.jsonl"]),
        ("/b.jsonl", ["b.jsonl"]),
        ("/?.jsonl", ["a.jsonl", "b.jsonl"]),
        ("/*/[abc].json*", ["2026-01/a.jsonl", "other/c.json"]),
        ("/2026-*/**/*.jsonl", ["2026-01/a.jsonl", "2026-02/deep/a.jsonl"]),
        ("/**/a.jsonl", ["2026-01/a.jsonl", "2026-02/deep/a.jsonl", "a.jsonl"]),
        ("/2026-02/**", ["2026-02/deep/a.jsonl"]),
    ],
)
def test_a_file_a_folder_or_a_glob_names_files(tree: Path, crawl_files: Crawl, place: str, texts: list[str]) -> None:
    assert crawl_files(f"{tree}{place}").texts == texts


@pytest.mark.parametrize("place", ["missing.csv", "2027-*/a.jsonl", "empty", "*.parquet"])
def test_a_source_without_files_is_a_named_error(tree: Path, crawl_files: Crawl, place: str) -> None:
    (tree / "empty").mkdir()

    with pytest.raises(SourceNotFoundError, match=r"no file at .*give the URI of a file, of a folder"):
        crawl_files(f"{tree}/{place}")


def test_a_name_with_the_signs_of_a_glob_is_taken_literally_if_it_is_there(tree: Path, crawl_files: Crawl) -> None:
    write(tree / "a[1].jsonl", "literal")
    write(tree / "a1.jsonl", "matched")

    assert crawl_files(f"{tree}/a[1].jsonl").texts == ["literal"]


def test_a_name_that_does_not_tell_the_format_needs_it_set(tree: Path, crawl_files: Crawl) -> None:
    with pytest.raises(SettingsError, match=r"notes\.txt': the name does not tell what it is; known: \.parquet, .*set"):
        crawl_files(f"{tree}/notes.txt")

    assert crawl_files({"files": f"{tree}/notes.txt", "format": "jsonl"}).texts == ["notes"]
    assert crawl_files({"files": str(tree), "format": "jsonl"}, out="all").texts == ["a.jsonl", "b.jsonl", "notes"]


def test_a_folder_may_mix_formats_and_no_column_has_two_types(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.csv").write_text("text,stars,fetched_at\none,5,2026-01-02\n")
    table = pa.table({"text": strings_of([b"two", b"\xff"]), "stars": [4, 3], "more": [[1], None]})
    pq.write_table(table, tmp_path / "b.parquet")
    write(tmp_path / "c.json", "three")

    read = crawl_files(str(tmp_path))

    assert [(row["text"], row["stars"], row["more"]) for row in read.kept] == [
        ("one", "5", None),
        ("two", "4", "[1]"),
        ("three", None, None),
    ]
    assert (read.reasons, read.problems) == (["invalid_encoding"], ["bytes that are no UTF-8"])


def test_columns_do_not_come_and_go_with_the_files(tmp_path: Path, crawl_files: Crawl) -> None:
    for number in range(6):
        record = {"text": str(number), **({"extra": "x"} if number % 2 else {})}
        (tmp_path / f"{number}.json").write_text(json.dumps(record))

    read = crawl_files(str(tmp_path))

    assert len(Corpus.open(read.result.uri).manifest.shards) == 2
    assert [row["extra"] for row in read.kept] == [None, "x", None, "x", None, "x"]


def test_what_was_read_is_used_again_until_a_file_or_how_it_is_read_changes(tree: Path, crawl_files: Crawl) -> None:
    source = f"{tree}/a.jsonl"
    assert not crawl_files(source).result.reused
    assert crawl_files(source).result.reused
    assert not crawl_files({"files": source, "fields": {"text": "text"}}).result.reused

    write(tree / "a.jsonl", "changed")
    os.utime(tree / "a.jsonl", (1, 1))
    assert crawl_files(source).texts == ["changed"]


def test_of_a_failed_attempt_nothing_is_committed_and_the_next_one_is_whole(tree: Path, crawl_files: Crawl) -> None:
    (tree / "z.json").write_text('[{"text": "z"}, {"text":')
    with pytest.raises(DamagedSourceError, match=r"z\.json"):
        crawl_files(str(tree))
    (tree / "z.json").write_text('[{"text": "z"}]')

    assert crawl_files(str(tree)).texts == ["a.jsonl", "b.jsonl", "z"]


def test_files_on_the_storage_of_the_corpus_and_on_this_machine_are_both_read(tree: Path) -> None:
    filesystem = MemoryFileSystem()
    filesystem.pipe("/bucket/in/a.csv", b"text\nfrom memory\n")
    storage = Storage(filesystem, "memory://")

    result = crawl(["memory://bucket/in/*.csv", f"{tree}/a.jsonl"], "memory://bucket/out", {}, storage=storage)

    texts = Corpus.open(result.uri, storage=storage).to_table()["text"].to_pylist()
    assert texts == ["from memory", "a.jsonl"]


def test_a_connection_needs_somebody_who_opens_it(tree: Path) -> None:
    source = {"files": f"{tree}/a.jsonl", "conn_id": "other"}
    with pytest.raises(SettingsError, match="conn_id = 'other': pass source_storage="):
        crawl([source], f"{tree}/out", {})

    result = crawl([source], f"{tree}/out", {}, source_storage=lambda _: Storage.local())

    assert result.rows_out == 1


def test_a_storage_that_fails_while_a_file_is_read_is_no_damage_of_the_file(tmp_path: Path) -> None:
    # A process may not read its own memory from the start: opening works, reading fails.
    with pytest.raises(StorageError, match="cannot read"):
        crawl([{"files": "/proc/self/mem", "format": "csv"}], str(tmp_path / "out"), {})

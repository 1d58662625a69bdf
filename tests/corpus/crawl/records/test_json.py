from __future__ import annotations

import bz2
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.crawl.records import json_documents, rows, streams
from airflow_provider_autoglm.corpus.crawl.records.files import SourceFile
from airflow_provider_autoglm.corpus.crawl.records.json_documents import read_json_document
from airflow_provider_autoglm.corpus.crawl.records.rows import RecordRows
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import DamagedSourceError, MissingColumnsError, UnusableRecordsError
from airflow_provider_autoglm.settings import Source
from tests.corpus.crawl.records.conftest import Crawl


def test_lines_become_documents_and_other_values_text(tmp_path: Path, crawl_files: Crawl) -> None:
    records: list[dict[str, Any]] = [
        {"text": "one", "stars": 5, "meta": {"a": [1, "ü"]}, "is_new": True},
        {"text": "two", "stars": "five", "ratio": 1.5, "meta": None},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n\n")

    first, second = crawl_files(str(tmp_path / "a.jsonl")).kept

    assert (first["text"], first["stars"], first["meta"], first["is_new"]) == ("one", "5", '{"a": [1, "ü"]}', "true")
    assert (second["text"], second["stars"], second["ratio"], second["meta"]) == ("two", "five", "1.5", None)


def test_lines_that_are_no_objects_are_rejected_one_by_one(tmp_path: Path, crawl_files: Crawl) -> None:
    deep = "[" * 100_000
    lines = [
        '{"text": "one"}',
        '{"text": ',
        "[1]",
        deep,
        '{"text": "\\ud800"}',
        '{"text": ["a"]}',
        '{"text": null}',
        "{}",
    ]
    (tmp_path / "a.ndjson").write_text("\n".join([*lines, '{"text": "two"}']))

    read = crawl_files(str(tmp_path / "a.ndjson"))

    assert read.texts == ["one", "two"]
    assert sorted(read.reasons) == [
        *("invalid_encoding", "invalid_record", "invalid_record", "invalid_record", "invalid_value"),
        *("missing_text", "missing_text"),
    ]
    assert [row["text"][:9] for row in read.rejected if row["reason"] == "invalid_record"] == [
        '{"text": ',
        "[1]\n",
        deep[:9],
    ]


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("zst", None)])
def test_packed_lines_are_unpacked(tmp_path: Path, crawl_files: Crawl, ending: str, pack: Any) -> None:
    content = b'{"text": "one"}\n'
    packed = pack(content) if pack else pa.compress(content, "zstd", asbytes=True)
    (tmp_path / f"a.jsonl.{ending}").write_bytes(packed + packed)

    assert crawl_files(str(tmp_path / f"a.jsonl.{ending}")).texts == ["one", "one"]


def test_fields_lead_into_a_record(tmp_path: Path, crawl_files: Crawl) -> None:
    record = {
        "body": {"content": "one", "a/b": "slash"},
        "links": [{"href": "https://a.org/1"}],
        "dotted.key": "D",
        "seen": 1_790_000_000,
        "scores": {"top": "0.5"},
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    fields = {
        "text": "body.content",
        "url": "/links/0/href",
        "title": "dotted.key",
        "fetched_at": "seen",
        "label_score": "scores.top",
        "slash": "/body/a~1b",
        "nowhere": "links.7.href",
        "through_text": "body.content.x",
    }

    (row,) = crawl_files({"files": str(tmp_path / "a.jsonl"), "fields": fields}).kept

    assert (row["text"], row["url"], row["title"], row["slash"]) == ("one", "https://a.org/1", "D", "slash")
    assert (row["fetched_at"].isoformat(), row["label_score"]) == ("2026-09-21T14:13:20+00:00", 0.5)
    assert (row["nowhere"], row["through_text"]) == (None, None)


def test_a_key_that_no_record_has_is_named(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "one"}\n')

    with pytest.raises(MissingColumnsError, match="missing columns text; found body"):
        crawl_files(str(tmp_path / "a.jsonl"))


def test_keys_without_end_are_refused(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": "x", f"user-{n}": 1}) for n in range(600)))

    with pytest.raises(UnusableRecordsError, match="more than 500 different keys; name the ones to take in fields"):
        crawl_files(str(tmp_path / "a.jsonl"))


def test_a_line_that_is_too_long_is_skipped_and_told(
    tmp_path: Path, crawl_files: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (streams, rows):
        monkeypatch.setattr(module, "MAX_RECORD_CHARACTERS", 100)
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "x" * 300}) + '\n{"text": "one"}\n')

    read = crawl_files(str(tmp_path / "a.jsonl"))

    assert (read.texts, read.problems) == (["one"], ["line 1: longer than 100 characters"])


def test_more_records_than_a_batch_keep_their_order(tmp_path: Path, crawl_files: Crawl) -> None:
    texts = [f"record {number}" for number in range(2_500)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    (tmp_path / "b.json").write_text(json.dumps([{"text": text} for text in texts], indent=2))

    assert crawl_files(str(tmp_path / "a.jsonl")).texts == texts
    assert crawl_files(str(tmp_path / "b.json")).texts == texts


DOCUMENT = {
    "skipped": [1, {"data": []}, '}]\\"'],
    "empty": {},
    "data": {"count": 2, "items": [{"text": "one"}, {"text": "two"}]},
    "lists": [[], [{"text": "three"}]],
}


@pytest.mark.parametrize(
    ("records", "texts"), [("data.items", ["one", "two"]), ("/data/items", ["one", "two"]), ("lists.1", ["three"])]
)
@pytest.mark.parametrize("indent", [None, 2])
def test_records_are_found_deep_in_a_document(
    tmp_path: Path, crawl_files: Crawl, records: str, texts: list[str], indent: int | None
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(DOCUMENT, indent=indent))

    assert crawl_files({"files": str(tmp_path / "a.json"), "records": records}).texts == texts


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ("date", "there is no 'date' outermost"),
        ("data.item", "there is no 'item' in data"),
        ("data.count.x", "there is no 'x' in data.count"),
        ("lists.2", "there is no '2' in lists"),
        ("data", "what is there is no list"),
    ],
)
def test_a_wrong_path_of_records_is_named(tmp_path: Path, crawl_files: Crawl, records: str, message: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(DOCUMENT))

    with pytest.raises(UnusableRecordsError, match=message):
        crawl_files({"files": str(tmp_path / "a.json"), "records": records})


@pytest.mark.parametrize(
    "content", ['{"text": "one"}', '{"text": "one"}\n{"text": "two"}\n', '[{"text": "one"}, 7]', "[]"]
)
def test_objects_lists_and_one_object_after_another_are_records(
    tmp_path: Path, crawl_files: Crawl, content: str
) -> None:
    (tmp_path / "a.json").write_text(content)

    read = crawl_files(str(tmp_path / "a.json"))

    assert read.texts == ["one", "two"][: content.count("text")]
    assert read.problems == (["record 2: not an object"] if "7" in content else [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "one"}, {"text": "tw', "character 18: Unterminated string"),
        ('[{"text": "one"}', "character 16: expected ',', found ''"),
        ('[{"text": "one"} {"text": "two"}]', "character 17: expected ',', found '{'"),
        ('[{"text": }]', "character 1: Expecting value"),
        ("[" + "[" * 100_000, "recursion"),
    ],
)
def test_a_document_that_is_damaged_fails_with_the_place(
    tmp_path: Path, crawl_files: Crawl, content: str, message: str
) -> None:
    (tmp_path / "a.json").write_text(content)

    with pytest.raises(DamagedSourceError, match=message):
        crawl_files(str(tmp_path / "a.json"))


def test_a_list_hidden_in_one_large_object_is_hinted_at(
    tmp_path: Path, crawl_files: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_documents, "MAX_RECORD_CHARACTERS", 100_000)
    (tmp_path / "a.json").write_text(json.dumps({"items": [{"text": "x" * 1_000}] * 1_000}))

    with pytest.raises(DamagedSourceError, match="is the list of records deeper inside"):
        crawl_files(str(tmp_path / "a.json"))
    assert len(crawl_files({"files": str(tmp_path / "a.json"), "records": "items"}).texts) == 1_000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), st.integers(1, 9))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_is_read_as_the_json_module_reads_it(
    monkeypatch: pytest.MonkeyPatch, values: list[Any], indent: int | None, block: int
) -> None:
    monkeypatch.setattr(json_documents, "_CHARACTERS_READ", block)
    written = json.dumps({"before": values, "list": values}, indent=indent, ensure_ascii=False)
    document = json_documents._Document("a.json", io.StringIO(written))

    assert list(json_documents._records(document, "list")) == values


def test_memory_is_that_of_a_record_not_of_the_document(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"text": f"{number} {'x' * 1_000}"} for number in range(20_000)]))
    source = Source(files=str(file))
    batches = read_json_document(SourceFile(str(file), "json"), source, Storage.local(), RecordRows("a"))

    tracemalloc.start()
    try:
        rows_read = sum(batch.table.num_rows for batch in batches)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows_read == 20_000
    assert peak < 8 * 1024 * 1024 < file.stat().st_size

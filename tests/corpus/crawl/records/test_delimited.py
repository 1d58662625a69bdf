from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.crawl.records import delimited, rows, streams
from airflow_provider_autoglm.corpus.crawl.records.delimited import read_delimited
from airflow_provider_autoglm.corpus.crawl.records.files import SourceFile
from airflow_provider_autoglm.corpus.crawl.records.rows import RecordRows
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import DamagedSourceError, MissingColumnsError, UnusableRecordsError
from airflow_provider_autoglm.settings import Source
from tests.corpus.crawl.records.conftest import Crawl


def test_quotes_newlines_and_empty_cells_are_read_as_written(tmp_path: Path, crawl_files: Crawl) -> None:
    file = tmp_path / "a.csv"
    file.write_text('text,title,stars\r\n"one, ""quoted""\nin two lines",T,5\r\n\r\ntwo,,\r\n', newline="")

    read = crawl_files(str(file))

    assert read.texts == ['one, "quoted"\nin two lines', "two"]
    assert [(row["title"], row["stars"], row["source"]) for row in read.kept] == [
        ("T", "5", "a.csv"),
        (None, None, "a.csv"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "gb18030", "shift_jis", "cp1252", "koi8-r"])
def test_the_encoding_of_a_file_is_detected(tmp_path: Path, crawl_files: Crawl, encoding: str) -> None:
    samples = {
        "gb18030": "这是一个关于城市交通的文档。内容很长。",
        "shift_jis": "これは都市交通に関する文書です。とても長い。",
        "koi8-r": "Это документ про городской транспорт",
    }
    text = samples.get(encoding, "Voilà: déjà à Genève, où chacun mange bien; größe")
    (tmp_path / "a.csv").write_bytes(("text,title\n" + f'"{text}",x\n' * 20).encode(encoding))

    read = crawl_files(str(tmp_path / "a.csv"))

    assert read.texts == [text] * 20


def test_a_given_encoding_and_delimiter_win(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.csv").write_bytes("text;title\nžluťoučký;kůň\n".encode("cp1250"))

    read = crawl_files({"files": str(tmp_path / "a.csv"), "encoding": "cp1250", "delimiter": ";"})

    assert (read.texts, read.kept[0]["title"]) == (["žluťoučký"], "kůň")


def test_a_mark_of_byte_order_is_no_part_of_the_first_name(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.tsv").write_bytes("\ufefftext\ttitle\none\tT\n".encode())

    assert crawl_files({"files": str(tmp_path / "a.tsv"), "encoding": "UTF8"}).texts == ["one"]


def test_bytes_of_another_encoding_cost_their_own_row(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,title\nfine,x\n" + "größe,y\n".encode("cp1252") + b"fine too,z\n")

    read = crawl_files({"files": str(tmp_path / "a.csv"), "encoding": "utf-8"})

    assert read.texts == ["fine", "fine too"]
    assert (read.reasons, read.rejected[0]["text"]) == (["invalid_encoding"], "gr\ufffd\ufffde")
    assert read.problems == ["text: bytes that are no text in this encoding; set encoding"]


def test_broken_records_cost_one_line_each(tmp_path: Path, crawl_files: Crawl) -> None:
    lines = [
        "text,title",
        "one,T",
        "ragged",
        'a "b",c,d',
        '"bad "quote" here",T',
        "two,T",
        '"never closed,T',
        "three,T",
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")

    read = crawl_files(str(tmp_path / "a.csv"))

    assert read.texts == ["one", "two", "three"]
    assert set(read.reasons) == {"invalid_record"}
    assert read.problems == [
        "line 3: 1 cells instead of 2",
        "line 4: 3 cells instead of 2",
        "line 5: ',' expected after '\"'",
        "line 7: unexpected end of data",
    ]
    assert read.rejected[-1]["text"] == '"never closed,T\n'


def test_a_quote_too_many_hides_no_lines_that_follow(tmp_path: Path, crawl_files: Crawl) -> None:
    lines = ['"stray,T', *[f"plain {number},T" for number in range(100)], '"quoted",T', "last,T"]
    (tmp_path / "a.csv").write_text("text,title\n" + "\n".join(lines))

    read = crawl_files(str(tmp_path / "a.csv"))

    assert read.texts == [*[f"plain {number}" for number in range(100)], "quoted", "last"]
    assert read.problems == ["line 2: ',' expected after '\"'"]


def test_nul_characters_and_fields_of_ten_megabytes_are_read(tmp_path: Path, crawl_files: Crawl) -> None:
    long = "x" * 10_000_000
    (tmp_path / "a.csv").write_text(f'text,title\nnul \0 here,T\n"{long}",T\n')

    assert crawl_files(str(tmp_path / "a.csv")).texts == ["nul \0 here", long]


def test_a_record_that_is_too_long_is_skipped_and_told(
    tmp_path: Path, crawl_files: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (streams, rows, delimited):
        monkeypatch.setattr(module, "MAX_RECORD_CHARACTERS", 100)
    before = csv.field_size_limit(100)
    (tmp_path / "a.csv").write_text(
        "text,title\none,T\n" + "x" * 250 + ",T\ntwo,T\n" + '"begun,T\n' + "y" * 120 + "\nthree,T\n"
    )

    try:
        read = crawl_files(str(tmp_path / "a.csv"))
    finally:
        csv.field_size_limit(before)

    assert read.texts == ["one", "two", "three"]
    assert read.problems == [
        "line 3: longer than 100 characters",
        "line 6: longer than 100 characters",
        "line 5: longer than 100 characters",
    ]


def test_fields_choose_columns_and_give_them_names(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.csv").write_text("id,body,kind,body2\n1,one,good,x\n")

    read = crawl_files({"files": str(tmp_path / "a.csv"), "fields": {"text": "body", "label": "kind"}})

    assert (read.texts, read.kept[0]["label"]) == (["one"], "good")
    assert not {"id", "body2", "kind"} & read.kept[0].keys()


def test_more_rows_than_a_batch_keep_their_order(tmp_path: Path, crawl_files: Crawl) -> None:
    texts = [f"row {number}" for number in range(2_500)]
    (tmp_path / "a.csv").write_text("text,title\n" + "".join(f"{text},T\n" for text in texts))

    assert crawl_files(str(tmp_path / "a.csv")).texts == texts


def test_columns_without_a_name_get_one(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.csv").write_text(",text, title \n0,one,T\n")

    row = crawl_files(str(tmp_path / "a.csv")).kept[0]

    assert (row["column_1"], row["title"]) == ("0", "T")


def test_a_header_of_no_use_is_a_named_error(tmp_path: Path, crawl_files: Crawl) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(UnusableRecordsError, match="the header names a more than once"):
        crawl_files(str(file))
    with pytest.raises(MissingColumnsError, match="missing columns body; found a, b, a"):
        crawl_files({"files": str(file), "fields": {"text": "body"}})
    file.write_text('"text"x,b\n1,2\n')
    with pytest.raises(UnusableRecordsError, match="the header is broken: line 1"):
        crawl_files(str(file))
    file.write_text("body,title\n1,2\n")
    with pytest.raises(MissingColumnsError, match="missing columns text; found body, title"):
        crawl_files(str(file))


@pytest.mark.parametrize("content", ["", "\n", "text,title\n"])
def test_a_file_without_rows_is_an_empty_corpus(tmp_path: Path, crawl_files: Crawl, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)

    assert crawl_files(str(tmp_path / "a.csv")).result.rows_in == 0


def test_a_packed_file_that_was_cut_off_fails_and_commits_nothing(tmp_path: Path, crawl_files: Crawl) -> None:
    packed = gzip.compress("".join(["text,title\n", *(f"row {n},T\n" for n in range(50_000))]).encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[:-2_000])

    with pytest.raises(DamagedSourceError, match=r"a\.csv\.gz is damaged.*Truncated compressed stream"):
        crawl_files(str(tmp_path / "a.csv.gz"))

    assert not (tmp_path / "out" / "_manifest.json").exists()


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=20), st.sampled_from([",", ";", "\t", "|"]))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_csv_writer_wrote_is_read_back(tmp_path: Path, written: list[tuple[str, str]], delimiter: str) -> None:
    file = tmp_path / "a.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("text", "title"), *written])

    source = Source(files=str(file), delimiter=delimiter)
    batches = list(read_delimited(SourceFile(str(file), "csv"), source, Storage.local(), RecordRows("a")))

    found = [(row["text"] or "", row["title"] or "") for batch in batches for row in batch.table.to_pylist()]
    assert found == written
    assert not any(reason for batch in batches for reason in batch.reason.to_pylist())


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_at_all_end_the_reading_of_a_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"text,title\n" + content + b"\nlast,row\n")

    source = Source(files=str(file), encoding="utf-8")
    batches = list(read_delimited(SourceFile(str(file), "csv"), source, Storage.local(), RecordRows("a")))

    texts = [text for batch in batches for text in batch.table["text"].to_pylist()]
    assert "last" in str(texts[-1])

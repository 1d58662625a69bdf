from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import DamagedSourceError, SettingsError
from tests.corpus.crawl.records.conftest import Crawl

PAGE = b"<html><head><title>T</title></head><body><p>Enough text for a document of its own.</p></body></html>"
TEXT = "Enough text for a document of its own."


def record(kind: str, url: str, block: bytes, content_type: str = "application/http; msgtype=response") -> bytes:
    head = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        "WARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789012>",
        "WARC-Date: 2026-01-02T03:04:05Z",
        f"WARC-Target-URI: {url}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(block)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def answer(body: bytes = PAGE, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/html; charset=utf-8", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def in_chunks(body: bytes) -> bytes:
    return b"%x;ext=1\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


def test_responses_are_pages_as_in_a_crawl(tmp_path: Path, crawl_files: Crawl) -> None:
    archive = [
        record("warcinfo", "", b"software: x\r\n", "application/warc-fields"),
        record("request", "https://a.org/1", b"GET / HTTP/1.1\r\n\r\n", "application/http; msgtype=request"),
        record("response", "https://a.org/1", answer(PAGE, 'ETag: "e"', "Last-Modified: yesterday")),
        record("response", "https://a.org/gone", answer(PAGE, status="404 Not Found")),
        record("response", "https://a.org/image", answer(b"\x89PNG\r\n\x1a\n\0\0")),
        record("response", "dns:a.org", b"20260102030405\r\na.org. 1 IN A 1.2.3.4\r\n", "text/dns"),
        record("resource", "https://a.org/resource", PAGE, "text/html"),
        record("response", "https://me:marked-secret@a.org/2", answer()),
    ]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(map(gzip.compress, archive)))

    read = crawl_files({"files": str(tmp_path / "a.warc.gz"), "name": "cc"})

    first, resource, secret = read.kept
    assert (first["url"], first["final_url"], first["status"], first["host"]) == (
        *("https://a.org/1", "https://a.org/1", 200),
        "a.org",
    )
    assert (first["title"], first["text"], first["etag"], first["last_modified"]) == ("T", TEXT, '"e"', "yesterday")
    assert (first["fetched_at"].isoformat(), first["source"]) == ("2026-01-02T03:04:05+00:00", "cc")
    assert (resource["text"], resource["status"], secret["url"]) == (TEXT, None, "https://***@a.org/2")
    assert read.reasons == ["http_404", "not_text"]
    schema = Corpus.open(read.result.uri).schemas()[0]
    assert schema.equals(CRAWL_SCHEMA)


def test_what_is_no_page_is_told_in_the_log(
    tmp_path: Path, crawl_files: Crawl, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.warc").write_bytes(
        record("revisit", "https://a.org/1", answer(b"")) + record("metadata", "https://a.org/1", b"a: b", "x/y")
    )
    with caplog.at_level(logging.INFO):
        assert crawl_files(str(tmp_path / "a.warc")).result.rows_in == 0

    assert "records that are no pages: {'revisit': 1, 'metadata': 1}" in caplog.text


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(PAGE), ["Content-Encoding: gzip"]),
        (pa.compress(PAGE, "brotli", asbytes=True), ["Content-Encoding: br"]),
        (in_chunks(PAGE), ["Transfer-Encoding: chunked"]),
        (in_chunks(gzip.compress(PAGE)), ["Transfer-Encoding: chunked", "Content-Encoding: gzip"]),
        (PAGE, ["Transfer-Encoding: chunked", "Content-Encoding: gzip"]),
    ],
    ids=["gzip", "brotli", "chunks", "chunks of gzip", "neither"],  # gzip writes the time, and workers compare ids
)
def test_bodies_are_unpacked_where_they_are_packed(
    tmp_path: Path, crawl_files: Crawl, body: bytes, headers: list[str]
) -> None:
    archive = record("response", "https://a.org/1", answer(body, *headers)) + record(
        "response", "https://a.org/2", answer()
    )
    (tmp_path / "a.warc").write_bytes(archive)

    assert crawl_files(str(tmp_path / "a.warc")).texts == [TEXT, TEXT]


def test_conversions_are_text_already(tmp_path: Path, crawl_files: Crawl) -> None:
    texts = ["Größe und Gewicht.".encode(), b"nul\0 here", b"not \xff utf-8", b" "]
    archive = [record("conversion", f"https://a.org/{n}", text, "text/plain") for n, text in enumerate(texts)]
    (tmp_path / "CC-MAIN.warc.wet.gz").write_bytes(b"".join(map(gzip.compress, archive)))

    read = crawl_files(str(tmp_path / "CC-MAIN.warc.wet.gz"))

    assert read.texts == ["Größe und Gewicht.", "nul here"]
    assert sorted(read.reasons) == ["empty_text", "invalid_encoding"]


def test_more_than_max_page_bytes_is_cut_off_and_said(tmp_path: Path, crawl_files: Crawl) -> None:
    long = b"<p>" + b"many words " * 10_000
    archive = [
        record("response", "https://a.org/1", answer(long)),
        record("response", "https://a.org/2", answer(gzip.compress(long), "Content-Encoding: gzip")),
        record("conversion", "https://a.org/3", "ü".encode() * 10_000, "text/plain"),
        record("conversion", "https://a.org/4", b"short", "text/plain"),
    ]
    (tmp_path / "a.warc").write_bytes(b"".join(archive))

    read = crawl_files(str(tmp_path / "a.warc"), max_page_bytes=4_001)

    assert [row["truncated"] for row in read.kept] == [True, True, True, False]
    assert [len(text) < 4_010 for text in read.texts] == [True] * 4
    assert set(read.texts[2]) == {"ü"}


def test_pages_that_ask_not_to_be_indexed_are_left_out(tmp_path: Path, crawl_files: Crawl) -> None:
    archive = record("response", "https://a.org/1", answer(PAGE, "X-Robots-Tag: noindex"))
    (tmp_path / "a.warc").write_bytes(archive)

    assert crawl_files(str(tmp_path / "a.warc")).result.metrics["removed/noindex"] == 1
    assert crawl_files(str(tmp_path / "a.warc"), out="all", obey_noindex=False).texts == [TEXT]


def test_a_page_that_keeps_its_parser_busy_is_given_up(tmp_path: Path, crawl_files: Crawl) -> None:
    slow = b"<p " + b" ".join(b"a%d=1" % n for n in range(60_000)) + b">text</p>"
    archive = record("response", "https://a.org/1", answer(slow)) + record("response", "https://a.org/2", answer())
    (tmp_path / "a.warc").write_bytes(archive)

    read = crawl_files(str(tmp_path / "a.warc"), parse_timeout_s=0.2)

    assert (read.reasons, read.texts) == (["parse_timeout"], [TEXT])


def test_more_pages_than_a_batch_are_all_read(tmp_path: Path, crawl_files: Crawl) -> None:
    archive = [record("conversion", f"https://a.org/{n}", b"text %d" % n, "text/plain") for n in range(1_200)]
    (tmp_path / "a.wet").write_bytes(b"".join(archive))

    assert crawl_files(str(tmp_path / "a.wet")).texts == [f"text {n}" for n in range(1_200)]


def test_an_archive_that_ends_within_a_record_fails(tmp_path: Path, crawl_files: Crawl) -> None:
    first = record("response", "https://a.org/1", answer())
    second = record("response", "https://a.org/2", answer())
    for cut in range(1, len(second) - 4, 7):
        (tmp_path / "a.warc").write_bytes(first + second[:cut])
        with pytest.raises(DamagedSourceError, match=r"a\.warc"):
            crawl_files(str(tmp_path / "a.warc"))


def test_what_is_no_archive_fails(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.warc").write_bytes(b"hello\n" * 100)

    with pytest.raises(DamagedSourceError, match="Invalid WARC header"):
        crawl_files(str(tmp_path / "a.warc"))


def test_a_record_without_a_readable_date_or_host_is_still_a_page(tmp_path: Path, crawl_files: Crawl) -> None:
    archive = record("conversion", "https://[broken/1", b"some text", "text/plain")
    (tmp_path / "a.warc").write_bytes(archive.replace(b"2026-01-02T03:04:05Z", b"once upon a time"))

    (row,) = crawl_files(str(tmp_path / "a.warc")).kept

    assert (row["text"], row["fetched_at"], row["host"]) == ("some text", None, "[broken")


def test_fields_mean_nothing_in_an_archive_and_are_refused(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.warc").write_bytes(record("response", "https://a.org/1", answer()))

    with pytest.raises(SettingsError, match="whose columns are those of a crawl"):
        crawl_files({"files": str(tmp_path / "a.warc"), "fields": {"text": "text"}})

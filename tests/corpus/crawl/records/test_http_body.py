from __future__ import annotations

import gzip
import zlib

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.crawl.records.http_body import decoded_body

BODY = b"the body of an answer " * 100
RAW_DEFLATE = zlib.compress(BODY)[2:-4]


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (gzip.compress(BODY, mtime=0), "gzip"),
        (gzip.compress(BODY, mtime=0), " X-GZIP "),
        (zlib.compress(BODY), "deflate"),
        (RAW_DEFLATE, "deflate"),
        (pa.compress(BODY, "zstd", asbytes=True), "zstd"),
        (pa.compress(BODY, "brotli", asbytes=True), "br"),
        (BODY, ""),
        (BODY, "identity"),
        (BODY, "gzip"),
        (BODY, "deflate"),
        (BODY, "br"),
        (BODY, "unknown"),
    ],
)
def test_a_body_is_unpacked_if_it_is_packed(packed: bytes, encoding: str) -> None:
    assert decoded_body(packed, "", encoding, 1_000_000) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_no_more_than_the_limit_is_unpacked(encoding: str) -> None:
    bomb = zlib.compress(bytes(50_000_000)) if encoding == "deflate" else gzip.compress(bytes(50_000_000))

    assert decoded_body(bomb, "", encoding, 1_000) == bytes(1_000)


def test_a_packed_body_that_was_cut_off_keeps_its_beginning() -> None:
    lines = b"".join(b"line %d\n" % number for number in range(100_000))

    found = decoded_body(gzip.compress(lines)[:-100], "", "gzip", 10_000_000)

    assert lines.startswith(found)
    assert len(found) > 100_000


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"3\nabc\n0\n\n", b"abc"),
        (b"3\r\nabc\r\n2\r\nd", b"abcd"),
        (b"never in chunks", b"never in chunks"),
        (b"3\r\nabcdef and more", b"3\r\nabcdef and more"),
        (b"", b""),
    ],
)
def test_chunks_are_joined_if_they_are_chunks(sent: bytes, body: bytes) -> None:
    assert decoded_body(sent, "Chunked", "", 1_000) == body

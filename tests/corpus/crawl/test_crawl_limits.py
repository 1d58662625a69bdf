"""Budgets, sizes and times: whatever a server sends, a crawl ends and takes no more than it may."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import brotli
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.store import Corpus
from tests.corpus.crawl.conftest import FAST, Reply, Site, crawl_measured, outcomes

MEBIBYTE = 1024 * 1024
PROSE = b"This page was packed for its journey, and unpacked again. "


@pytest.fixture
def tree(site: Site) -> Site:
    """Three levels of 1, 4 and 16 pages."""
    site.add("/", *(f"/{number}" for number in range(4)))
    for number in range(4):
        site.add(f"/{number}", *(f"/{number}/{leaf}" for leaf in range(4)))
        for leaf in range(4):
            site.add(f"/{number}/{leaf}")
    return site


def test_a_budget_of_pages_ends_the_crawl_as_a_success(tree: Site, tmp_path: Path) -> None:
    result = crawl([tree.url], str(tmp_path / "out"), FAST | {"max_pages": 7})

    assert result.rows_in == result.rows_out == 7
    assert result.metrics["not_visited/max_pages"] > 0


def test_a_budget_of_pages_of_one_host_leaves_the_others_alone(
    tree: Site, new_site: Callable[[], Site], tmp_path: Path
) -> None:
    small = new_site()
    small.add("/", "/1", "/2")
    small.add("/1")
    small.add("/2")

    result = crawl([tree.url, small.url], str(tmp_path / "out"), FAST | {"max_pages_per_host": 6})

    by_host = [row["host"] for row in Corpus.open(result.uri).to_table().to_pylist()]
    assert sorted(map(by_host.count, set(by_host))) == [3, 6]
    assert result.metrics["not_visited/max_pages_per_host"] > 0


def test_a_budget_of_bytes_ends_the_crawl_as_a_success(tree: Site, tmp_path: Path) -> None:
    for page in tree.pages.values():
        page.body = page.body.ljust(10_000)
    settings = FAST | {"max_total_bytes": 45_000, "concurrency": 1}

    result = crawl([tree.url], str(tmp_path / "out"), settings)

    assert result.rows_out == 5
    assert 45_000 <= result.metrics["bytes"] <= 60_000
    assert result.metrics["not_visited/max_total_bytes"] > 0


def test_a_budget_of_time_ends_the_crawl_as_a_success(tree: Site, tmp_path: Path) -> None:
    # Twenty-one pages would take ten seconds.
    settings = FAST | {"max_duration_s": 2.5, "delay_s": 0.5}

    result = crawl([tree.url], str(tmp_path / "out"), settings)

    assert 1 <= result.rows_out < 21
    assert result.metrics["not_visited/max_duration_s"] > 0


def announced(size: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """A page of prose of so many bytes, said in its Content-Length."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(size))
        request.send_header("Content-Type", "text/html")
        request.end_headers()
        block = b"<p>" + b"A large page goes on and on. " * 300 + b"</p>\n"
        for _ in range(size // len(block)):
            request.wfile.write(block)

    return answer


def endless_headers(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    line = b"X-Header: " + b"a" * 8_000 + b"\r\n"
    for _ in range(50_000):
        request.wfile.write(line)


def endless_promises(request: BaseHTTPRequestHandler) -> None:
    for _ in range(1_000_000):
        request.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def one_long_header(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Header: ")
    for _ in range(100):
        request.wfile.write(b"a" * MEBIBYTE)


def endless_status(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 ")
    for _ in range(100):
        request.wfile.write(b"O" * MEBIBYTE)


def wide_chunks(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b"0" * MEBIBYTE)


def no_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    request.close_connection = True


def many_headers(request: BaseHTTPRequestHandler) -> None:
    """Much, but no more than some sites send."""
    body = b"<main><p>This page comes with a great many headers.</p></main>"
    request.send_response(200)
    for number in range(200):
        request.send_header(f"X-Header-{number}", "a" * 500)
    request.send_header("Content-Length", str(len(body)))
    request.send_header("Content-Type", "text/html")
    request.end_headers()
    request.wfile.write(body)


def zeros(size: int, compressor: Any) -> bytes:
    block = bytes(MEBIBYTE)
    return b"".join([*(compressor.compress(block) for _ in range(size // MEBIBYTE)), compressor.flush()])


def encoded(body: bytes, encoding: str) -> Reply:
    return Reply(body, headers={"Content-Encoding": encoding})


def test_whatever_is_sent_a_crawl_holds_little_of_it(site: Site, tmp_path: Path) -> None:
    prose = b"<main><p>" + PROSE + b"</p></main>"
    bomb = zeros(300 * MEBIBYTE, zlib.compressobj(9, wbits=31))
    expected = {
        "endless-headers": "connection_failed",
        "endless-promises": "connection_failed",
        "one-long-header": "connection_failed",
        "endless-status": "connection_failed",
        "wide-chunks": "connection_failed",
        "no-http": "connection_failed",
        "gzip-bomb": "too_large",
        "gzip-twice": "too_large",
        "deflate-bomb": "too_large",
        "brotli-bomb": "too_large",
        "large": "ok",
        "many-headers": "ok",
        "gzip": "ok",
        "deflate": "ok",
        "raw-deflate": "ok",
        "brotli": "ok",
        "zstd": "ok",
        "unknown-encoding": "not_text",
        "not-gzip": "bad_encoding",
        "half-brotli": "ok",
    }
    site.add("/", *(f"/{path}" for path in expected))
    site.answers |= {
        "/endless-headers": endless_headers,
        "/endless-promises": endless_promises,
        "/one-long-header": one_long_header,
        "/endless-status": endless_status,
        "/wide-chunks": wide_chunks,
        "/no-http": no_http,
        "/many-headers": many_headers,
        "/large": announced(100 * MEBIBYTE),
    }
    site.pages |= {
        "/gzip-bomb": encoded(bomb, "gzip"),
        "/gzip-twice": encoded(gzip.compress(bomb), "gzip, gzip"),
        "/deflate-bomb": encoded(zeros(300 * MEBIBYTE, zlib.compressobj(9)), "deflate"),
        "/brotli-bomb": encoded(brotli.compress(bytes(64 * MEBIBYTE), quality=4), "br"),
        "/gzip": encoded(gzip.compress(prose), "gzip"),
        "/deflate": encoded(zlib.compress(prose), "deflate"),
        "/raw-deflate": encoded(zlib.compress(prose, wbits=-15), "deflate"),
        "/brotli": encoded(brotli.compress(prose), "br"),
        # A frame of one raw block: zstd without a compressor.
        "/zstd": encoded(bytes.fromhex("28b52ffd2000")[:5] + bytes([len(prose)]) + raw_block(prose), "zstd"),
        "/unknown-encoding": encoded(lzma.compress(prose), "xz"),
        "/half-brotli": encoded(brotli.compress(PROSE * 100)[:90], "br"),
        "/not-gzip": encoded(b"This is no gzip at all.", "gzip"),
    }

    uri, peak_mebibytes = crawl_measured([site.url], tmp_path / "out", FAST | {"timeout_s": 30})

    found = {url.removeprefix(f"{site.url}/"): outcome for url, outcome in outcomes(uri).items()}
    assert found == {"": "ok"} | expected
    rows = {row["url"]: row for row in Corpus.open(uri).to_table().to_pylist()}
    assert {url for url, row in rows.items() if row["truncated"]} == {f"{site.url}/large"}
    assert 9 * MEBIBYTE < len(rows[f"{site.url}/large"]["text"]) < 10 * MEBIBYTE
    assert rows[f"{site.url}/zstd"]["text"] == rows[f"{site.url}/gzip"]["text"]
    assert peak_mebibytes < 400


def raw_block(content: bytes) -> bytes:
    return (len(content) << 3 | 1).to_bytes(3, "little") + content


def test_answers_that_do_not_end_are_given_up_after_the_time_that_is_set(site: Site, tmp_path: Path) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not site.release.wait(0.05):
            request.wfile.write(b"a")

    def drip_headers(request: BaseHTTPRequestHandler) -> None:
        while not site.release.wait(0.05):
            request.wfile.write(b"H")

    def half(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"<p>This page ends before its time.")
        request.close_connection = True

    def further(request: BaseHTTPRequestHandler) -> None:
        number = int(request.path.rpartition("/")[2]) + 1
        site.answers[f"/chain/{number}"] = further
        request.send_response(302)
        request.send_header("Location", f"/chain/{number}")
        request.send_header("Content-Length", "0")
        request.end_headers()

    site.add("/", "/hang", "/drip", "/drip-headers", "/half", "/good", "/chain/0")
    site.add("/good")
    site.answers["/chain/0"] = further
    site.held.add("/hang")
    site.answers |= {"/drip": drip, "/drip-headers": drip_headers, "/half": half}

    found = outcomes(crawl([site.url], str(tmp_path / "out"), FAST | {"timeout_s": 2}).uri)

    assert {url.removeprefix(site.url): outcome for url, outcome in found.items()} == {
        "/": "ok",
        "/good": "ok",
        "/hang": "timeout",
        "/drip": "timeout",
        "/drip-headers": "timeout",
        "/half": "connection_failed",
        **{f"/chain/{number}": "redirected" for number in range(20)},
        "/chain/20": "too_many_redirects",
    }


def test_of_a_page_of_links_without_number_some_are_visited(site: Site, tmp_path: Path) -> None:
    links = "".join(f"<a href='/numbered/{number}'>{number}</a> " for number in range(50_000))
    site.pages["/"] = Reply(f"<main><p>A page of a great many links.</p>{links}</main>".encode())

    result = crawl([site.url], str(tmp_path / "out"), FAST | {"max_pages": 30})

    assert (result.rows_in, result.rows_out) == (30, 1)
    assert result.metrics["not_visited/max_pages"] > 9_000

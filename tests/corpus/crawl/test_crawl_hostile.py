"""The hostile site does what it says: the tests of the crawl rest on it."""

from __future__ import annotations

import gzip
import http.client
import socket
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from airflow_provider_autoglm.corpus.crawl.page import Page, read_page
from airflow_provider_autoglm.corpus.crawl.traps import date_shape, trap_in, without_session
from tests.corpus.crawl.hostile import (
    BOMB_BYTES,
    CRAWL_DELAY_S,
    ENDLESS_PAGE_BYTES,
    FORBIDDEN,
    GOOD_PAGES,
    LONG_CHAIN,
    MEBIBYTE,
    VERSIONED,
    HostileSite,
    gzip_bomb,
    hostile_site,
)


@pytest.fixture(scope="module")
def site() -> Iterator[HostileSite]:
    with hostile_site() as running:
        yield running


class Answer:
    def __init__(self, site: HostileSite, path: str, **headers: str) -> None:
        connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=30)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            self.status = response.status
            self.headers = response.headers
            self.body = response.read(2 * MEBIBYTE)
            self.url = site.url + path
        finally:
            connection.close()

    @property
    def page(self) -> Page:
        return read_page(
            self.url,
            self.headers.get("Content-Type", ""),
            self.body,
            robots_tag=self.headers.get("X-Robots-Tag", ""),
        )


@pytest.fixture(scope="module")
def start(site: HostileSite) -> Page:
    return Answer(site, "/").page


def test_every_good_page_says_its_sentence(site: HostileSite) -> None:
    for path, sentence in site.good.items():
        answers = [Answer(site, path) for _ in range({"/flaky": 3, "/too-many": 2}.get(path, 1))]
        assert sentence in str(answers[-1].page.text), path
        assert answers[-1].status == 200
        assert {answer.status for answer in answers[:-1]} <= {503, 429}


def test_the_start_page_and_a_chain_lead_to_all_good_pages(site: HostileSite, start: Page) -> None:
    found = set(start.links)
    for number in range(GOOD_PAGES):
        found |= set(Answer(site, f"/good/{number}").page.links)
    assert site.good_urls <= found
    assert {site.url + path for path in (*site.rejected, *site.removed, *FORBIDDEN)} <= found
    assert not any("secret@" in link or link.startswith("file:") for link in found)


def test_robots_is_served_as_bytes_and_its_breaking_is_seen(site: HostileSite) -> None:
    answer = Answer(site, "/robots.txt")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert f"Crawl-delay: {CRAWL_DELAY_S}" in answer.body.decode()
    assert f"Sitemap: {site.url}/sitemap.xml" in answer.body.decode()
    before = len(site.disallowed)
    for path in FORBIDDEN:
        assert Answer(site, path).status == 200
    assert site.disallowed[before:] == list(FORBIDDEN)
    assert "/good/1" not in site.disallowed


@pytest.mark.parametrize("number", [404, 410, 403, 500])
def test_errors_are_errors(site: HostileSite, number: int) -> None:
    assert Answer(site, f"/status/{number}").status == number


def test_redirects_go_round_on_and_elsewhere(site: HostileSite) -> None:
    assert Answer(site, "/redirect/loop/a").headers["Location"] == "/redirect/loop/b"
    assert Answer(site, "/redirect/loop/b").headers["Location"] == "/redirect/loop/a"
    assert Answer(site, f"/chain/{LONG_CHAIN - 1}").headers["Location"] == f"/chain/{LONG_CHAIN}"
    assert Answer(site, f"/chain/{LONG_CHAIN}").status == 200
    away = [path for path in site.rejected if path.startswith("/away/")]
    targets = [Answer(site, path).headers["Location"] for path in away]
    assert len(set(targets)) == len(away) == 12
    inside = urlsplit(site.inner_url).port
    assert f"http://0x7f000001:{inside}/" in targets
    assert "file:///etc/passwd" in targets


def test_the_inner_server_sees_who_reaches_it(site: HostileSite) -> None:
    with socket.create_connection((urlsplit(site.inner_url).hostname, urlsplit(site.inner_url).port)) as connection:
        connection.sendall(b"GET /inside HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert [seen.path for seen in site.inner_requests] == ["/inside"]
    site.inner_requests.clear()


def _received(connection: socket.socket) -> bytes:
    """What comes before nothing comes for a while; fails if the connection ends."""
    received = b""
    try:
        while block := connection.recv(1_000):
            received += block
    except TimeoutError:
        return received
    raise AssertionError("the connection has ended")


def test_some_pages_never_end(site: HostileSite) -> None:
    for path, first in (("/hang", b""), ("/drip", b"HTTP/1.1 200")):
        with socket.create_connection(
            (urlsplit(site.url).hostname, urlsplit(site.url).port), timeout=0.3
        ) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            received = _received(connection)
            assert received.startswith(first)
            assert bool(received) is bool(first)


def test_some_pages_end_too_early(site: HostileSite) -> None:
    short = Answer(site, "/short")
    assert len(short.body) < int(short.headers["Content-Length"])
    with pytest.raises(http.client.RemoteDisconnected):
        Answer(site, "/closed")


def test_the_bomb_is_small_and_unpacks_to_a_gigabyte(site: HostileSite) -> None:
    answer = Answer(site, "/bomb")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.body == gzip_bomb()
    assert len(answer.body) < 2 * MEBIBYTE
    unpacker, size, rest = zlib.decompressobj(31), 0, answer.body
    while not unpacker.eof:
        size += len(unpacker.decompress(rest, MEBIBYTE))
        rest = unpacker.unconsumed_tail
    assert size == BOMB_BYTES


def test_the_large_page_is_as_large_as_it_says(site: HostileSite) -> None:
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=30)
    connection.request("GET", "/large")
    response = connection.getresponse()
    assert response.headers["Content-Length"] == str(ENDLESS_PAGE_BYTES)
    size = 0
    while block := response.read(MEBIBYTE):
        size += len(block)
    connection.close()
    assert size == ENDLESS_PAGE_BYTES


@pytest.mark.parametrize("path", ["/deep", "/empty", "/binary", "/json"])
def test_pages_that_are_none_have_the_reason_that_is_told(site: HostileSite, path: str) -> None:
    assert Answer(site, path).page.reason == site.rejected[path]


def test_pages_say_about_themselves_what_is_told(site: HostileSite) -> None:
    assert Answer(site, "/meta/noindex").page.is_noindex
    assert Answer(site, "/header/noindex").page.is_noindex
    assert Answer(site, "/meta/canonical").page.canonical == site.url + "/good/1"
    assert Answer(site, "/meta/published").page.published_at is not None
    assert b"/unfollowed" in Answer(site, "/meta/nofollow").body
    assert Answer(site, "/meta/nofollow").page.links == ()
    assert "Content-Type" not in Answer(site, "/no-type").headers


def test_traps_lead_on_for_ever(site: HostileSite) -> None:
    for start in ("/calendar", "/calendar/2030/01/", "/lobby", "/loop/", "/shop", "/session/"):
        url, seen = site.url + start, set()
        for _ in range(30):
            url = Answer(site, url.removeprefix(site.url)).page.links[-1 if start != "/shop" else len(seen) % 20]
            seen.add(url)
        assert len(seen) > 10, start


def test_traps_can_be_told_from_their_addresses(site: HostileSite) -> None:
    calendar = Answer(site, "/calendar?month=12&year=2028").page.links
    assert {date_shape(link) for link in calendar} == {
        site.url + "/calendar?month={m}&year={y}",
        site.url + "/calendar/{y}/{m}/",
    }
    assert trap_in(site.url + "/calendar?month=1&year=1989") == "calendar"
    assert trap_in(site.url + "/loop/a/b/a/b/a/b/") == "repeating_path"
    assert {without_session(link) for link in Answer(site, "/session/").page.links} == {site.url + "/session/"}


def test_many_links_are_many(site: HostileSite) -> None:
    assert Answer(site, "/many-links").body.count(b"<a href=") == 50_000
    assert Answer(site, "/numbered?n=7").status == 200


def test_lists_name_pages_that_nothing_else_names(site: HostileSite) -> None:
    index = Answer(site, "/sitemap.xml").body.decode()
    parts = [Answer(site, f"/{name}").body for name in ("sitemap-0.xml.gz", "sitemap-2.xml.gz")]
    assert all(f"/{name}" in index for name in ("sitemap-0.xml.gz", "sitemap-broken.xml.gz", "sitemap-2.xml.gz"))
    assert f"{site.url}/from-sitemap/0" in gzip.decompress(parts[0]).decode()
    with pytest.raises(EOFError):
        gzip.decompress(Answer(site, "/sitemap-broken.xml.gz").body)
    for path in ("/rss.xml", "/atom.xml"):
        assert f"{site.url}/from-feed/{path[1:-4]}" in Answer(site, path).body.decode()
    for path in ("/from-sitemap/2", "/from-feed/rss", "/from-feed/atom"):
        assert Answer(site, path).page.reason is None


def test_pages_change_and_go_when_told() -> None:
    with hostile_site() as site:
        for path in VERSIONED:
            first = Answer(site, path)
            conditions = {
                name: value
                for name, header in (("If_None_Match", "ETag"), ("If_Modified_Since", "Last-Modified"))
                if (value := first.headers[header])
            }
            again = Answer(site, path, **conditions)
            assert (again.status, again.body) == (304, b"")
            site.change()
            changed = Answer(site, path, **conditions)
            assert changed.status == 200
            assert changed.body != first.body
            site.version = 0
        site.remove("/good/3")
        assert Answer(site, "/good/3").status == 410
        assert site.paths()[-1] == "/good/3"
        assert site.requests[-1].at >= site.requests[0].at
        assert site.requests[0].headers["Host"] == urlsplit(site.url).netloc


def test_there_is_nothing_at_other_paths(site: HostileSite) -> None:
    assert Answer(site, "/nothing").status == 404
    assert Answer(site, f"/good/{GOOD_PAGES}").status == 404

"""Sitemaps and feeds as sources: the pages they list, and no others."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path

import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.feeds import read_feed
from airflow_provider_autoglm.corpus.crawl.sitemaps import MAX_SITEMAP_BYTES, latest_change, read_sitemap
from airflow_provider_autoglm.corpus.store import Corpus
from tests.corpus.crawl.conftest import PATIENT, Reply, Site, feed_of, outcomes, redirect

SPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


def urlset(*locations: str) -> bytes:
    entries = "".join(f"<url><loc>{location}</loc></url>" for location in locations)
    return f'<?xml version="1.0"?><urlset xmlns="{SPACE}">{entries}</urlset>'.encode()


def index(*locations: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{location}</loc></sitemap>" for location in locations)
    return f'<sitemapindex xmlns="{SPACE}">{entries}</sitemapindex>'.encode()


def test_the_pages_of_a_sitemap_are_visited_and_their_links_are_not(
    site: Site, new_site: Callable[[], Site], tmp_path: Path
) -> None:
    other = new_site()
    other.add("/listed")
    for path in ("/one", "/two", "/three", "/four", "/q?a=1&b=2"):
        site.add(path, "/linked")
    site.add("/linked")
    site.pages |= {
        "/index": Reply(
            index(
                f"{site.url}/moved.xml", f"{site.url}/2.xml.gz", "/3.xml", f"{site.url}/broken.xml", "/index", "/no.xml"
            ),
            content_type="text/plain",
        ),
        "/moved.xml": redirect("/1.xml"),
        "/1.xml": Reply(urlset(f" {site.url}/one\n", f"{other.url}/listed", f"{site.url}/q?a=1&amp;b=2")),
        "/2.xml.gz": Reply(gzip.compress(urlset(f"{site.url}/two", f"{site.url}/one")), content_type=None),
        "/3.xml": Reply(gzip.compress(gzip.compress(index(f"{site.url}/4.xml"))), headers={"Content-Encoding": "gzip"}),
        "/4.xml": Reply(urlset(f"{site.url}/three", f"{site.url}/missing").replace(b"</urlset>", b"<url><loc>/four")),
        "/broken.xml": Reply(b"\x1f\x8b no gzip at all"),
    }

    result = crawl([{"sitemap": f"{site.url}/index", "name": "news"}], str(tmp_path / "out"), PATIENT)

    assert outcomes(result.uri) == {
        **{f"{site.url}{path}": "ok" for path in ("/one", "/two", "/three", "/four", "/q?a=1&b=2")},
        f"{site.url}/missing": "http_404",
        f"{site.url}/broken.xml": "no_entries",
        f"{site.url}/no.xml": "http_404",
    }
    rows = Corpus.open(result.uri).to_table().to_pylist()
    assert {(row["source"], row["depth"]) for row in rows} == {("news", 0)}
    assert other.served == []
    assert site.served.count("/index") == site.served.count("/one") == 1


def test_the_pages_of_feeds_are_visited_wherever_they_are_and_their_links_are_not(
    site: Site, new_site: Callable[[], Site], tmp_path: Path
) -> None:
    other = new_site()
    other.add("/article", "/linked")
    other.pages["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /private\n")
    other.add("/private")
    other.pages["/short"] = redirect("/article")
    for path in ("/rss", "/rdf", "/atom/entry"):
        site.add(path, "/linked")
    site.pages |= {
        "/feeds/rss.xml": Reply(
            f"<rss version='2.0'><channel><link>{site.url}/linked</link><item><link>../rss</link></item>"
            f"<item><link>{other.url}/article</link></item><item><link>{other.url}/private</link></item>"
            f"<item><link>{other.url}/short</link></item></channel></rss>".encode()
        ),
        "/feeds/rdf.xml": Reply(
            "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'>"
            f"<channel><link>{site.url}/linked</link></channel><item><link>/rdf</link></item></rdf:RDF>".encode()
        ),
        "/moved.xml": redirect("/feeds/atom.xml"),
        "/feeds/atom.xml": Reply(
            b"<feed xmlns='http://www.w3.org/2005/Atom' xml:base='/atom/'><link href='/linked'/>"
            b"<entry><link rel='alternate' href='entry'/></entry></feed>",
            content_type="application/atom+xml",
        ),
        "/page": Reply(b"<html><body>No feed here."),
    }
    feeds = ("feeds/rss.xml", "feeds/rdf.xml", "moved.xml", "page", "missing.xml")

    result = crawl([{"feed": f"{site.url}/{path}"} for path in feeds], str(tmp_path / "out"), PATIENT)

    assert outcomes(result.uri) == {
        **{f"{site.url}{path}": "ok" for path in ("/rss", "/rdf", "/atom/entry")},
        f"{other.url}/article": "ok",
        f"{other.url}/private": "robots",
        f"{other.url}/short": "redirected",
        f"{site.url}/page": "no_entries",
        f"{site.url}/missing.xml": "http_404",
    }
    assert "/linked" not in site.served + other.served


def test_sources_of_all_kinds_are_one_crawl_and_a_site_that_is_a_source_is_followed(
    site: Site, new_site: Callable[[], Site], tmp_path: Path
) -> None:
    blog, maps = new_site(), new_site()
    site.add("/", "/a", f"{blog.url}/post", f"{maps.url}/x")
    site.add("/a", "/b")
    site.add("/b")
    site.add("/orphan", "/below-orphan")
    site.add("/below-orphan")
    site.pages["/map.xml"] = Reply(urlset(f"{site.url}/", f"{site.url}/orphan"))
    blog.pages["/feed"] = feed_of(f"{blog.url}/post", f"{site.url}/b")
    blog.add("/post", "/older")
    blog.add("/older")
    maps.pages["/map.xml"] = Reply(urlset(f"{maps.url}/x"))
    maps.add("/x", "/y")
    maps.add("/y")
    lists = [{"sitemap": f"{site.url}/map.xml"}, {"feed": f"{blog.url}/feed"}, {"sitemap": f"{maps.url}/map.xml"}]

    for order in ([*lists, site.url], [site.url, *lists]):
        result = crawl(order, str(tmp_path / f"out-{order.index(site.url)}"), PATIENT)

        assert outcomes(result.uri) == {
            **{f"{site.url}{path}": "ok" for path in ("/", "/a", "/b", "/orphan", "/below-orphan")},
            f"{blog.url}/post": "ok",
            f"{maps.url}/x": "ok",
        }


def test_sitemaps_without_end_are_left_after_as_many_as_pages_may_be(site: Site, tmp_path: Path) -> None:
    numbers = count()
    site.add("/")

    def endless(request: BaseHTTPRequestHandler) -> None:
        number = next(numbers)
        site.answers[f"/{number}.xml"] = endless
        body = index(f"{site.url}/{number}.xml", f"{site.url}/never/{number}.xml")
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    site.answers["/index.xml"] = endless

    result = crawl([site.url, {"sitemap": f"{site.url}/index.xml"}], str(tmp_path / "out"), PATIENT | {"max_pages": 9})

    found = outcomes(result.uri)
    assert found.pop(f"{site.url}/") == "ok"
    assert set(found.values()) == {"http_404"}, "those that are never there"
    assert len([path for path in site.served if path.endswith(".xml")]) == 1 + 9
    assert result.metrics["not_visited/sitemaps"] == 2 * 6 - 9


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            "<item><link>https://other.example/1</link><guid>https://e.example/g</guid></item>",
            ["https://other.example/1"],
        ),
        ("<item><guid>https://e.example/g</guid></item>", ["https://e.example/g"]),
        ("<item><guid isPermaLink='false'>https://e.example/g</guid></item>", []),
        ("<item><guid>tag:e.example,2026:1</guid></item>", []),
        ("<item><link>mailto:a@e.example</link><guid> https://e.example/g </guid></item>", ["https://e.example/g"]),
        ("<item><link> </link></item><item/><item><!-- no --><title>x</title></item>", ["https://e.example/feed/"]),
        ("<item><link>a</link></item><item><link>a#part</link></item>", ["https://e.example/feed/a"]),
        ("<entry><link rel='self' href='/s'/><link href='/l'/></entry>", ["https://e.example/l"]),
        ("<entry><link rel='related' href='https://e.example/r'/></entry>", ["https://e.example/r"]),
        ("<entry xml:base='https://b.example/x/'><link href='y'/></entry>", ["https://b.example/x/y"]),
        ("<entry xml:base='file:///etc/'><link href='passwd'/></entry>", []),
        ("<item><link>https://user:secret@e.example/</link></item>", []),
        ("<item><link><![CDATA[https://e.example/?a=1&b=2]]></link></item>", ["https://e.example/?a=1&b=2"]),
        (
            "<item><link>/first</link></item><item><link>/second</link>",
            ["https://e.example/first", "https://e.example/second"],
        ),
    ],
)
def test_an_entry_of_a_feed_gives_the_address_of_its_page(entries: str, expected: list[str]) -> None:
    body = f"<rss><channel>{entries}</channel></rss>".encode()

    assert list(read_feed("https://e.example/feed/", body)) == expected


@pytest.mark.parametrize("body", [b"", b"no xml", b"\x00\xff", b"<", b'{"items": []}'])
def test_what_is_no_feed_or_sitemap_is_empty(body: bytes) -> None:
    assert read_feed("https://e.example/", body) == ()
    assert read_sitemap("https://e.example/", body).pages == ()


def test_entities_are_not_expanded_and_no_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("https://e.example/secret")
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    head = f'<!DOCTYPE x [<!ENTITY e0 "lol">{entities}<!ENTITY file SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    feed = f"{head}<rss><item><link>&file;</link></item><item><link>/&e11;</link></item></rss>".encode()
    sitemap = f"{head}<urlset><url><loc>&file;</loc></url><url><loc>/ok</loc></url></urlset>".encode()

    assert "https://e.example/secret" not in read_feed("https://e.example/", feed)
    found = [url for url, _ in read_sitemap("https://e.example/", sitemap).pages]
    assert found[-1] == "https://e.example/ok"
    assert all(len(url) < 100 and "secret" not in url for url in found)


def test_a_sitemap_that_unpacks_to_more_than_is_allowed_is_empty() -> None:
    bomb = gzip.compress(urlset("https://e.example/").ljust(MAX_SITEMAP_BYTES + 1))

    assert read_sitemap("https://e.example/", bomb).pages == ()


@pytest.mark.parametrize(
    ("lastmod", "moment"),
    [
        ("2026-11-01T10:00:00Z", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        (" 2026-11-01T12:00:00+02:00 ", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("2026-11-01T10:00:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 2, 12, tzinfo=UTC)),
        ("2026", None),
        ("yesterday", None),
        ("9999-12-31", None),
        ("", None),
        (None, None),
    ],
)
def test_a_last_change_is_the_latest_moment_that_may_be_meant(lastmod: str | None, moment: datetime | None) -> None:
    assert latest_change(lastmod) == moment

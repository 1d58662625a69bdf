from __future__ import annotations

import time

import pytest

from airflow_provider_autoglm.corpus.crawl.charset import decode_page
from airflow_provider_autoglm.corpus.crawl.page import MAX_NESTING, read_page
from airflow_provider_autoglm.corpus.crawl.urls import normalise_url, resolve_url, site_of

URL = "http://host/dir/page"
SECONDS_FOR_ANY_PAGE = 5


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("HTTP://Host:80/a#part", "http://host/a"),
        ("https://host:443", "https://host/"),
        ("http://host:8080/ä b?q=ü", "http://host:8080/%C3%A4%20b?q=%C3%BC"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
        ("http://user:secret@host/", None),
        ("ftp://host/", None),
        ("http://host:port/", None),
        ("http:///path", None),
        ("http://host/" + "x" * 3_000, None),
    ],
)
def test_an_address_has_one_spelling(written: str, normalised: str | None) -> None:
    assert normalise_url(written) == normalised


def test_links_are_resolved_and_known_by_host_and_port() -> None:
    assert resolve_url(URL, "../up?x#y") == "http://host/up?x"
    assert resolve_url(URL, "http://[bad/") is None
    assert resolve_url(URL, "javascript:void(0)") is None
    assert site_of("http://host/") == "host:80" != site_of("https://host/")


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 200_000,
        "<div></b>" * 100_000,
        "<b><div>" * 50_000,
        "<font color=a>x<p>" * 20_000,
        "<ul><li>" * 50_000,
        "<table><tr><td>" * 30_000,
        "<p>a" * 500_000,
        "<div>" * 20_000 + "text" + "</div>" * 20_000,
        "<span>x" * 4_900,
        "<a href='/x'>y</a>" * 100_000,
        "<svg><desc>" * 30_000,
    ],
    ids=lambda html: html[:20],
)
def test_no_page_keeps_a_parser_busy(html: str) -> None:
    started = time.process_time()

    read_page(URL, "text/html", html.encode())

    assert time.process_time() - started < SECONDS_FOR_ANY_PAGE


@pytest.mark.parametrize(("nesting", "reason"), [(MAX_NESTING - 10, None), (MAX_NESTING + 10, "too_deep")])
def test_nesting_is_limited(nesting: int, reason: str | None) -> None:
    html = "<div>" * nesting + "A text that is long enough." + "</div>" * nesting
    assert read_page(URL, "text/html", html.encode()).reason == reason


def test_a_long_flat_page_with_unclosed_items_is_not_too_deep() -> None:
    items = "".join(f"<li>Item {number} of a list without end tags" for number in range(10_000))
    page = read_page(URL, "text/html", f"<main><p>A paragraph before the list.</p><ul>{items}</ul></main>".encode())
    assert page.reason is None


def test_links_of_a_page_without_text_are_kept() -> None:
    page = read_page(URL, "text/html", b"<ul><li><a href=a>one</a><li><a href=/b>two</a><li><a href=a#x>again</a></ul>")
    assert page.links == ("http://host/dir/a", "http://host/b")


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("", b"<p>A page whose server names no type.</p>", None),
        ("", b"%PDF-1.7 ...", "not_text"),
        ("application/json", b"{}", "not_text"),
        ("text/html", b"MZ\x90\x00\x03\x00\x00\x00", "not_text"),
        ("text/html; charset=nonsense", b"<p>A page with a charset nobody knows.</p>", None),
        ("text/html; charset=utf-16", "<p>A page of wide characters.</p>".encode("utf-16"), None),
        ("text/html; charset=base64", b"<p>A page with a codec that is no charset.</p>", None),
        ("text/plain", b"one\x00two", "not_text"),
    ],
)
def test_what_is_text_is_judged_by_type_and_content(content_type: str, body: bytes, reason: str | None) -> None:
    assert read_page(URL, content_type, body).reason == reason


@pytest.mark.parametrize("reference", ["&#xD800;", "&#xdfff;", "&#x0000dabc;", "&#55296;", "&#57343;", "&#56000;"])
def test_a_reference_to_half_a_pair_is_invalid_text(reference: str) -> None:
    html = f"<main><p>The text before {reference} and the text after.</p></main>"
    assert read_page(URL, "text/html", html.encode()).reason == "invalid_text"


@pytest.mark.parametrize("reference", ["&#xE000;", "&#128512;", "&amp;#xD800;", "&#55295;", "&#57344;"])
def test_other_references_are_not(reference: str) -> None:
    html = f"<main><p>The text before {reference} and the text after.</p></main>"
    assert read_page(URL, "text/html", html.encode()).reason is None


def test_bytes_nobody_can_read_become_replacement_characters() -> None:
    decoded = decode_page(b"\x81\x8d\x8f\x90 \xff\xfe\xfd", ["utf-8"])
    assert decoded.text.encode()

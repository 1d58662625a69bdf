from __future__ import annotations

import pytest

from airflow_provider_autoglm.corpus.crawl.nesting import MAX_NESTING
from airflow_provider_autoglm.corpus.crawl.page import read_page
from airflow_provider_autoglm.corpus.crawl.urls import normalise_url, resolve_url, site_of

URL = "http://host/dir/page"


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


def test_a_page_cut_off_within_a_tag_or_a_character_gives_what_is_there() -> None:
    body = "<title>Größe</title><main><p>Der Anfang der Größe.</p><p>Schöne Grüße</p><a href=/x>x</a>".encode()
    for end in range(60, len(body)):
        page = read_page(URL, "text/html; charset=utf-8", body[:end], is_truncated=True)
        assert page.title == "Größe"
        assert page.charset == "utf-8"
        assert "Der Anfang der Größe." in str(page.text)
        assert "\ufffd" not in str(page.text)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "text/html"),
        (b'{"a": [1, 2]}', "text/html"),
        (b"%PDF-1.7 ...", "text/html"),
        (b"\x1f\x8b\x08", "text/html"),
    ],
)
def test_what_is_no_page_is_none_whatever_its_type_says(body: bytes, content_type: str) -> None:
    assert read_page(URL, content_type, body).reason == "not_text"


@pytest.mark.parametrize("beginning", ["[1] ", "{ ", "[" * 100_000])
def test_text_that_begins_like_data_is_text(beginning: str) -> None:
    page = read_page(URL, "text/html", f"{beginning}A note <b>of</b> the author.".encode())
    assert str(page.text).endswith("A note of the author.")


def test_a_text_file_says_of_itself_what_its_headers_say() -> None:
    page = read_page(
        URL, "text/plain", b"A text.", robots_tag="noindex, nofollow", link_header='</canon>; rel="canonical"'
    )
    assert page.text == "A text."
    assert page.is_noindex
    assert page.is_nofollow
    assert page.canonical == "http://host/canon"


def test_links_are_left_out_that_must_not_be_followed() -> None:
    html = b"<a href=/1>x</a><a href=/2 rel='nofollow ugc'>x</a><a href=/3 rel=ugc>x</a><a href=/4 rel=sponsored>x</a>"
    assert read_page(URL, "text/html", html).links == ("http://host/1", "http://host/3", "http://host/4")
    assert read_page(URL, "text/html", b"<meta name=robots content=nofollow>" + html).links == ()
    assert read_page(URL, "text/html", html, robots_tag="none").links == ()


def test_links_are_relative_to_the_base_of_the_page() -> None:
    assert read_page(URL, "text/html", b"<base href=/other/><a href=x>x</a>").links == ("http://host/other/x",)
    assert read_page(URL, "text/html", b"<base href='http://[bad'><a href=x>x</a>").links == ("http://host/dir/x",)


def test_a_page_that_breaks_a_parser_has_that_as_its_reason() -> None:
    class Unreadable(bytes):
        def strip(self, *args: object) -> bytes:
            raise RuntimeError

    assert read_page(URL, "text/html", Unreadable(b"x")).reason == "parse_error"


def test_a_page_with_many_drawn_shapes_is_not_too_deep() -> None:
    drawing = '<svg viewBox="0 0 9 9">' + '<path d="M1 1"/>' * 6_000 + "</svg>"
    page = read_page(URL, "text/html", f"<main><p>A chart of many shapes.</p>{drawing}</main>".encode())

    assert page.reason is None
    assert page.text is not None
    assert "A chart of many shapes." in page.text


def test_shapes_outside_a_drawing_are_nested_and_too_deep() -> None:
    assert read_page(URL, "text/html", ("<svg></svg><main>" + "<path/>" * 6_000 + "text").encode()).reason == "too_deep"

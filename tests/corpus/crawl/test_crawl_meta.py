"""What pages say about themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.crawl.meta import parse_date, robots_directives
from airflow_provider_autoglm.corpus.crawl.page import Page, read_page

URL = "http://host/dir/page"
DAY = datetime(2024, 5, 6, tzinfo=UTC)


def read(head: str = "", body: str = "", **headers: str) -> Page:
    html = f"<html><head>{head}</head><body><main><p>A page that says something.</p>{body}</main></body></html>"
    return read_page(URL, "text/html; charset=utf-8", html.encode(), **headers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "is_noindex", "is_nofollow"),
    [
        ('<meta name="robots" content="noindex">', True, False),
        ('<META NAME="ROBOTS" CONTENT="NoIndex, NoFollow">', True, True),
        ('<meta name="robots" content="none">', True, True),
        ('<meta name="googlebot" content="nofollow">', False, True),
        ('<meta name="airflow-provider-autoglm" content="noindex nofollow">', True, True),
        ('<meta name="bingbot" content="noindex">', False, False),
        ('<meta name="robots" content="index, follow, max-snippet:-1">', False, False),
        ('<meta name="robots">', False, False),
        ('<meta name="description" content="noindex">', False, False),
    ],
)
def test_a_page_says_whether_it_may_be_kept_and_followed(head: str, is_noindex: bool, is_nofollow: bool) -> None:
    page = read(head)
    assert (page.is_noindex, page.is_nofollow) == (is_noindex, is_nofollow)
    assert page.text == "A page that says something."


@pytest.mark.parametrize(
    ("tag", "directives"),
    [
        ("noindex", {"noindex"}),
        ("NOINDEX, nofollow", {"noindex", "nofollow"}),
        ("googlebot: noindex", {"noindex"}),
        ("otherbot: noindex, nofollow", set()),
        ("otherbot: noindex\nnofollow", {"nofollow"}),
        ("otherbot: noindex, airflow-provider-autoglm: nofollow", {"nofollow"}),
        (
            "unavailable_after: 25 Jun 2010 15:00:00 PST, noindex",
            {"noindex", "unavailable_after: 25 jun 2010 15:00:00 pst"},
        ),
        ("", set()),
    ],
)
def test_a_header_speaks_to_those_it_names(tag: str, directives: set[str]) -> None:
    assert robots_directives(tag) == directives


@pytest.mark.parametrize(
    ("head", "header", "canonical"),
    [
        ('<link rel="canonical" href="/main">', "", "http://host/main"),
        ('<link rel="Canonical" href="main?a=1#b">', "", "http://host/dir/main?a=1"),
        ('<base href="/base/"><link rel="canonical" href="main">', "", "http://host/base/main"),
        ('<link rel="canonical" href="https://other/x">', "", "https://other/x"),
        ('<link rel="canonical" href="page#part">', "", None),
        ('<link rel="canonical" href="javascript:alert(1)">', "", None),
        ('<link rel="canonical" href="/one"><link rel="canonical" href="/two">', "", None),
        ('<link rel="canonical" href="/one"><link rel="canonical" href="/one">', "", "http://host/one"),
        ('<link rel="stylesheet" href="/style.css">', "", None),
        ("", '<http://host/main>; rel="canonical"', "http://host/main"),
        ("", '</next>; rel="next", </main>; type="text/html"; rel=canonical', "http://host/main"),
        ("", '</next>; rel="next"', None),
        ('<link rel="canonical" href="/one">', "</two>; rel=canonical", None),
    ],
)
def test_a_page_names_its_main_address(head: str, header: str, canonical: str | None) -> None:
    assert read(head, link_header=header).canonical == canonical


def test_a_canonical_address_in_the_text_is_not_the_pages() -> None:
    assert read(body='<p>x</p><svg><link rel="canonical" href="/main"></svg>').canonical is None


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ('<meta property="article:published_time" content="2024-05-06T00:00:00Z">', ""),
        ('<meta name="date" content="2024-05-06">', ""),
        ('<meta name="DC.date.issued" content="2024/05/06">', ""),
        ('<meta name="pubdate" content="Mon, 06 May 2024 02:00:00 +0200">', ""),
        ('<meta itemprop="datePublished" content="2024-05-06">', ""),
        ('<meta name="date" content="2001-01-01"><meta property="article:published_time" content="2024-05-06">', ""),
        ('<meta property="article:published_time" content="soon"><meta name="date" content="2024-05-06">', ""),
        ('<script type="application/ld+json">{"datePublished": "2024-05-06"}</script>', ""),
        ('<script type="application/ld+json">[1, {"datePublished": "2024-05-06"}]</script>', ""),
        ('<script type="application/ld+json">{"@graph": [{}, {"datePublished": "2024-05-06"}]}</script>', ""),
        (
            '<script type="application/ld+json">{"datePublished": broken</script><meta name="date" content="20240506">',
            "",
        ),
        ("", '<time pubdate datetime="2024-05-06">yesterday</time>'),
        ("", '<time itemprop="datePublished" datetime="2024-05-06T02:00+02:00">6 May</time>'),
        ("", '<span itemprop="datePublished">2024-05-06</span>'),
        ("", '<span itemprop="name datePublished" content="2024-05-06">x</span>'),
    ],
)
def test_a_page_says_when_it_was_published(head: str, body: str) -> None:
    assert read(head, body).published_at == DAY


@pytest.mark.parametrize(
    "source",
    [
        '{"comment": [{"datePublished": "2024-05-06"}]}',
        '{"datePublished": 20240506}',
        '{"datePublished": "2024-05-06", "text": "' + "x" * 70_000 + '"}',
        '{"datePublished": ' + "[" * 50_000,
        '"datePublished"',
    ],
    ids=lambda source: source[:40],
)
def test_dates_that_are_not_the_pages_or_not_readable_are_none(source: str) -> None:
    assert read(f'<script type="application/ld+json">{source}</script>').published_at is None


@pytest.mark.parametrize(
    "written",
    [
        "",
        "soon",
        "1989-12-31",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2024-13-01",
        "2024-02-31",
        "2024",
        "x" * 100,
        "2024-05-061",
        "Mon, 99 May 2024 00:00:00 +0000",
        "12/2024/05",
        "2024-1/50",
    ],
)
def test_what_is_no_sane_date_is_none(written: str) -> None:
    assert parse_date(written) is None


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2024-05-06T12:30:00+02:00", datetime(2024, 5, 6, 10, 30, tzinfo=UTC)),
        ("2024-05-06 12:30", datetime(2024, 5, 6, 12, 30, tzinfo=UTC)),
        ("2024-05-06 12:30:00 (local)", DAY),
        ("2024-5-6", DAY),
        ("2024.05.06", DAY),
        (" 2024/05 ", datetime(2024, 5, 1, tzinfo=UTC)),
        ("Mon, 06 May 2024 00:00:00 GMT", DAY),
    ],
)
def test_dates_are_read_as_they_are_written(written: str, date: datetime) -> None:
    assert parse_date(written) == date


def test_the_day_after_tomorrow_is_no_date_of_publication() -> None:
    now = datetime.now(UTC)
    assert parse_date((now + timedelta(hours=20)).isoformat()) is not None
    assert parse_date((now + timedelta(hours=28)).isoformat()) is None


@given(st.text(max_size=70))
def test_any_text_is_a_sane_date_or_none(written: str) -> None:
    date = parse_date(written)
    assert date is None or 1990 <= date.year <= datetime.now(UTC).year + 1

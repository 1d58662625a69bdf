"""The page of a crawl."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.crawl.report import NOTES, Report
from airflow_provider_autoglm.corpus.crawl.report_page import report_page
from airflow_provider_autoglm.corpus.crawl.report_reasons import limit_in_words, reason_in_words
from airflow_provider_autoglm.corpus.crawl.report_visits import Visits
from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.report.aside import MOST_CHARS_READ, Example, SetAside
from airflow_provider_autoglm.corpus.report.documents import Document
from airflow_provider_autoglm.corpus.report.lengths import Lengths
from airflow_provider_autoglm.settings import CrawlSettings
from tests.corpus.report.page import Page

_HOSTILE = "</p></article><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" ]]> <!-- \u202e"


def visits(**more: Any) -> Visits:
    made = Visits(
        pages=110,
        statuses=Counter({"200": 100, "404": 7, "none": 3}),
        depths=Counter({0: 1, 2: 109}),
        charsets=Counter({"utf-8": 99, "cp1252": 1}),
    )
    made.by_host["shards"]["a.example"] = 100
    made.by_host["rejected"]["a.example"] = 7
    made.by_host["removed"]["b.example"] = 3
    return replace(made, **more)


def report(**more: Any) -> Report:
    made = Report(
        uri="file:///data/crawl",
        pipeline="news",
        created_at="2026-11-22T08:33:51.123456+00:00",
        sources=("https://a.example/",),
        settings=CrawlSettings(),
        is_joined=False,
        counters=Counters(rows_in=120, rows_out=100, rejected=7, removed=3, unchanged=10),
        bytes=12_345_678,
        seconds=60.0,
        unlinked=0,
        not_visited={"max_pages": 1_234, "calendar": 5},
        visits=visits(),
        lengths=Lengths((0, 0, 0, 60, 40, *[0] * 7), 100, 27_000),
        rejected=(aside("http_404", 6), aside("gone", 1)),
        removed=(aside("redirected", 3, final_url="https://b.example/"),),
    )
    return replace(made, **more)


def aside(reason: str, rows: int, *, url: str = "https://a.example/1", **notes: str) -> SetAside:
    document = Document(doc_id="1", text="", url=url, title="One", lang=None)
    return SetAside(reason, rows, (Example(document, notes),))


def test_the_figures_are_told() -> None:
    figures = Page(report_page(report())).figures()
    assert figures["addresses attempted"] == "120"
    assert figures["kept"] == "100"
    assert figures["unchanged since the last crawl"] == "10"
    assert figures["left out on purpose"] == "3"
    assert figures["rejected"] == "7"
    assert figures["of them gone since the last crawl"] == "1"
    assert figures["MB downloaded"] == "12.3"
    assert figures["seconds"] == "60.0"
    assert figures["pages per second"] == "2.0"
    assert figures["sources"] == "https://a.example/"
    assert figures["max_pages"] == "10,000"
    assert "pages cut at max_page_bytes" not in figures


def test_what_is_seldom_is_told_where_it_is() -> None:
    made = report(unlinked=4, is_joined=True, visits=visits(truncated=2), settings=CrawlSettings(obey_robots=False))
    figures = Page(report_page(made)).figures()
    assert figures["known pages that no page links to any more"] == "4"
    assert figures["pages cut at max_page_bytes"] == "2"
    assert figures["seconds, all parts together"] == "60.0"
    assert figures["pages per second of a part"] == "2.0"
    assert figures["obey_robots"] == "no"


def test_statuses_depths_lengths_and_hosts_are_shown() -> None:
    page = Page(report_page(report()))
    assert page.texts("desc") == [
        "addresses: 100 at 200, 7 at 404, 3 at none",
        "addresses: 1 at 0, 109 at 2",
        "texts: 60 at 100, 40 at 300",
    ]
    assert {"a.example10710007b.example3030", "utf-899cp12521"} <= set(page.texts("tbody"))
    assert "Length of texts: 270 characters on average" in page.texts("h3")
    assert "The 10 unchanged pages are not among them." in page.texts("p")


def test_many_hosts_statuses_depths_and_sources_are_cut_to_those_that_matter() -> None:
    made = visits(
        statuses=Counter({str(status): 1 for status in range(200, 800)}), depths=Counter(dict.fromkeys(range(1_000), 1))
    )
    for number in range(50):
        made.by_host["shards"][f"{number}.example"] = 500 + number
    page = Page(report_page(report(visits=made, sources=tuple(f"https://{n}.example/" for n in range(40)))))
    statuses, depths = page.texts("desc")[:2]
    assert statuses.endswith("585 at others")
    assert depths.endswith("980 at 20+")
    assert "Hosts with the most addresses, of 52" in page.texts("h3")
    assert "50.example" not in "".join(page.texts("tbody"))
    assert page.figures()["sources"].endswith("https://4.example/, and 35 more")


def test_a_crawl_of_files_alone_shows_nothing_of_the_web() -> None:
    counters = Counters(rows_in=5, rows_out=4, rejected=1)
    rejected = (aside("invalid_record", 1, problem="line 3: no JSON"),)
    made = report(
        visits=Visits(records=5), counters=counters, bytes=None, not_visited={}, rejected=rejected, removed=()
    )
    page = Page(report_page(made))
    figures = page.figures()
    assert figures["records read"] == "5"
    assert figures["problem"] == "line 3: no JSON"
    assert not {"MB downloaded", "pages per second", "max_pages"} & figures.keys()
    assert page.texts("h2") == [
        "What was asked for",
        "What was kept",
        "Found and not visited",
        "Rejected",
        "Left out on purpose",
    ]
    assert {"Everything that was found was visited.", "Nothing was left out."} <= set(page.texts("p"))


def test_pages_and_records_are_named_together() -> None:
    figures = Page(report_page(report(visits=visits(records=9), sources=()))).figures()
    assert figures["addresses attempted and records read"] == "120"
    assert figures["sources"] == "none"


def test_an_empty_crawl_is_a_page_too() -> None:
    empty = Lengths.of([])
    made = report(counters=Counters(), visits=Visits(), lengths=empty, rejected=(), removed=(), seconds=0.0)
    page = Page(report_page(made))
    assert page.figures()["addresses attempted"] == "0"
    assert "Nothing was rejected." in page.texts("p")


def test_limits_and_reasons_are_told_in_words() -> None:
    page = Page(report_page(report()))
    assert "max_pages1,234found after max_pages addresses" in page.texts("tbody")[-1]
    assert "trap: dates without end" in page.texts("tbody")[-1]
    assert [text.partition("One")[0] for text in page.texts("article")] == [
        "http_404 6the server answered 404 Not Found",
        "gone 1404 or 410 for a page that an earlier crawl had",
        "redirected 3it redirects; the target is an address of its own",
    ]
    assert page.figures()["leads to"] == "https://b.example/"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("http_599", "the server answered 599"),
        ("http_odd", "the server answered odd"),
        ("of_a_later_version", ""),
        ("robots", "robots.txt of the host forbids it; it was not asked"),
    ],
)
def test_a_reason_has_words_or_none(reason: str, words: str) -> None:
    assert reason_in_words(reason) == words
    assert limit_in_words("of_a_later_version") == ""


def test_markup_in_rows_and_settings_is_text_and_nothing_is_loaded() -> None:
    hostile = Document(doc_id=_HOSTILE, text=_HOSTILE, url="javascript:alert(1)", title=_HOSTILE, lang='"><b>')
    entry = SetAside(_HOSTILE, 1, (Example(hostile, dict.fromkeys(NOTES, _HOSTILE)),))
    made = visits(statuses=Counter({_HOSTILE: 1}), charsets=Counter({_HOSTILE: 1}))
    made.by_host["shards"][_HOSTILE] = 1
    html = report_page(
        report(
            visits=made,
            rejected=(entry,),
            removed=(entry,),
            not_visited={_HOSTILE: 1},
            uri=f"file:///{_HOSTILE}",
            pipeline=_HOSTILE,
            sources=(_HOSTILE,),
        )
    )
    page = Page(html)
    assert not {"script", "img", "iframe", "link", "object", "a"} & {tag for tag, _, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes, _ in page.elements for name in attributes)
    assert not re.search(r"url\(|@import|\bsrc=|<link|<script", html.replace("&lt;", "").replace("src=x", ""))
    assert page.texts("bdi", **{"class": "title"}) == [_HOSTILE, _HOSTILE]


def test_the_page_stays_small_whatever_the_rows_are() -> None:
    filler = "\U0001f600&" * (MOST_CHARS_READ // 2)
    url = "https://x.example/" + "&" * 156
    document = Document(doc_id=filler, text=filler, url=url, title=filler, lang="&" * 100)
    example = Example(document, dict.fromkeys(NOTES, filler))
    reasons = tuple(SetAside(f"{number}{filler}", 1, (example,) * 3) for number in range(600))
    made = visits(charsets=Counter({f"{number}{filler}"[:255]: 1 for number in range(99)}))
    for number in range(99):
        made.by_host["shards"][f"{number}{filler}"[:255]] = 900
    html = report_page(report(rejected=reasons, removed=reasons, visits=made, sources=(filler,) * 99))
    assert 150_000 < len(html.encode()) < 300_000

"""The page people look at, read as a browser would: what it says, and that no text can do anything in it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from airflow_provider_autoglm.corpus.dedupe.report import Report
from airflow_provider_autoglm.corpus.dedupe.report_histograms import Histograms
from airflow_provider_autoglm.corpus.dedupe.report_page import report_page
from airflow_provider_autoglm.corpus.dedupe.report_pairs import Pair
from airflow_provider_autoglm.corpus.report.documents import Document
from airflow_provider_autoglm.settings import DedupeSettings
from tests.corpus.report.page import Page

_MAX_BYTES = 300_000


def document(doc_id: str, text: str, **more: Any) -> Document:
    return Document(**{"doc_id": doc_id, "text": text, "url": None, "title": None, "lang": None, **more})


def pair(removed: Document, kept: Document | None, *, is_exact: bool = False) -> Pair:
    kept_id = "earlier" if kept is None else kept.doc_id
    return Pair(removed, kept, kept_id, is_exact=is_exact, hamming=7, jaccard=0.5123)


def report(*pairs: Pair, **more: Any) -> Report:
    made = Report(
        uri="file:///data/dedupe",
        pipeline="news",
        created_at="2026-11-22T08:33:51.123456+00:00",
        settings=DedupeSettings(),
        rows_in=12_345,
        rows_out=10_000,
        rejected=0,
        exact_duplicates=2_000,
        near_duplicates=345,
        kept_earlier=0,
        candidates=1_939,
        verified_pairs=676,
        histograms=Histograms((0, 0, 345), {2: 40, 3: 5, 7: 1, 12: 1}),
        pairs=pairs,
    )
    return replace(made, **more)


def test_the_figures_and_what_decided_are_told() -> None:
    page = Page(report_page(report()))
    figures = page.figures()
    assert figures["documents in"] == "12,345"
    assert figures["kept"] == "10,000"
    assert figures["exact copies removed"] == "2,000"
    assert figures["near duplicates removed"] == "345"
    assert figures["clusters"] == "47"
    assert figures["candidate pairs"] == "1,939"
    assert figures["similarity"] == "0.85: at most 9 of 64 bits differ"
    assert figures["keep"] == "longest"
    assert "rejected" not in figures
    assert "Pipeline news · 2026-11-22 08:33:51 UTC · 19.0% removed" in page.texts("header")[0]


def test_what_is_seldom_is_told_where_it_is() -> None:
    settings = DedupeSettings(keep="column", keep_column="stars", across_runs=False, window_days=30)
    page = Page(report_page(report(rejected=4, kept_earlier=6, candidates=None, settings=settings)))
    figures = page.figures()
    assert figures["rejected"] == "4"
    assert figures["removed for a document of an earlier run"] == "6"
    assert figures["candidate pairs"] == "not known"
    assert (figures["keep"], figures["across_runs"], figures["window_days"]) == ("column stars", "no", "30")


def test_both_histograms_are_drawn_with_a_title_a_description_and_a_table() -> None:
    page = Page(report_page(report()))
    assert len(page.attributes("svg")) == 2
    assert all(svg["role"] == "img" for svg in page.attributes("svg"))
    ids = [attributes.get("id") for attributes in page.attributes("title") + page.attributes("desc")]
    named = " ".join(str(svg["aria-labelledby"]) for svg in page.attributes("svg")).split()
    assert sorted(named) == sorted(name for name in ids if name)
    assert page.texts("desc") == [
        "near duplicates: 345 at 2",
        "clusters: 40 at 2, 5 at 3, 1 at 6\u20139, 1 at 10\u201319",
    ]
    distances, sizes = page.texts("tbody")
    assert distances == "00102345"
    assert sizes == "2403540506\u20139110\u2013191"
    assert len([bar for bar in page.attributes("rect") if float(str(bar["height"])) > 0]) == 5


def test_many_bars_and_large_numbers_stay_legible() -> None:
    histograms = Histograms((12_345_678, *[9] * 32), {2: 12_345, 5_000_000: 1})
    page = Page(report_page(report(histograms=histograms)))
    below = page.texts("text", **{"class": "label"})
    assert below[:4] == ["0", "3", "6", "9"]
    assert "1,000+" in below
    assert page.texts("text", **{"class": "count"}) == ["12k", "1"], "33 bars leave no room for numbers above them"
    few = Page(report_page(report(histograms=Histograms((12_345_678, 9_999), {}))))
    assert few.texts("text", **{"class": "count"}) == ["12.3M", "9999"]


def test_an_empty_report_is_a_page_too() -> None:
    empty = Histograms((0,) * 10, {})
    page = Page(report_page(report(rows_in=0, rows_out=0, histograms=empty, pipeline="")))
    assert page.texts("desc") == ["near duplicates: none", "clusters: none"]
    assert "No document was removed." in page.texts("p")
    assert page.attributes("rect") == []


def test_words_that_differ_are_marked_on_their_side() -> None:
    removed, kept = document("a", "the quick brown fox", title="Removed one"), document("b", "the quick red fox")
    page = Page(report_page(report(pair(removed, kept))))
    (article,) = page.texts("article")
    assert "Jaccard 0.51 · 7 of 64 bits differ" in article
    assert "Removed one" in article
    assert page.texts("del")[1:] == ["brown"]
    assert page.texts("ins")[1:] == ["red"]
    assert page.texts("p", **{"class": "text"}) == ["the quick brown fox", "the quick red fox"]


def test_an_exact_copy_is_shown_once() -> None:
    page = Page(report_page(report(pair(document("a", "one text"), document("b", "one  text"), is_exact=True))))
    assert page.texts("p", **{"class": "text"}) == ["one text"]
    assert page.texts("p", **{"class": "note"}) == ["The same text."]


def test_what_an_earlier_run_keeps_is_named_by_its_id() -> None:
    page = Page(report_page(report(pair(document("a", "one text"), None))))
    assert page.texts("p", **{"class": "text"}) == ["one text"]
    assert page.texts("p", **{"class": "note"}) == ["Kept in an earlier run: the text is not in this corpus."]
    assert "earlier" in page.texts("code")


def test_a_removed_text_without_a_word_says_so() -> None:
    page = Page(report_page(report(pair(document("a", " "), document("b", ""), is_exact=True))))
    assert page.texts("p", **{"class": "text"}) == ["no text"]


_HOSTILE = "</p></article><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" ]]> <!-- "


def test_markup_in_documents_and_settings_is_text() -> None:
    removed = document(
        _HOSTILE, _HOSTILE + "one", url='https://x.example/"onclick=alert(1)', title=_HOSTILE, lang='"><b>'
    )
    kept = document("b", _HOSTILE + "two", url="javascript:alert(1)", title=_HOSTILE)
    settings = DedupeSettings(keep="column", keep_column=_HOSTILE)
    html = report_page(report(pair(removed, kept), settings=settings, uri=f"file:///{_HOSTILE}", pipeline=_HOSTILE))
    page = Page(html)
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes, _ in page.elements for name in attributes)
    assert page.texts("p", **{"class": "text"}) == [f"{_HOSTILE}one", f"{_HOSTILE}two"]
    assert page.texts("p", lang='"><b>') == [f"{_HOSTILE}one"]
    (link,) = page.attributes("a")
    assert link["href"] == 'https://x.example/"onclick=alert(1)'
    assert link["rel"] == "noopener noreferrer"


def test_nothing_is_loaded_from_anywhere() -> None:
    html = report_page(report(pair(document("a", "x"), document("b", "y", url="https://site.example/"))))
    assert not re.search(r"url\(|@import|\bsrc=|<link|<script", html)
    assert [attributes["href"] for attributes in Page(html).attributes("a")] == ["https://site.example/"]


def test_right_to_left_texts_find_their_direction() -> None:
    page = Page(report_page(report(pair(document("a", "مرحبا", lang="ar"), document("b", "مرحبا بك")))))
    texts = [attributes for attributes in page.attributes("p") if attributes.get("class") == "text"]
    assert [(attributes["dir"], attributes.get("lang")) for attributes in texts] == [("auto", "ar"), ("auto", None)]


def test_the_page_stays_small_whatever_the_texts_are() -> None:
    def hostile(side: str, address: str) -> Document:
        text = "".join(f"{side}<{number:03d}" for number in range(1_000))
        return document("&" * 5_000, text, url=address, title="&" * 9_000, lang="&" * 100)

    address = "https://x.example/" + "&" * 156
    html = report_page(report(*[pair(hostile("&&", address), hostile(">>", address)) for _ in range(20)]))
    assert 200_000 < len(html.encode()) < _MAX_BYTES
    page = Page(html)
    assert len(page.attributes("a")) == 40
    assert max(map(len, page.texts("p", **{"class": "text"}))) <= 602


def test_an_address_too_long_for_a_link_is_shown_by_its_beginning() -> None:
    long = document("a", "x", url="https://x.example/" + "path/" * 300)
    page = Page(report_page(report(pair(long, document("b", "y")))))
    assert page.attributes("a") == []
    assert f"https://x.example/{'path/' * 12}p\u2026" in page.texts("article")[0]

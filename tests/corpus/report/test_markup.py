"""The frame of a report's page."""

from __future__ import annotations

from airflow_provider_autoglm.corpus.report.markup import figure, head, page, table
from tests.corpus.report.page import Page


def test_the_head_says_of_what_and_when_and_the_figures() -> None:
    made = head(
        "Crawled", pipeline="a<b", created_at="2026-11-22T08:33:51.1+00:00", uri="file:///<x>", figures={"k": "1"}
    )
    found = Page(page("Crawled & more", [made]))
    assert found.texts("title") == ["Crawled & more"]
    assert found.texts("header") == ["CrawledPipeline a<b · 2026-11-22 08:33:51 UTCfile:///<x>"]
    assert found.figures() == {"k": "1"}


def test_a_report_of_no_pipeline_names_none() -> None:
    made = head("C", pipeline="", created_at="2026-11-22T08:33:51", uri="u", figures={}, more=["more"])
    assert Page(made).texts("p") == ["2026-11-22 08:33:51 UTC · moreu"]


def test_a_table_tells_numbers_from_words() -> None:
    found = Page(figure("F", table(["name", "rows", "share", "meaning"], [("<n>", 1_234, 0.25, "a & b")])))
    assert found.texts("th") == ["name", "rows", "share", "meaning", "<n>"]
    assert found.texts("td") == ["1,234", "0.250", "a & b"]
    assert found.texts("td", **{"class": "words"}) == ["a & b"]

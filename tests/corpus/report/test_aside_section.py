"""Reasons and examples as people see them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_autoglm.corpus.report.aside import Example, SetAside
from airflow_provider_autoglm.corpus.report.aside_section import aside_section
from airflow_provider_autoglm.corpus.report.documents import Document
from airflow_provider_autoglm.corpus.report.markup import page
from tests.corpus.report.page import Page


def example(text: str = "", notes: dict[str, str] | None = None, **more: Any) -> Example:
    document = Document(**{"doc_id": "id", "text": text, "url": None, "title": None, "lang": None, **more})
    return Example(document, notes or {})


def read(*reasons: SetAside, most: int = 20) -> Page:
    section = aside_section(
        "Rejected",
        reasons,
        meaning=lambda reason: f"what {reason} means",
        none="Nothing.",
        most=most,
        notes={"status": "status", "final_url": "leads to"},
    )
    return Page(page("Report", [section]))


def test_a_reason_is_told_with_its_rows_its_meaning_and_its_examples() -> None:
    notes = {"status": "302", "final_url": "https://b.example/"}
    found = read(SetAside("too_short", 1_234, (example("a \n text", notes, url="https://a.example/", title="A"),)))
    (article,) = found.texts("article")
    assert article.startswith("too_short 1,234what too_short means")
    assert found.texts("p", **{"class": "text"}) == ["a text"]
    assert found.figures() == {"status": "302", "leads to": "https://b.example/"}
    assert [link["href"] for link in found.attributes("a")] == ["https://a.example/"]
    assert found.texts("code") == [], "an id tells nothing where there is an address"


def test_what_has_no_text_shows_none_and_what_has_no_name_its_id() -> None:
    found = read(SetAside("robots", 1, (example(),)))
    assert found.texts("p", **{"class": "text"}) == []
    assert found.texts("code") == ["id"]
    assert found.figures() == {}


def test_nothing_set_aside_is_said() -> None:
    assert read().texts("p") == ["Nothing."]


def test_reasons_beyond_the_most_are_listed_without_examples() -> None:
    found = read(*[SetAside(f"http_{number}", 1, (example("text"),)) for number in range(700)], most=4)
    assert len(found.texts("article")) == 4
    (details,) = found.texts("details")
    assert details.startswith("696 further reasons, 696 rows")
    assert len(found.texts("tr")) == 31


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "JaVaScRiPt:alert(1)", " https://x.example/"],
)
def test_only_addresses_of_the_web_are_links(url: str) -> None:
    assert read(SetAside("robots", 1, (example(url=url),))).attributes("a") == []


def test_a_text_is_cut_after_its_first_words_and_keeps_its_direction() -> None:
    found = read(SetAside("too_long", 1, (example("\u202e" + "שלום " * 500, lang="he", title="\u202etitle"),)))
    (text,) = found.texts("p", **{"class": "text", "dir": "auto", "lang": "he"})
    assert len(text) == 160
    assert text.endswith("…")
    assert found.texts("bdi", **{"class": "title"}) == ["\u202etitle"]

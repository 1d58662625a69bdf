"""Counts by name with bars."""

from __future__ import annotations

from airflow_provider_autoglm.corpus.report.bar_list import bar_list
from tests.corpus.report.page import Page


def test_each_name_has_its_count_its_share_and_a_bar_of_that_length() -> None:
    page = Page(bar_list(["label", "texts"], {"World <news>": 1_500, "Sports": 500, "None": 0}))
    assert page.texts("th") == ["label", "texts", "share", "World <news>", "Sports", "None"]
    assert page.texts("td") == ["", "1,500", "75.0%", "", "500", "25.0%", "", "0", "0.0%", ""]
    assert [span["style"] for span in page.attributes("span")] == ["width:100.0%", "width:33.3%"]


def test_nothing_has_no_share() -> None:
    assert Page(bar_list(["reason", "rows"], {"a": 0})).texts("tbody") == ["a0"]

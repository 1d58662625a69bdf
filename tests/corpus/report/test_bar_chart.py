"""Charts of a report."""

from __future__ import annotations

from airflow_provider_autoglm.corpus.report.bar_chart import Bar, bar_chart
from tests.corpus.report.page import Page


def chart(*counts: int, longest: int = 1) -> Page:
    bars = [Bar(f"<{number}>", count) for number, count in enumerate(counts)]
    return Page(bar_chart(bars, name="n", title="T & t", x_axis="x", y_axis="texts", longest=longest))


def heights(page: Page) -> list[float]:
    return [float(str(bar["height"])) for bar in page.attributes("rect")]


def test_bars_are_as_long_as_their_numbers_and_the_same_numbers_are_a_table() -> None:
    page = chart(10, 5, 0)
    tallest, half = heights(page)
    assert tallest == 2 * half
    assert page.texts("desc") == ["texts: 10 at <0>, 5 at <1>"]
    assert page.texts("tbody") == ["<0>10<1>5<2>0"]
    assert page.texts("figcaption") == ["T & t"]


def test_charts_that_are_compared_have_one_scale() -> None:
    assert heights(chart(10, longest=40))[0] * 4 == heights(chart(40, longest=40))[0]
    assert heights(chart(10, longest=5)) == heights(chart(10)), "no bar is longer than its chart"


def test_a_chart_of_nothing_says_so() -> None:
    page = chart(0)
    assert heights(page) == []
    assert page.texts("text")[-2:] == ["none", "x"]

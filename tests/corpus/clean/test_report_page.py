"""The page of a cleaning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_autoglm.corpus.clean.report import Report
from airflow_provider_autoglm.corpus.clean.report_page import report_page
from airflow_provider_autoglm.corpus.clean.report_reasons import changes_in_words, reasons_in_words
from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.report.aside import MOST_CHARS_READ, Example, SetAside
from airflow_provider_autoglm.corpus.report.documents import Document
from airflow_provider_autoglm.corpus.report.lengths import Lengths
from airflow_provider_autoglm.settings import CleanSettings
from tests.corpus.report.page import Page

_HOSTILE = "</p></article><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" \u202e"


def report(**more: Any) -> Report:
    made = Report(
        uri="file:///data/clean",
        pipeline="news",
        created_at="2026-11-22T08:33:51.123456+00:00",
        settings=CleanSettings(mask=("email",)),
        counters=Counters(rows_in=100, rows_out=80, rejected=20),
        seconds=1.25,
        rejected=(aside("too_short", 15, "tiny"), aside("bot_check", 5, "Are you a robot?")),
        changed={"cookie_notice": 12, "mojibake": 3},
        masked={"email": 1_234},
        before=Lengths((0, 20, 0, 80, *[0] * 8), 100, 20_000),
        after=Lengths((0, 0, 0, 80, *[0] * 8), 80, 10_000),
        languages={"en": 70, "de": 10},
        languages_rejected={"de": 4},
    )
    return replace(made, **more)


def aside(reason: str, rows: int, text: str) -> SetAside:
    document = Document(doc_id="1", text=text, url="https://a.example/1", title="One", lang=None)
    return SetAside(reason, rows, (Example(document),))


def test_the_figures_and_what_decided_are_told() -> None:
    page = Page(report_page(report()))
    figures = page.figures()
    assert figures["documents in"] == "100"
    assert figures["kept"] == "80"
    assert figures["rejected"] == "20"
    assert figures["values masked"] == "1,234"
    assert figures["characters kept"] == "50.0%"
    assert figures["seconds"] == "1.2"
    assert figures["rules"] == "web"
    assert figures["mask"] == "email"
    assert figures["languages"] == "all"
    assert "Pipeline news · 2026-11-22 08:33:51 UTC · 20.0% rejected" in page.texts("header")[0]


def test_lengths_and_languages_before_and_after_stand_side_by_side_on_one_scale() -> None:
    page = Page(report_page(report()))
    assert page.texts("desc") == [
        "texts: 20 at 1, 80 at 100",
        "texts: 80 at 100",
        "texts: 70 at en, 14 at de",
        "texts: 70 at en, 10 at de",
    ]
    heights = [float(str(bar["height"])) for bar in page.attributes("rect")]
    assert heights[1] == heights[2], "80 texts before and after"
    assert heights[3] == heights[5], "70 English ones"
    assert "As they came: 200 characters on average" in page.texts("h3")
    assert "16 texts were rejected by a check before their language was asked for." in page.texts("p")


def test_without_the_sources_lengths_are_those_of_kept_texts() -> None:
    page = Page(report_page(report(before=None)))
    assert "How long they were before is not known: what they came from is not there any more." in page.texts("p")
    assert page.texts("desc")[0] == "texts: 80 at 100"
    assert "characters kept" not in page.figures()


def test_many_languages_are_summed_up_on_both_sides() -> None:
    languages = {f"l{number:02d}": 100 - number for number in range(30)}
    page = Page(report_page(report(languages=languages, languages_rejected={"l29": 500, "l00": 1})))
    before, after = page.texts("desc")[2:]
    assert before.startswith("texts: 571 at l29, 101 at l00")
    assert before.endswith("1,449 at others")
    assert after.startswith("texts: 71 at l29, 100 at l00")
    assert after.endswith("1,449 at others")


def test_a_language_of_which_nothing_is_kept_has_its_place() -> None:
    page = Page(report_page(report(languages={"en": 3}, languages_rejected={"zh": 2})))
    assert page.texts("desc")[2:] == ["texts: 3 at en, 2 at zh", "texts: 3 at en"]
    assert page.texts("tbody")[3] == "en3zh0"


def test_rules_are_told_with_what_they_are_for() -> None:
    page = Page(report_page(report()))
    assert "email1,234mail addresses" in page.texts("tbody")
    (changed,) = [text for text in page.texts("tbody") if text.startswith("cookie_notice12")]
    assert changed.endswith("mojibake3text that was read with the wrong charset")
    short, bots = page.texts("article")
    assert short.startswith("too_short 15fewer than 50 characters, 20 in a script without spaces")
    assert short.endswith("tiny")
    assert bots.startswith("bot_check 5" + reasons_in_words(CleanSettings())["bot_check"])


def test_rules_of_the_users_own_are_told_by_their_pattern_and_unknown_ones_by_their_name() -> None:
    settings = CleanSettings.parse(
        {
            "rules": [],
            "languages": ["en", "de"],
            "replace": [{"name": "tabs", "pattern": "<\t>"}],
            "drop_lines": [{"name": "ads", "pattern": "Ad.*"}],
            "reject": [{"name": "spam", "pattern": "casino"}],
        }
    )
    assert reasons_in_words(settings)["spam"] == "a rule of your own: casino"
    assert reasons_in_words(settings)["language"] == "not one of en, de with a certainty of 0.5"
    assert changes_in_words(settings).keys() == {"mojibake", "tabs", "ads"}
    rejected = (aside("spam", 1, "x"), aside("of_a_later_version", 1, "x"))
    page = Page(report_page(report(settings=settings, changed={"tabs": 2, "gone_rule": 1}, rejected=rejected)))
    assert "tabs2a rule of your own: <\t>gone_rule1" in page.texts("tbody")
    assert page.figures()["rules of your own"] == "3"
    assert page.figures()["rules"] == "none"
    assert page.texts("article")[1].startswith("of_a_later_version 1One")


def test_an_empty_report_is_a_page_too() -> None:
    empty = Lengths.of([])
    made = report(
        counters=Counters(),
        rejected=(),
        changed={},
        masked={},
        before=empty,
        after=empty,
        languages={},
        languages_rejected={},
    )
    page = Page(report_page(made))
    assert {"Nothing was rejected.", "No language is known.", "No rule changed a text."} <= set(page.texts("p"))
    assert page.texts("desc") == ["texts: none", "texts: none"]


def test_only_what_there_is_has_a_table() -> None:
    assert "Texts that a rule changed" not in Page(report_page(report(changed={}))).texts("h3")
    assert "Values that were masked" not in Page(report_page(report(masked={}))).texts("h3")


def test_markup_is_text() -> None:
    document = Document(doc_id="1", text=_HOSTILE, url="javascript:alert(1)", title=_HOSTILE, lang='"><b>')
    hostile = SetAside(_HOSTILE, 1, (Example(document),))
    html = report_page(
        report(rejected=(hostile,), changed={_HOSTILE: 1}, masked={_HOSTILE: 1}, languages={_HOSTILE: 1}, uri=_HOSTILE)
    )
    page = Page(html)
    assert not {"script", "img", "iframe", "link", "object", "a"} & {tag for tag, _, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes, _ in page.elements for name in attributes)
    assert page.texts("p", **{"class": "text"}) == [_HOSTILE]


def test_the_page_stays_small_whatever_the_rows_are() -> None:
    filler = "\U0001f600&" * (MOST_CHARS_READ // 2)
    settings = CleanSettings.parse(
        {"reject": [{"name": f"{number}{'&' * 90}", "pattern": "&" * 500} for number in range(99)]}
    )
    url = "https://x.example/" + "&" * 156
    document = Document(doc_id=filler, text=filler, url=url, title=filler, lang="&" * 100)
    rejected = tuple(SetAside(rule.name, 1, (Example(document),) * 3) for rule in settings.reject)
    many = {f"{number}{filler}"[:100]: 1 for number in range(99)}
    html = report_page(
        report(settings=settings, rejected=rejected, changed=many, masked=many, languages=many, languages_rejected=many)
    )
    assert 150_000 < len(html.encode()) < 300_000

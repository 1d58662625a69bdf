"""What a spot check leaves to look at: its numbers and its page."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from typing import Any

from airflow_provider_autoglm.corpus.manifest import ReviewRecord
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.labeling.review.report import Checked, Report, report_of
from airflow_provider_autoglm.labeling.review.report_page import report_page
from tests.corpus.report.page import Page
from tests.labeling.review.conftest import Checks, answer_all, knowing, row, rows

_HOSTILE = "</p></article><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""


def record(**more: Any) -> ReviewRecord:
    made = {
        "outcome": "passed",
        "accuracy": 0.9,
        "low": 0.85,
        "high": 0.94,
        "confidence": 0.95,
        "target": 0.8,
        "population": 1_200,
        "asked": 140,
        "answered": 138,
        "corrected": 17,
        "rounds": 1,
    }
    return ReviewRecord(**{**made, **more})


def report(**more: Any) -> Report:
    made = Report(
        uri="file:///data/review",
        pipeline="news",
        created_at="2026-11-22T08:33:51.123456+00:00",
        review=record(),
        sample=Checked(
            Counter({"space": 100, "cooking": 40, "rare": 1}),
            Counter({("space", "space"): 90, ("space", "cooking"): 6, ("space", None): 4, ("cooking", "cooking"): 38}),
        ),
        suspicious=Checked(Counter({None: 2, "space": 3}), Counter({(None, "space"): 1, ("space", "space"): 3})),
        is_known=True,
    )
    return replace(made, **more)


def test_what_people_answered_is_read_again_by_the_label_there_was(checks: Checks) -> None:
    source = checks.corpus(rows(60))
    draw = checks.draw(source, margin=0.2).uri
    labels = {values["doc_id"]: values["label"] for values in Corpus.open(source).to_table().to_pylist()}
    asked = {values["doc_id"]: values["label"] for values in Corpus.open(draw).to_table().to_pylist()}
    changed = [doc_id for doc_id, label in asked.items() if label == "a"][:4]
    truth = labels | dict.fromkeys(changed[::2], "b") | dict.fromkeys(changed[1::2])
    result = checks.decide(source, [draw], answer_all(draw, knowing(truth)), target_accuracy=0.1, margin=0.2)
    report = report_of(Corpus.open(result.uri))
    assert report.is_known
    assert report.sample.asked == Counter(asked.values())
    assert report.sample.pairs == Counter((label, truth[doc_id]) for doc_id, label in asked.items())
    assert {("a", "b"), ("a", None)} < report.sample.pairs.keys()
    assert sum(report.suspicious.asked.values()) == 0
    assert report.review.outcome == "passed"
    wrong = sum(count for (had, given), count in report.sample.pairs.items() if had != given)
    assert wrong == report.review.corrected == 4


def test_rows_that_were_checked_in_an_earlier_run_are_not_counted(checks: Checks) -> None:
    known = row(999, "a", labeler="review/sample", label_source="human")
    source = checks.corpus([*rows(40), known])
    draw = checks.draw(source, margin=0.2).uri
    result = checks.decide(source, [draw], answer_all(draw, lambda _: "a"), target_accuracy=0.1, margin=0.2)
    report = report_of(Corpus.open(result.uri))
    assert sum(report.sample.pairs.values()) == report.review.answered


def test_what_nobody_answered_is_told_as_such(checks: Checks) -> None:
    source = checks.corpus(rows(40))
    draw = checks.draw(source, margin=0.2).uri
    result = checks.decide(source, [draw], [], on_no_answer="pass", margin=0.2)
    report = report_of(Corpus.open(result.uri))
    assert report.review.outcome == "unreviewed"
    assert sum(report.sample.asked.values()) == report.review.asked > 0
    assert not report.sample.pairs
    assert "Too few of the sampled texts were answered for an estimate." in Page(report_page(report)).texts("p")


def test_without_the_draws_the_estimate_remains(checks: Checks) -> None:
    source = checks.corpus(rows(40))
    draw = checks.draw(source, margin=0.2).uri
    result = checks.decide(source, [draw], answer_all(draw, lambda _: "a"), target_accuracy=0.1, margin=0.2)
    shutil.rmtree(draw.removeprefix("file://"))
    report = report_of(Corpus.open(result.uri))
    assert not report.is_known
    assert report.to_dict()["sample"] is None
    page = Page(report_page(report))
    assert "Which labels were right is not known: the draws are not there any more." in page.texts("p")
    assert page.figures()["right labels, estimated"].endswith("%")


def test_the_numbers_are_json_without_texts(checks: Checks) -> None:
    source = checks.corpus(rows(40))
    draw = checks.draw(source, margin=0.2).uri
    result = checks.decide(source, [draw], answer_all(draw, lambda _: "a"), target_accuracy=0.1, margin=0.2)
    numbers = json.dumps(report_of(Corpus.open(result.uri)).to_dict())
    assert "text number" not in numbers
    read = json.loads(numbers)
    assert {entry["by_people"] for entry in read["sample"]["answers"]} == {"a"}
    assert read["sample"]["asked"] == read["asked"]
    assert "text number" not in report_page(report_of(Corpus.open(result.uri)))


def test_the_page_tells_outcome_estimate_and_interval() -> None:
    page = Page(report_page(report()))
    figures = page.figures()
    assert (figures["outcome"], figures["right labels, estimated"], figures["labels corrected"]) == (
        "passed",
        "90.0%",
        "17",
    )
    assert page.texts("title")[1] == "estimate 90.0%, interval 85.0% to 94.0%, target 80.0%"
    low_to_high = page.attributes("rect")[0]
    assert float(str(low_to_high["x"])) == 20 + 480 * 0.85
    assert float(str(low_to_high["width"])) == 43.2
    assert any("each label weighted by its documents" in text for text in page.texts("p"))


def test_the_page_tells_which_labels_were_right_and_what_people_said_instead() -> None:
    page = Page(report_page(report()))
    by_label, sample, suspicious = page.texts("tbody")
    assert by_label == "space10090100" + "0.900" + "cooking403802" + "1.000" + "rare1001"
    assert sample == "space \u2192 cooking6" + "space \u2192 (none of these)4"
    assert suspicious == "(no label) \u2192 space1"
    assert "10 of 138 answered texts got another label." in page.texts("p")
    assert "1 of 4 answered texts got another label." in page.texts("p")


def test_an_interval_of_nothing_can_be_seen_and_an_empty_set_is_left_out() -> None:
    page = Page(report_page(report(review=record(low=1.0, high=1.0, accuracy=1.0), suspicious=Checked())))
    assert page.attributes("rect")[0]["width"] == "2.0"
    assert len(page.texts("tbody")) == 2
    assert Page(report_page(report(sample=Checked(), suspicious=Checked()))).texts("tbody") == []


def test_markup_is_text_and_the_page_stays_small() -> None:
    names = [f"{number}{_HOSTILE}" + "&" * 400 for number in range(300)]
    checked = Checked(
        Counter(dict.fromkeys(names, 2)), Counter({(name, other): 1 for name in names for other in names[:3]})
    )
    html = report_page(report(sample=checked, suspicious=checked, uri=_HOSTILE))
    page = Page(html)
    assert not {"script", "img"} & {tag for tag, _, _ in page.elements}
    assert len(html.encode()) < 300_000
    assert "240 more are left out." in page.texts("p")

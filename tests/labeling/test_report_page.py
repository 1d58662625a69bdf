"""The page of a labelling."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.report.aside import MOST_CHARS_READ, Example, SetAside
from airflow_provider_autoglm.corpus.report.documents import Document
from airflow_provider_autoglm.labeling.explain import WordWeight
from airflow_provider_autoglm.labeling.report import Report
from airflow_provider_autoglm.labeling.report_page import report_page
from airflow_provider_autoglm.labeling.report_tally import BINS, Route, Tally
from airflow_provider_autoglm.labeling.report_texts import LabelledText, Shown
from tests.corpus.report.page import Page
from tests.labeling.conftest import settings_with

_HOSTILE = "</p></article><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" \u202e"
_MEASURES = {"temperature": 1.25, "rows": 300.0, "ece_before": 0.08, "ece_after": 0.021}


def histogram(**counts: int) -> Any:
    bins = np.zeros(BINS, np.int64)
    for name, count in counts.items():
        bins[int(name.removeprefix("bin"))] = count
    return bins


def text_with(text: str, *words: tuple[str, float], **more: Any) -> LabelledText:
    document = Document(doc_id="1", text=text, url="https://a.example/1", title="One", lang=None)
    weights = tuple(WordWeight(w, text.index(w), text.index(w) + len(w), weight) for w, weight in words)
    return replace(LabelledText(document, "space", 0.912, 0.85, weights), **more)


def report(**more: Any) -> Report:
    tally = Tally(
        by_label=Counter({"space": 60, "cooking": 20}),
        by_people=Counter({"rugby": 5}),
        abstained=10,
        routes={("en", "nli/model@1"): Route(80, 75, 60.0), ("unknown", "none"): Route(10, 0, 0.0)},
        scores=histogram(bin18=80),
        margins=histogram(bin3=30, bin10=50),
    )
    made = Report(
        uri="file:///data/label",
        pipeline="news",
        created_at="2026-11-22T08:33:51.123456+00:00",
        settings=settings_with(kind="nli", model="hub/model", min_score=0.4),
        counters=Counters(rows_in=100, rows_out=95, rejected=5),
        seconds=12.34,
        tally=tally,
        calibration={"*": _MEASURES},
        int8_agreement={"*": 0.985},
        rejected=(SetAside("model_error", 5, (Example(Document("1", "Bad text", None, None, None)),)),),
        texts=Shown(
            least_sure=(text_with("Hardly sure", score=0.41, margin=0.004),),
            abstained=(text_with("Nothing fits", label=None, score=0.3),),
            explained=(text_with("A rocket and some soup", ("rocket", 2.5), ("some", 0.01), ("soup", -0.5)),),
        ),
        is_fitted=True,
    )
    return replace(made, **more)


def with_explained(*texts: LabelledText, **more: Any) -> Report:
    return report(texts=Shown(least_sure=(), abstained=(), explained=texts, **more))


def test_the_figures_and_what_decided_are_told() -> None:
    page = Page(report_page(report()))
    figures = page.figures()
    told = {
        "documents in": "100",
        "labelled": "80",
        "without a label": "10",
        "labelled by people": "5",
        "rejected": "5",
        "seconds": "12.3",
        "kind": "nli",
        "model": "hub/model",
        "min_score": "0.4",
    }
    assert told.items() <= figures.items()
    assert "refine" not in figures
    assert "Pipeline news · 2026-11-22 08:33:51 UTC · 88.9% got a label" in page.texts("header")[0]


def test_a_kind_tells_the_settings_that_matter_to_it_and_models_by_language() -> None:
    settings = settings_with(models={"zh": "hub/chinese", "fr": None}, mc_dropout=4)
    figures = Page(report_page(report(settings=settings))).figures()
    assert figures["refine"] == "yes"
    assert figures["mc_dropout"] == "4"
    assert figures["model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert figures["model for zh"] == "hub/chinese"
    assert figures["model for fr"] == "none: texts stay without label"


def test_labels_are_counted_also_those_that_no_text_got() -> None:
    auto, people = Page(report_page(report())).texts("table", **{"class": "bars"})
    assert auto == "labeltextsshare" + "space6075.0%" + "cooking2025.0%" + "football00.0%"
    assert people == "labeltextsshare" + "rugby5100.0%"


def test_where_people_labelled_nothing_their_list_is_left_out() -> None:
    page = Page(report_page(report(tally=Tally())))
    assert "By people, untouched here" not in page.texts("h3")
    assert page.texts("desc") == ["texts: none", "texts: none"]
    assert "Languages and labelers" not in page.texts("h2")


def test_scores_and_margins_have_charts() -> None:
    assert Page(report_page(report())).texts("desc") == ["texts: 80 at 0.9", "texts: 30 at 0.15, 50 at 0.5"]


def test_a_calibration_is_told_and_the_lack_of_one_too() -> None:
    page = Page(report_page(report()))
    assert "all languages3001.2500.0800.021" in page.texts("tbody")
    assert "INT8 gave 98.5% of the sampled texts the label of fp32: it was used." in page.texts("p")
    page = Page(report_page(report(calibration={}, int8_agreement={"de": 0.9})))
    assert any(text.startswith("Scores are not calibrated") for text in page.texts("p"))
    assert "INT8 gave 90.0% of the sampled texts of de the label of fp32: it was not used." in page.texts("p")
    page = Page(report_page(report(calibration={"*": _MEASURES, "de": _MEASURES}, int8_agreement={})))
    assert "*3001.2500.0800.021de3001.2500.0800.021" in page.texts("tbody")
    assert not any(text.startswith("INT8") for text in page.texts("p"))


def test_languages_and_labelers_are_told_and_many_of_them_cut_short() -> None:
    page = Page(report_page(report()))
    assert "en · nli/model@1800.9380.800unknown · none100.000" in page.texts("tbody")
    routes = {(f"l{number}", "x"): Route(100 - number, 1, 0.5) for number in range(35)}
    page = Page(report_page(report(tally=Tally(routes=routes))))
    assert "5 further languages are left out." in page.texts("p")


def test_the_least_sure_texts_and_those_without_a_label_are_shown() -> None:
    first, second, *_ = Page(report_page(report())).texts("article")
    assert first == "space score 0.41 · lead 0.00Onehttps://a.example/1Hardly sure"
    assert second == "no label score 0.30 · lead 0.85Onehttps://a.example/1Nothing fits"


def test_weighty_words_are_marked_by_side_and_strength_and_listed_with_their_numbers() -> None:
    page = Page(report_page(report()))
    (article,) = [text for text in page.texts("article") if "rocket" in text]
    assert article.startswith("space score 0.91 · lead 0.85OneA rocket and some soup")
    assert article.endswith("For: rocket +2.50 · some +0.01Against: soup -0.50")
    marks = [(attributes, "".join(text)) for name, attributes, text in page.elements if name == "mark"][4:]
    assert marks == [
        ({"class": "for strong", "title": "+2.50"}, "rocket"),
        ({"class": "against", "title": "-0.50"}, "soup"),
    ]


def test_only_words_of_the_shown_beginning_are_marked_and_the_others_listed() -> None:
    text = "rocket " + "and " * 130 + "moon"
    made = with_explained(text_with(text, ("rocket", 1.0), ("moon", 3.0)))
    article = Page(report_page(made)).texts("article")[0]
    assert "…For: moon +3.00 · rocket +1.00" in article


def test_it_is_said_how_the_weights_were_found_and_of_which_labeler() -> None:
    def told(**more: Any) -> str:
        return " ".join(Page(report_page(report(**more))).texts("p"))

    embedding = settings_with(kind="embedding")
    assert "integrated gradients" in told()
    assert "what they lose without it" in told(settings=embedding)
    assert "before it was refined" not in told(settings=embedding)
    assert "before it was refined" in told(settings=embedding, is_fitted=False)
    assert "before it was refined" not in told(settings=settings_with(refine=False), is_fitted=False)


def test_a_text_that_could_not_be_explained_says_why() -> None:
    made = with_explained(text_with("A moon", ("moon", 1.0)), text_with("A sun", unexplained="the model <broke>"))
    assert Page(report_page(made)).texts("article")[1].endswith("A sunNot explained: the model <broke>")


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (Shown((), (), (), "Nobody asks twice."), "Nobody asks twice."),
        (Shown((), (), ()), "No text was looked into."),
        (
            Shown((), (), (text_with("A sun", unexplained="torch is <missing>"),)),
            "The words behind these labels could not be found out: torch is <missing>",
        ),
        (Shown((), (), (text_with("?"),)), "The words behind these labels could not be found out: they have no words"),
    ],
)
def test_without_explanations_the_page_says_why(shown: Shown, said: str) -> None:
    assert said in Page(report_page(report(texts=shown))).texts("p")


def test_rejected_rows_are_told_with_what_the_reason_means() -> None:
    article = Page(report_page(report())).texts("article")[-1]
    assert article == "model_error 5the model breaks on this text1Bad text"
    assert "Nothing was rejected." in Page(report_page(report(rejected=()))).texts("p")


def test_markup_is_text() -> None:
    document = Document(doc_id="1", text=_HOSTILE, url="javascript:alert(1)", title=_HOSTILE, lang='"><b>')
    end = len(_HOSTILE)
    words = (WordWeight(_HOSTILE[:9], 0, 9, 1.0), WordWeight(_HOSTILE[9:end], 9, end, -1.0))
    text = LabelledText(document, _HOSTILE, 0.5, 0.1, words, unexplained=_HOSTILE)
    hostile = report(
        uri=_HOSTILE,
        settings=settings_with(model=_HOSTILE, models={"zh": _HOSTILE}, labels=[{"name": _HOSTILE[:99]}]),
        tally=Tally(by_label=Counter({_HOSTILE: 3}), routes={(_HOSTILE, _HOSTILE): Route(1, 1, 1.0)}),
        calibration={_HOSTILE: _MEASURES},
        int8_agreement={_HOSTILE: 0.5},
        rejected=(SetAside(_HOSTILE, 1, (Example(document),)),),
        texts=Shown((text,), (text,), (text,)),
    )
    page = Page(report_page(hostile))
    assert not {"script", "img", "iframe", "link", "object", "a"} & {tag for tag, _, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes, _ in page.elements for name in attributes)
    assert page.texts("p", **{"class": "text"})[2] == _HOSTILE


def test_the_page_stays_small_whatever_the_rows_are() -> None:
    filler = "\U0001f600&" * (MOST_CHARS_READ // 2)
    url = "https://x.example/" + "&" * 156
    document = Document(doc_id=filler, text=filler, url=url, title=filler, lang="&" * 100)
    words = tuple(WordWeight(filler[n : n + 2], n, n + 2, (-1.0) ** n * (1 + n)) for n in range(0, len(filler), 2))
    text = LabelledText(document, filler, 0.5, 0.1, words, unexplained=filler)
    many = Counter({f"{number}{filler}"[:100]: 1 for number in range(99)})
    models = {f"en-{number}{'x' * 90}": "&" * 500 for number in range(50)}
    huge = report(
        settings=settings_with(models=models, labels=[{"name": name} for name in many]),
        tally=Tally(
            by_label=many, by_people=many, routes={(name[:16], f"{name}{'&' * 255}"): Route(9, 1, 0.5) for name in many}
        ),
        calibration=dict.fromkeys(many, _MEASURES),
        rejected=tuple(SetAside(f"{n}{'&' * 90}", 1, (Example(document),) * 3) for n in range(40)),
        texts=Shown((text,) * 10, (text,) * 5, (text,) * 200),
    )
    html = report_page(huge)
    assert 150_000 < len(html.encode()) < 300_000
    left_out = [text for text in Page(html).texts("p") if "have no room here" in text]
    assert len(left_out) == 1

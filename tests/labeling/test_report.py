"""What is read again of a labelling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.schema import TRAFFIC_SOURCE
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.labeling import label
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.labels import Labels
from airflow_provider_autoglm.labeling.report import Report, report_of
from airflow_provider_autoglm.labeling.report_page import report_page
from airflow_provider_autoglm.labeling.report_texts import ABSTAINED_SHOWN, LEAST_SURE_SHOWN, LabelledText
from airflow_provider_autoglm.settings import LabelSettings
from tests.corpus.report.page import Page
from tests.labeling.conftest import settings_with
from tests.labeling.sentences import MIXED

Row = dict[str, Any]


@dataclass(frozen=True)
class FirstWordLabeler:
    """The label is what a text begins with; one that begins with ``broken`` breaks it."""

    name: str = "first/word@1"

    def predict(self, texts: Sequence[str]) -> Labels:
        if any(text.startswith("broken") for text in texts):
            raise ValueError(f"cannot read {texts[0]}")
        p = np.array([[0.8, 0.1, 0.1] if text.startswith("cooking") else [0.2, 0.4, 0.4] for text in texts])
        return Labels(("cooking", "football", "space"), p.astype(np.float32))


def row(number: int, label: str | None = "cooking", *, score: float = 0.9, **more: Any) -> Row:
    """A row that a labeler has labelled."""
    made = {
        "doc_id": f"{number:032x}",
        "url": f"https://site.example/{number}",
        "source": "site.example",
        "title": None,
        "text": f"{label} text number {number}",
        "lang": "en",
        "label": label,
        "label_score": np.float32(score),
        "label_margin": np.float32(score - 0.1),
        "uncertainty": np.float32(0.1),
        "labeler": "first/word@1",
        "label_source": "auto",
    }
    return made | more


def labelled(
    folder: Path,
    rows: Sequence[Row],
    *,
    rejected: Sequence[Row] = (),
    metrics: dict[str, float] | None = None,
    **settings: Any,
) -> Corpus:
    """A committed corpus of the stage ``label`` with two shards."""
    made = settings_with(**settings).model_dump(mode="json")
    attempt = StageAttempt("label", [], f"{folder}/label", made)
    attempt.count_in(len(rows) + len(rejected))
    schema = pa.Table.from_pylist([row(0)]).schema
    for part in (rows[::2], rows[1::2]):
        attempt.write(pa.Table.from_pylist(list(part), schema))
        attempt.finish_shards()
    if rejected:
        attempt.reject(pa.Table.from_pylist(list(rejected)))
        attempt.finish_shards()
    attempt.commit(metrics=metrics or {})
    return Corpus.open(f"{folder}/label")


def report_with(corpus: Corpus) -> Report:
    return report_of(corpus, labeler_of=lambda _: FirstWordLabeler())


def ids(texts: Sequence[LabelledText]) -> list[int]:
    return [int(text.document.doc_id, 16) for text in texts]


def test_rows_are_counted_by_label_language_and_who_gave_it(tmp_path: Path) -> None:
    rows = [
        row(1, score=0.95),
        row(2, score=0.55),
        row(3, "space", lang="de", labeler="first/other@2"),
        row(4, None, score=0.3),
        row(5, None, lang=None, labeler=None, label_score=None, label_margin=None),
        row(6, "football", label_source="human", label_score=None, label_margin=None, labeler="review/sample"),
        row(7, "rugby", label_source="feedback", label_score=None, label_margin=None, labeler="feedback"),
    ]
    tally = report_with(labelled(tmp_path, rows)).tally
    assert (tally.labelled, tally.abstained, tally.labelled_by_people) == (3, 2, 2)
    assert dict(tally.by_label) == {"cooking": 2, "space": 1}
    assert dict(tally.by_people) == {"football": 1, "rugby": 1}
    told = {key: (route.texts, route.labelled, round(route.mean_score, 3)) for key, route in tally.routes.items()}
    assert told == {
        ("en", "first/word@1"): (3, 2, 0.75),
        ("de", "first/other@2"): (1, 1, 0.9),
        ("unknown", "none"): (1, 0, 0.0),
    }


def test_scores_and_margins_of_labels_are_counted_in_twentieths(tmp_path: Path) -> None:
    rows = [row(number, score=score) for number, score in enumerate([0.15, 0.149, 0.5, 1.0])]
    rows.append(row(9, None, score=0.7))
    tally = report_with(labelled(tmp_path, rows)).tally
    assert {number: count for number, count in enumerate(tally.scores.tolist()) if count} == {2: 1, 3: 1, 10: 1, 19: 1}
    assert {number: count for number, count in enumerate(tally.margins.tolist()) if count} == {0: 1, 1: 1, 8: 1, 18: 1}


def test_the_texts_with_the_smallest_lead_are_the_least_sure(tmp_path: Path) -> None:
    rows = [row(number, score=1 - number / 100) for number in range(30)]
    rows += [row(90, None, score=0.1), row(91, "space", label_source="human", label_margin=0.0)]
    report = report_with(labelled(tmp_path, rows))
    assert ids(report.texts.least_sure) == list(range(29, 29 - LEAST_SURE_SHOWN, -1))
    assert report.texts.least_sure[0].margin == pytest.approx(0.61)
    assert ids(report.texts.abstained) == [90]


def test_some_texts_without_a_label_are_drawn_by_their_ids(tmp_path: Path) -> None:
    rows = [row(number, None) for number in range(40, 0, -1)]
    assert ids(report_with(labelled(tmp_path, rows)).texts.abstained) == list(range(1, ABSTAINED_SHOWN + 1))


def test_explained_texts_are_spread_over_the_labels(tmp_path: Path) -> None:
    rows = [row(number) for number in range(20)] + [row(number, "space") for number in range(20, 22)]
    report = report_with(labelled(tmp_path, rows, explain_texts=6))
    assert ids(report.texts.explained) == [0, 20, 1, 21, 2, 3]
    assert [text.label for text in report.texts.explained[:2]] == ["cooking", "space"]
    first = max(report.texts.explained[0].words, key=lambda word: word.weight)
    assert (first.word, first.weight > 1) == ("cooking", True)
    assert report.to_dict()["explained"] == 6


def test_copies_are_explained_once(tmp_path: Path) -> None:
    report = report_with(labelled(tmp_path, [row(1), row(1), row(2)], explain_texts=3))
    assert ids(report.texts.explained) == [1, 2]


def test_texts_of_persons_are_withheld_and_never_explained(tmp_path: Path) -> None:
    rows = [row(1, source=TRAFFIC_SOURCE, text="my secret"), row(2, source=None)]
    report = report_with(labelled(tmp_path, rows))
    assert ids(report.texts.explained) == [2]
    assert "my secret" not in repr(report)
    assert report.texts.least_sure[0].document.text.startswith("(a text of the traffic")


def test_a_text_that_breaks_the_model_is_told_without_its_words_and_without_the_models_message(tmp_path: Path) -> None:
    rows = [row(1, text="broken words"), row(2)]
    broken, fine = report_with(labelled(tmp_path, rows)).texts.explained
    assert (broken.words, broken.unexplained) == ((), "ValueError")
    assert fine.words
    assert not fine.unexplained


def test_a_labeler_that_cannot_be_loaded_leaves_the_texts_without_their_words(tmp_path: Path) -> None:
    corpus = labelled(tmp_path, [row(1), row(2, lang="de")], model="/no/such/folder", models={"de": "/nor/this"})
    english, german = report_of(corpus).texts.explained
    assert "/no/such/folder" in english.unexplained
    assert "/nor/this" in german.unexplained
    assert not english.words


def test_a_language_without_a_labeler_leaves_its_texts_without_their_words(tmp_path: Path) -> None:
    report = report_of(labelled(tmp_path, [row(1)]), labeler_of=lambda _: None)
    assert report.texts.explained[0].unexplained == "there is no labeler for this language"


def test_each_language_is_explained_by_its_own_labeler(tmp_path: Path) -> None:
    asked = []

    def labeler_of(route: str) -> FirstWordLabeler:
        asked.append(route)
        return FirstWordLabeler()

    rows = [row(1), row(2, lang="zh-CN"), row(3, lang="zh"), row(4, lang=None)]
    report = report_of(labelled(tmp_path, rows, models={"zh": "a", "fr": "b"}), labeler_of=labeler_of)
    assert asked == ["*", "zh"]
    assert all(text.words for text in report.texts.explained)


def test_labels_of_a_language_model_are_not_explained(tmp_path: Path) -> None:
    corpus = labelled(tmp_path, [row(1)], kind="llm", model="m")
    report = report_of(corpus)
    assert report.texts.explained == ()
    assert "language model" in report.texts.unexplained
    assert ids(report.texts.least_sure) == [1]


def test_the_labeler_is_built_anew_from_the_corpus(tmp_path: Path, labeler: EmbeddingLabeler) -> None:
    rows = [
        row(number, truth, text=text, labeler=labeler.name) for number, (text, truth) in enumerate(MIXED) if number < 6
    ]
    report = report_of(labelled(tmp_path, rows, explain_texts=2, precision="int8", mc_dropout=2))
    assert len(report.texts.explained) == 2
    assert all(text.words for text in report.texts.explained)
    assert not report.is_fitted


def test_nothing_is_loaded_where_nothing_is_to_be_explained(tmp_path: Path) -> None:
    def labeler_of(route: str) -> FirstWordLabeler:
        raise AssertionError(route)

    corpus = labelled(tmp_path, [row(1)], explain_texts=0)
    assert report_of(corpus, labeler_of=labeler_of).texts.explained == ()


def test_calibration_and_int8_are_told_by_route(tmp_path: Path) -> None:
    measures = {"temperature": 1.5, "rows": 300.0, "ece_before": 0.1, "ece_after": 0.02}
    metrics = {f"calibration/{name}": value for name, value in measures.items()}
    metrics |= {f"calibration/de/{name}": value + 1 for name, value in measures.items()}
    metrics |= {"int8/agreement": 0.99, "calibration/fr/rows": 3.0}
    corpus = labelled(tmp_path, [row(1)], metrics=metrics, models={"de": "x", "fr": "y"}, explain_texts=0)
    report = report_of(corpus)
    assert report.calibration == {"*": measures, "de": {name: value + 1 for name, value in measures.items()}}
    assert report.int8_agreement == {"*": 0.99}


def test_a_corpus_without_calibration_has_none(tmp_path: Path) -> None:
    report = report_with(labelled(tmp_path, [row(1)]))
    assert report.calibration == {}
    assert report.int8_agreement == {}


def test_rejected_rows_are_told_by_reason_with_examples(tmp_path: Path) -> None:
    rejected = [{"doc_id": f"{n:032x}", "text": f"bad {n}", "reason": "model_error"} for n in range(5)]
    report = report_with(labelled(tmp_path, [row(9)], rejected=rejected))
    (entry,) = report.rejected
    assert (entry.reason, entry.rows, len(entry.examples)) == ("model_error", 5, 3)


def test_the_numbers_are_json_without_texts_and_the_same_each_time(tmp_path: Path) -> None:
    labels = [{"name": "cooking", "examples": ["a text of the settings"]}, {"name": "space"}]
    corpus = labelled(tmp_path, [row(1), row(2, "space")], labels=labels)
    numbers = json.dumps(report_with(corpus).to_dict())
    assert numbers == json.dumps(report_with(corpus).to_dict())
    assert "text number" not in numbers
    assert "a text of the settings" not in numbers
    read = json.loads(numbers)
    assert (read["rows_in"], read["labelled"], read["rows_by_label"]) == (2, 2, {"cooking": 1, "space": 1})
    assert read["scores_from"]["0.9"] == 2
    assert read["routes"] == [{"lang": "en", "labeler": "first/word@1", "texts": 2, "labelled": 2, "mean_score": 0.9}]


def test_an_empty_corpus_has_a_report(tmp_path: Path) -> None:
    report = report_of(labelled(tmp_path, []))
    assert report.tally.labelled == 0
    assert report.texts.explained == report.texts.least_sure == ()


def test_a_corpus_without_languages_has_a_report(tmp_path: Path) -> None:
    rows = [{name: value for name, value in row(1).items() if name != "lang"}]
    attempt = StageAttempt("label", [], f"{tmp_path}/label", settings_with().model_dump(mode="json"))
    attempt.count_in(1)
    attempt.write(pa.Table.from_pylist(rows))
    attempt.finish_shards()
    attempt.commit()
    report = report_with(Corpus.open(f"{tmp_path}/label"))
    assert list(report.tally.routes) == [("unknown", "first/word@1")]
    assert report.settings == LabelSettings.parse(settings_with().model_dump(mode="json"))


def test_hostile_texts_are_labelled_and_shown_as_text(tmp_path: Path) -> None:
    hostile = [
        "</p><script>alert('football')</script> the goal of the match",
        "\u202eמשחק כדורגל football \u2066 goal",
        "a football goal " * 625_000,
        "\U0001f600\U0001f600",
        "足球比赛的进球",
        "&" * 3_000 + " stars and planets",
    ]
    texts = pa.array([*(text.encode() for text in hostile), b"a broken \xed\xa0\x80 goal of the team"], pa.binary())
    table = pa.table({"doc_id": [f"{n:032x}" for n in range(len(texts))], "text": texts.view(pa.string())})
    attempt = StageAttempt("clean", [], f"{tmp_path}/clean", {})
    attempt.count_in(len(texts))
    attempt.write(table)
    attempt.finish_shards()
    attempt.commit()
    uri = label(
        f"{tmp_path}/clean", f"{tmp_path}/label", settings_with(refine=False, max_tokens=16, max_rejected_fraction=1)
    ).uri
    report = report_of(Corpus.open(uri))
    html = report_page(report)
    page = Page(html)
    assert len(report.texts.explained) >= 4
    assert report.tally.labelled + report.tally.abstained + report.counters.rejected == len(texts)
    assert len(html.encode()) < 100_000
    assert "script" not in {tag for tag, _, _ in page.elements}
    assert any("<script>alert('football')</script>" in text for text in page.texts("p", **{"class": "text"}))

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_autoglm.corpus.dedupe.report_pairs import Pair
from airflow_provider_autoglm.corpus.report.documents import Document
from demo.airflow_api import TaskState
from demo.dag_runs import is_form_nobody_needs
from demo.dataset_report import dataset_lines
from demo.summary import (
    STAGES,
    Agreement,
    DatasetFigures,
    DuplicateExample,
    MlflowFigures,
    Summary,
    agreement_with,
    duplicate_example,
)

GOOD = Summary(
    site="http://127.0.0.1:1/",
    pages_attempted=12,
    pages_crawled=10,
    rejected={"crawl": {"http_404": 1, "empty_page": 1}, "clean": {}},
    removed={"dedupe": {"near_duplicate": 1}},
    duplicates_removed=1,
    duplicate_examples=[DuplicateExample("http://x/a", "http://x/b", 4, 0.83, "one text", "one test")],
    label_shares={"web": 0.75, "tables": 0.25},
    agreement=Agreement(8, 6),
    dataset=DatasetFigures("file:///data/v1", "/data/v1", 1, 9, {"train": 7, "test": 2}),
    mlflow=MlflowFigures(
        "http://m/#/1",
        "abc",
        "FINISHED",
        {"crawl": 0, "collect_traffic": 0, "clean": 1, "dedupe": 1, "label": 1, "publish": 2},
    ),
    airflow_url="http://a/",
    dag_run="autoglm_dataset_default manual__1",
    tasks={"crawl": "success", "clean[0]": "success"},
    seconds={"crawl": 3.0},
)


def document(doc_id: str, text: str) -> Document:
    return Document(doc_id=doc_id, text=text, url=f"http://x/{doc_id}", title=None, lang=None)


def pair_of(removed: str, kept: str | None) -> Pair:
    kept_document = None if kept is None else document("b", kept)
    return Pair(document("a", removed), kept_document, "b", is_exact=False, hamming=4, jaccard=0.83333)


def test_a_run_in_which_every_step_succeeded_has_no_problems() -> None:
    assert GOOD.problems() == []


def test_each_step_that_did_not_succeed_is_a_problem_in_words() -> None:
    bad = replace(
        GOOD,
        tasks={"crawl": "success", "publish": "skipped", "finish_run": None},
        pages_crawled=0,
        dataset=replace(GOOD.dataset, opened_rows={"train": 7}),
        mlflow=MlflowFigures("http://m", "abc", "FAILED", dict.fromkeys(STAGES[:-1], 0)),
    )
    assert bad.problems() == [
        "task publish is skipped",
        "task finish_run is not run",
        "no page was crawled",
        "load_dataset opens 7 rows of 9",
        "the parent run in MLflow is FAILED",
        "MLflow has no child run of publish",
        "MLflow knows no input of clean",
        "MLflow knows no input of dedupe",
        "MLflow knows no input of label",
    ]


def test_the_figures_are_json_with_the_share_and_the_count_of_child_runs() -> None:
    figures = json.loads(json.dumps(GOOD.to_dict()))
    assert figures["agreement"] == {"rows": 8, "agreeing": 6, "share": 0.75}
    assert figures["mlflow"]["child_runs"] == 6
    assert figures["dataset"]["opened_rows"] == {"train": 7, "test": 2}


def test_the_report_shows_every_figure_a_reader_asks_for() -> None:
    text = "\n".join(dataset_lines(GOOD))
    for expected in (
        "attempted 12, crawled 10",
        "rejected by crawl: http_404 1, empty_page 1",
        "Duplicates removed: 1",
        "4 of 64 bits apart, Jaccard similarity 0.83",
        "agreement with the truth: 75.0% of 8 rows",
        "Dataset version 1: 9 rows (train 7, test 2)",
        "load_dataset('/data/v1')",
        "crawl 3 s",
    ):
        assert expected in text


def test_agreement_passes_over_pages_nobody_has_sorted() -> None:
    rows = [{"url": "a", "label": "web"}, {"url": "b", "label": "web"}, {"url": "index", "label": "web"}]
    assert agreement_with({"a": "web", "b": "tables"}, rows) == Agreement(2, 1)
    assert agreement_with({}, rows).share == 0


def test_an_example_shows_what_lies_around_the_differences() -> None:
    same = "word " * 100
    example = duplicate_example(pair_of(same + "ends in rain", same + "ends in snow"))
    assert (example.removed_url, example.kept_url) == ("http://x/a", "http://x/b")
    assert (example.hamming, example.jaccard) == (4, 0.833)
    assert example.removed_excerpt.startswith("…")
    assert example.removed_excerpt.endswith("ends in rain")
    assert example.kept_excerpt.endswith("ends in snow")
    assert len(example.removed_excerpt) < 80


def test_an_example_that_an_earlier_run_keeps_says_so() -> None:
    example = duplicate_example(pair_of("some text", None))
    assert (example.kept_url, example.removed_excerpt, example.kept_excerpt) == ("b", "some text", "in an earlier run")


@pytest.mark.parametrize(
    ("task_id", "state", "is_expected"),
    [("review", "skipped", True), ("review", "failed", False), ("publish", "skipped", False)],
)
def test_a_form_that_nobody_was_asked_is_no_problem(task_id: str, state: str, *, is_expected: bool) -> None:
    assert is_form_nobody_needs(TaskState(task_id, -1, state, 1, None, None)) == is_expected

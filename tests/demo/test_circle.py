from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.schema import DOCUMENT_SCHEMA, LABEL_COLUMNS, document_id
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.settings import PublishSettings
from demo.checks import CheckFigures
from demo.circle import Circle, ModelLink, TrafficVersion
from demo.circle_report import circle_lines
from demo.docstrings import AREAS, NEW_AREA
from demo.held_out import Comparison
from demo.rollouts import RolloutFigures, Step

_SCHEMA = pa.schema([*DOCUMENT_SCHEMA, *LABEL_COLUMNS])


def _check(number: int, separation: float | None, state: str, **changes: Any) -> CheckFigures:
    figures = CheckFigures(
        id=number,
        run=f"watch/{number}",
        version="2",
        state=state,
        is_confirmed=False,
        score=separation,
        separation=separation,
        label_shift=0.05,
        p_value=0.2,
        rows=400,
        new_rows=400,
        last_prediction_id=400 * number,
        judged_rows=0,
        realised_accuracy=None,
        confirmation="",
        answered_by=None,
    )
    return replace(figures, **changes)


GOOD = Circle(
    checks=[
        _check(1, 0.02, "ok"),
        _check(2, 0.45, "drifted"),
        _check(3, 0.47, "drifted", is_confirmed=True, answered_by="dataset/7"),
    ],
    dataset_run="dataset/7",
    dataset=TrafficVersion(2, "file:///data/v2", ["drift"], [3], 1_200, 300, 180, 200, 120, 170),
    model=ModelLink(
        "4", "http://m/4", "head", {"gain": 0.1}, {"autoglm.dataset_version": "2", "autoglm.reasons": "drift"}
    ),
    rollout=RolloutFigures(
        4, "4", "2", "done", "", 100.0, 130.0, [Step(0.0, "pending", ""), Step(30.0, "done", "")], [], 210, {}
    ),
    rollout_started_by="default/v4",
    champion="4",
    new_area=Comparison(238, 20, 150, 5, 135, 1e-20),
    known_areas=Comparison(221, 170, 168, 6, 4, 0.75),
)


def test_a_circle_that_met_every_expectation_has_no_problems() -> None:
    assert GOOD.problems() == []


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        (
            {"checks": [_check(1, 0.15, "ok"), *GOOD.checks[1:]]},
            ["before the new area check 1 is ok, G 0.15"],
        ),
        (
            {"checks": [_check(1, None, "insufficient_data"), *GOOD.checks[1:]]},
            ["before the new area check 1 is insufficient_data, G None"],
        ),
        (
            {"checks": [GOOD.checks[0], _check(2, 0.3, "warning"), GOOD.checks[2]]},
            ["after the new area check 2 is warning, G 0.3"],
        ),
        (
            {"checks": [GOOD.checks[0], replace(GOOD.checks[1], is_confirmed=True), GOOD.checks[2]]},
            [
                "of the checks [1, 2, 3] are confirmed [2, 3], expected the last of 3",
                "the chain breaks at answered_by: None, expected dataset/7",
                "the chain breaks at dataset_checks: [3], expected [2]",
            ],
        ),
        (
            {"checks": [GOOD.checks[0], GOOD.checks[2]]},
            ["of the checks [1, 3] are confirmed [3], expected the last of 3"],
        ),
        (
            {"checks": [*GOOD.checks[:2], replace(GOOD.checks[2], last_prediction_id=800)]},
            ["check 3 saw no row after row 800, the last of check 2"],
        ),
        (
            {"dataset": replace(GOOD.dataset, of_the_new_area=49, labels_told=0)},
            [
                "dataset version 2 has 49 rows of statistics and plots from traffic, expected 50",
                "dataset version 2 has no label of the clients'",
            ],
        ),
        (
            {"dataset": replace(GOOD.dataset, reasons=["manual"], checks=[])},
            [
                "the chain breaks at dataset_reasons: ['manual'], expected ['drift']",
                "the chain breaks at dataset_checks: [], expected [3]",
            ],
        ),
        (
            {"dataset_run": "dataset/8"},
            ["the chain breaks at answered_by: dataset/7, expected dataset/8"],
        ),
        (
            {"model": replace(GOOD.model, tags={})},
            [
                "the chain breaks at model_tags: {}, expected "
                "{'autoglm.dataset_version': '2', 'autoglm.reasons': 'drift'}"
            ],
        ),
        (
            {"rollout": replace(GOOD.rollout, version="5", state="held"), "champion": "2"},
            [
                "the chain breaks at rollout_state: held, expected done",
                "the chain breaks at champion: 2, expected 4",
                "rollout 4 is of version 5, expected 4",
            ],
        ),
        (
            {"new_area": Comparison(199, 20, 25, 5, 10, 0.3)},
            [
                "the models are compared on 199 texts of statistics and plots, expected 200",
                "version 4 has 25 of 199 texts of statistics and plots right, the champion before 20 (p = 0.3), "
                "expected more (p < 0.01)",
            ],
        ),
        (
            {"new_area": Comparison(238, 150, 20, 135, 5, 1e-20)},
            [
                "version 4 has 20 of 238 texts of statistics and plots right, the champion before 150 (p = 1e-20), "
                "expected more (p < 0.01)",
            ],
        ),
    ],
)
def test_whatever_is_not_as_it_should_be_is_a_problem_in_words(changes: dict[str, Any], problems: list[str]) -> None:
    assert replace(GOOD, **changes).problems() == problems


def test_a_circle_without_a_confirmed_check_has_a_chain_that_begins_with_none() -> None:
    circle = replace(GOOD, checks=GOOD.checks[:2])
    assert circle.confirmed is None
    assert (circle.chain()["check"], circle.chain()["answered_by"]) == (None, None)


def test_the_figures_are_json_with_the_chain_from_the_check_to_the_champion() -> None:
    figures = json.loads(json.dumps(GOOD.to_dict()))
    assert figures["chain"] == {
        "check": 3,
        "answered_by": "dataset/7",
        "dataset_version": 2,
        "dataset_reasons": ["drift"],
        "dataset_checks": [3],
        "model_version": "4",
        "model_tags": {"autoglm.dataset_version": "2", "autoglm.reasons": "drift"},
        "rollout": 4,
        "rollout_started_by": "default/v4",
        "rollout_state": "done",
        "champion": "4",
    }
    assert [check["separation"] for check in figures["checks"]] == [0.02, 0.45, 0.47]
    assert figures["new_area"]["accuracy_before"] == 0.084
    assert figures["new_area"]["accuracy_after"] == 0.6303
    assert figures["rollout"]["seconds"] == 30.0


def test_the_report_shows_checks_rows_models_and_the_chain() -> None:
    text = "\n".join(circle_lines(GOOD))
    for expected in (
        "Clients bring a new area: statistics and plots",
        "check 3 of version 2: drifted, confirmed; G 0.47",
        "dataset version 2: 1200 rows, 300 of them from traffic, 180 with a label that a client told",
        "of the new area 200: 120 with a label that a client told, 80 labelled automatically; 170 have the right label",
        "version 4 (head): http://m/4",
        "238 texts of the new area that nobody sent: 8.4% right before, 63.0% after (p = 1e-20)",
        "221 texts of the known areas that nobody sent: 76.9% right before, 76.0% after (p = 0.75)",
        "check 3 -> answered by dataset/7 -> dataset version 2 (reasons: drift; checks: 3) -> model version 4 "
        "(autoglm.dataset_version = 2, autoglm.reasons = drift) -> rollout 4 (started by default/v4, done) -> "
        "champion 4",
        "Rollout 4: version 4 beside version 2: done after 30 s",
    ):
        assert expected in text


def _row(text: str, source: str, label: str, label_source: str) -> dict[str, Any]:
    return {
        "doc_id": document_id(source, text),
        "source": source,
        "text": text,
        "label": label,
        "label_score": 1.0,
        "labeler": "someone",
        "label_source": label_source,
    }


def test_a_dataset_version_is_read_with_what_came_from_traffic_by_its_true_area(tmp_path: Path) -> None:
    rows = [
        _row("a page of the site", "demo site", "web", "auto"),
        _row("a plot that was told", "traffic", NEW_AREA, "feedback"),
        _row("a plot that was labelled well", "traffic", NEW_AREA, "auto"),
        _row("a plot that was labelled badly", "traffic", "tables", "auto"),
        _row("a table that was told", "traffic", "tables", "feedback"),
        _row("what nobody knows", "traffic", NEW_AREA, "auto"),
    ]
    areas = {document_id("traffic", row["text"]): NEW_AREA if "plot" in row["text"] else "tables" for row in rows[1:5]}
    corpus = write_corpus(str(tmp_path / "labelled"), [pa.Table.from_pylist(rows, _SCHEMA)], stage="label")
    published = publish(
        corpus.uri,
        str(tmp_path / "datasets"),
        PublishSettings(labels=tuple(AREAS), min_class_rows=0),
        provenance=Provenance(pipeline="docs", reasons=("drift",), checks=(3,)),
    )
    assert TrafficVersion.read(published.uri, areas) == TrafficVersion(
        version=1,
        uri=published.uri,
        reasons=["drift"],
        checks=[3],
        rows=6,
        from_traffic=5,
        labels_told=2,
        of_the_new_area=3,
        told=1,
        right=2,
    )

from __future__ import annotations

from typing import Any

from airflow_provider_autoglm.state.checks import Check
from demo.checks import CheckFigures, check_line

_REPORT: dict[str, Any] = {
    "window": {"rows": 400},
    "separation": 0.512,
    "label_shift": 0.4,
    "realised_accuracy": {"rows": 118, "accuracy": 0.5},
    "confirmation": "Confirmed: 2 checks of version 2 in a row are drifted, 400 rows are new.",
}


def _check(**changes: Any) -> Check:
    values: dict[str, Any] = {
        "pipeline": "docs",
        "kind": "drift",
        "run": "watch/3",
        "state": "drifted",
        "is_confirmed": True,
        "score": 0.512,
        "p_value": 1e-9,
        "version": "2",
        "new_rows": 400,
        "last_prediction_id": 1900,
        "report": _REPORT,
        "answered_by": "dataset/7",
        "id": 3,
    }
    return Check(**{**values, **changes})


def test_a_check_shows_what_it_measured_whether_it_is_confirmed_and_who_answers_it() -> None:
    figures = CheckFigures.of(_check())
    assert (figures.id, figures.run, figures.state, figures.is_confirmed) == (3, "watch/3", "drifted", True)
    assert (figures.separation, figures.label_shift, figures.p_value) == (0.512, 0.4, 1e-9)
    assert (figures.rows, figures.new_rows, figures.last_prediction_id) == (400, 400, 1900)
    assert (figures.judged_rows, figures.realised_accuracy, figures.answered_by) == (118, 0.5, "dataset/7")
    assert check_line(figures) == (
        "check 3 of version 2: drifted, confirmed; G 0.51, TV 0.40, p = 1e-09; 400 rows, 400 of them new; "
        "50.0% right by the feedback on 118"
    )


def test_a_check_that_could_compare_nothing_shows_its_rows_alone() -> None:
    report = {**_REPORT, "window": {"rows": 3}, "separation": None, "label_shift": None, "realised_accuracy": None}
    check = _check(state="insufficient_data", is_confirmed=False, score=None, p_value=None, new_rows=3, report=report)
    assert check_line(CheckFigures.of(check)) == "check 3 of version 2: insufficient_data; 3 rows, 3 of them new"

from __future__ import annotations

from demo.models import majority_of, model_figures, model_lines
from demo.summary import Agreement

_TRUTH = {"a": "web", "b": "web", "c": "tables", "elsewhere": "tables"}
_ANSWERS = {"a": "web", "b": "tables", "c": "tables", "index": "web"}


def test_the_majority_is_the_strongest_guess_over_the_documents_that_were_asked() -> None:
    assert majority_of(_TRUTH, _ANSWERS) == Agreement(3, 2)
    assert majority_of({}, _ANSWERS) == Agreement(0, 0)


def test_a_model_is_compared_with_the_truth_where_it_is_known() -> None:
    figures = model_figures(
        "1",
        url="http://m/1",
        method="head",
        verdict={"metrics": {"challenger/accuracy": 0.81234}},
        answers={**_ANSWERS, "b": "web"},
        truth=_TRUTH,
    )
    assert (figures.truth, figures.majority) == (Agreement(3, 3), Agreement(3, 2))
    assert figures.gain is not None
    assert round(figures.gain, 3) == 0.333
    assert list(model_lines(figures)) == [
        "Version 1 (head): http://m/1",
        "  test split, against the labels: challenger/accuracy 0.812",
        "  test split, answers of the gateway against the truth: 100.0% of 3 texts; the "
        "most frequent area alone: 66.7%",
    ]


def test_a_model_of_a_site_nobody_has_sorted_has_no_gain() -> None:
    figures = model_figures("1", url="http://m/1", method="head", verdict={"metrics": {}}, answers=_ANSWERS, truth=None)
    assert (figures.truth, figures.majority, figures.gain) == (None, None, None)

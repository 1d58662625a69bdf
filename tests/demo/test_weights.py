from __future__ import annotations

from demo.weights import WeightSample, changes, chart_lines, weights_of

_SAMPLES = [
    WeightSample(100.0, {}),
    WeightSample(110.0, {"1": 100}),
    WeightSample(120.0, {"1": 50, "2": 50}),
    WeightSample(120.5, {"1": 50, "2": 50}),
    WeightSample(130.0, {"2": 100}),
    WeightSample(131.0, {"2": 50, "3": 50}),
    WeightSample(132.0, {"2": 100, "3": 0}),
    WeightSample(140.0, {"2": 100}),
]


def test_the_weights_are_those_a_gateway_gives_and_not_those_it_is_told_to() -> None:
    status = {"answering": "2", "champion": "2", "challenger": "3", "challenger_weight": 50, "effective_weight": 0}
    assert weights_of(status) == {"2": 100, "3": 0}
    assert weights_of({**status, "effective_weight": 50}) == {"2": 50, "3": 50}
    assert weights_of({**status, "challenger": None}) == {"2": 100}
    assert weights_of({**status, "answering": None}) == {}


def test_changes_leave_out_what_stays_as_it_was() -> None:
    assert [sample.at for sample in changes(_SAMPLES)] == [100.0, 110.0, 120.0, 130.0, 131.0, 132.0, 140.0]
    assert changes([]) == []


def test_the_chart_shows_a_line_a_version_and_even_the_shortest_time_of_a_weight() -> None:
    heading, *bars = chart_lines(_SAMPLES, {}, columns=4)
    assert heading == "Weights over time (40 s, a column is 10.0 s, x: its breaker opened)"
    assert bars == ["  version 1     █▄", "  version 2      ▄█", "  version 3       ▄"]


def test_the_chart_marks_where_a_breaker_opened_even_of_a_version_no_sample_saw() -> None:
    _, *bars = chart_lines(_SAMPLES, {"3": [125.0], "4": [139.9], "1": []}, columns=4)
    assert bars == ["  version 1     █▄", "  version 2      ▄█", "  version 3      x▄", "  version 4       x"]


def test_a_gateway_that_said_nothing_has_no_chart() -> None:
    assert list(chart_lines([], {})) == ["Weights over time: the gateway told none"]

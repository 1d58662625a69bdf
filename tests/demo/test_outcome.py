from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from airflow_provider_autoglm.state.predictions import Counts
from demo.airflow_api import TaskState
from demo.dag_runs import DagRun
from demo.models import ModelFigures
from demo.outcome import Outcome
from demo.report import report
from demo.rollouts import Breaker, RolloutFigures, Step
from demo.summary import Agreement
from demo.traffic import Answer, count
from demo.weights import WeightSample
from tests.demo.test_circle import GOOD as CIRCLE
from tests.demo.test_summary import GOOD

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


_DATASET_TASKS = ("load_settings", "crawl", "collect_traffic", "publish", "finish_run")
_WATCH_TASKS = ("load_settings", "drift_check", "feedback_check", "finish_run")


def _run(dag_id: str, *task_ids: str) -> DagRun:
    tasks = [TaskState(task_id, -1, "success", 1, _NOON, _NOON + timedelta(seconds=7)) for task_id in task_ids]
    return DagRun(dag_id, "r", f"http://a/{dag_id}", tasks)


def _model(version: str, right: int) -> ModelFigures:
    return ModelFigures(
        version, f"http://m/{version}", "head", {"challenger/accuracy": 0.7}, Agreement(100, right), Agreement(100, 25)
    )


def _rollout(version: str, state: str, **figures: object) -> RolloutFigures:
    values: dict[str, object] = {
        "id": int(version),
        "version": version,
        "champion": None,
        "state": state,
        "reason": "",
        "began_at": 0.0,
        "ended_at": 30.0,
        "transitions": [Step(0.0, "pending", ""), Step(30.0, state, "")],
        "breakers": [],
        "judged_requests": 0,
        "requests": {},
    }
    return RolloutFigures(**{**values, **figures})  # type: ignore[arg-type]


_TRAFFIC = count([Answer(second, 5.0, 200, "2", True) for second in range(100)])
_BREAKER = Breaker(12.5, "gateway-1", "invalid_output")
_COUNTS = {"2": Counts(210, 0), "3": Counts(3, 3)}
_GOOD = Outcome(
    dataset=GOOD,
    models=[_model("1", 70), _model("2", 74)],
    rollouts=[
        _rollout("1", "done"),
        _rollout("2", "done", champion="1", judged_requests=214),
        _rollout("3", "rolled_back", champion="2", breakers=[_BREAKER], requests=_COUNTS),
    ],
    circle=CIRCLE,
    traffic=_TRAFFIC,
    traffic_of_rollouts={2: _TRAFFIC, 3: _TRAFFIC, 4: _TRAFFIC},
    weights=[WeightSample(0.0, {"1": 100}), WeightSample(1.0, {"1": 100}), WeightSample(9.0, {"4": 100})],
    aliases={"champion": "4", "previous": "2", "challenger": None},
    runs=[
        _run("autoglm_dataset_default", *_DATASET_TASKS),
        _run("autoglm_retrain_default", "load_settings", "train", "evaluate", "finish_run"),
        _run("autoglm_canary_rollout_default", "load_settings", "canary", "finish_run"),
    ],
    model_url="http://m/#/models/default",
    seconds=400.0,
)


def test_a_demo_that_met_every_expectation_has_no_problems() -> None:
    assert _GOOD.problems() == []


def test_a_site_nobody_has_sorted_is_not_measured_against_a_truth_and_has_no_circle() -> None:
    demo = replace(
        _GOOD,
        models=[replace(model, truth=None, majority=None) for model in _GOOD.models],
        circle=None,
        weights=[WeightSample(9.0, {"2": 100})],
        aliases={"champion": "2", "previous": "1", "challenger": None},
    )
    assert demo.problems() == []
    assert json.loads(demo.to_json())["circle"] is None
    assert "new area" not in report(demo)


def test_a_problem_of_the_circle_is_one_of_the_demo_and_so_are_errors_during_its_rollout() -> None:
    failing = count([Answer(1.0, 5.0, 503, "", False)])
    bad = replace(_GOOD, circle=replace(CIRCLE, dataset_run="other"), traffic_of_rollouts={4: failing})
    assert bad.problems() == [
        "the chain breaks at answered_by: dataset/7, expected other",
        "clients saw 1 errors during the rollout of version 4",
    ]


def test_feedback_that_was_not_taken_is_a_problem() -> None:
    told = [Answer(second, 5.0, 200, "2", True, feedback_status=202 if second else 503) for second in range(3)]
    assert replace(_GOOD, traffic=count(told)).problems() == ["the gateway did not accept 1 of 3 feedbacks"]


def test_a_weak_first_model_is_a_problem() -> None:
    models = [_model("1", 44), _GOOD.models[1]]
    assert replace(_GOOD, models=models).problems() == [
        "version 1 beats the most frequent area by 19.0% of the test rows, expected 20%"
    ]


def test_aliases_and_routes_that_are_not_where_they_should_be_are_problems() -> None:
    bad = replace(
        _GOOD,
        aliases={"champion": "3", "previous": None, "challenger": "3"},
        weights=[WeightSample(0.0, {"2": 50, "4": 50})],
    )
    assert bad.problems() == [
        "the alias champion points to version 3, expected 4",
        "the alias previous points to version None, expected 2",
        "the alias challenger points to version 3, expected None",
        "at the end the gateway gives version 4 50 % of the requests",
    ]


def test_each_rollout_has_to_end_as_it_should_and_to_rest_on_evidence() -> None:
    bad = replace(
        _GOOD,
        rollouts=[
            _rollout("1", "done", transitions=[Step(0.0, "step", "")]),
            _rollout("2", "held", judged_requests=199),
            _rollout("3", "done"),
        ],
        weights=[],
    )
    assert bad.problems() == [
        "rollout 2 of version 2 is held, expected done",
        "rollout 3 of version 3 is done, expected rolled_back",
        "version 1 went through steps although there was no champion",
        "version 2 was judged on 199 requests of its own, expected 200",
        "no event names the breaker of version 3",
        "at the end the gateway gives version 4 0 % of the requests",
    ]


def test_errors_that_clients_saw_are_problems_and_so_are_clients_that_asked_nothing() -> None:
    failing = count([Answer(1.0, 5.0, 503, "", False), Answer(2.0, 5.0, 200, "2", True)])
    bad = replace(_GOOD, traffic=failing, traffic_of_rollouts={2: count([]), 3: failing})
    assert bad.problems() == [
        "clients sent nothing during the rollout of version 2",
        "clients saw 1 errors during the rollout of version 3",
        "clients saw 1 errors in 2 requests",
    ]


def test_a_task_that_is_missing_or_did_not_succeed_is_a_problem() -> None:
    canary = _GOOD.runs[2]
    runs = [
        _run("autoglm_retrain_default", "load_settings", "train", "finish_run"),
        replace(canary, tasks=[*canary.tasks[:1], replace(canary.tasks[1], state=None), *canary.tasks[2:]]),
    ]
    assert replace(_GOOD, runs=runs).problems() == [
        "autoglm_retrain_default has no task evaluate",
        "autoglm_canary_rollout_default: task canary is not run",
    ]


def test_a_check_that_is_not_confirmed_is_skipped_as_expected_and_any_other_skip_is_a_problem() -> None:
    watch = replace(_run("autoglm_drift_watch_default", *_WATCH_TASKS), may_skip=("drift_check",))
    skipped = [replace(task, state="skipped") if "check" in task.task_id else task for task in watch.tasks]
    assert replace(_GOOD, runs=[replace(watch, tasks=skipped)]).problems() == [
        "autoglm_drift_watch_default: task feedback_check is skipped"
    ]


def test_a_problem_of_the_dataset_is_one_of_the_demo() -> None:
    assert replace(_GOOD, dataset=replace(GOOD, pages_crawled=0)).problems() == ["no page was crawled"]


def test_the_figures_are_json_with_weights_where_they_change() -> None:
    figures = json.loads(_GOOD.to_json())
    assert figures["problems"] == []
    assert figures["dataset"]["agreement"]["share"] == 0.75
    assert figures["models"][0]["gain"] == 0.45
    assert figures["rollouts"][2]["breakers"] == [{"at_s": 12.5, "gateway_id": "gateway-1", "reason": "invalid_output"}]
    assert figures["rollouts"][2]["requests"]["3"] == {"requests": 3, "errors": 3}
    assert figures["traffic"]["answers"] == {"2": {"200": 100}}
    assert figures["weights"] == [{"at": 0.0, "weights": {"1": 100}}, {"at": 9.0, "weights": {"4": 100}}]
    assert figures["runs"][1]["seconds"]["train"] == 7.0
    assert figures["circle"]["chain"]["champion"] == "4"


def test_the_report_shows_models_rollouts_weights_requests_and_where_to_look() -> None:
    text = report(_GOOD)
    for expected in (
        "attempted 12, crawled 10",
        "Version 1 (head): http://m/1",
        "against the truth: 74.0% of 100 texts; the most frequent area alone: 25.0%",
        "Rollout 2: version 2 beside version 1: done after 30 s",
        "breaker       of gateway-1 opened: invalid_output",
        "check 3 of version 2: drifted, confirmed",
        "version 4    ",
        "100 x 200",
        "http://m/#/models/default  (champion = 4, previous = 2, challenger = none)",
        "Airflow: http://a/autoglm_retrain_default  (7 s)",
        "All of it took 400 s",
    ):
        assert expected in text

"""The circle under the same Airflow: traffic of a new area, confirmed twice, becomes a dataset, a model, a champion."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.state.checks import read_checks
from airflow_provider_autoglm.state.tables import checks
from tests.end_to_end.cooking import COOKING, recipes
from tests.end_to_end.deployment import DATASET_DAG
from tests.end_to_end.serving import DRIFT_WATCH_DAG, PIPELINE, RETRAIN_DAG, ROLLOUT_DAG, Serving

ROWS = 100
"""Of the traffic baseline, and of a window."""
FEEDBACK_EVERY = 3


@dataclass
class Circle:
    """The runs of one circle."""

    watched: list[str]
    dataset: str
    retrain: str
    rollout: str


def ask(serving: Serving, texts: list[str], *, label: str | None = None) -> None:
    """Send texts as a client does; with ``label`` each third one is followed by its true label."""
    for number, text in enumerate(texts):
        answer = serving.gateway.invoke(text)
        assert answer.status_code == 200
        if label is not None and number % FEEDBACK_EVERY == 0:
            assert serving.gateway.feedback(answer.headers["x-request-id"], label=label).ok
    serving.wait_for_log()


def watch(serving: Serving) -> str:
    """One look at the traffic; the id of the run."""
    return serving.deployment.run(dag_id=DRIFT_WATCH_DAG)


def state_of(serving: Serving, run_id: str) -> str | None:
    return serving.deployment.states(run_id, dag_id=DRIFT_WATCH_DAG)["drift_check"]


@pytest.fixture(scope="module")
def known_traffic(serving: Serving, first_model: str) -> list[str]:
    """The run that has looked at traffic like that of the reference."""
    texts = random.Random(1).choices(serving.client.texts, k=2 * ROWS)
    made = serving.deployment.runs(DATASET_DAG)
    ask(serving, texts)
    run_id = watch(serving)
    assert serving.deployment.runs(DATASET_DAG) == made
    return [run_id]


def test_traffic_like_that_of_the_reference_confirms_nothing_and_starts_nothing(
    serving: Serving, known_traffic: list[str]
) -> None:
    assert state_of(serving, known_traffic[0]) == "skipped"
    check = read_checks(serving.database, PIPELINE, "drift")[0]
    assert check.state in ("ok", "warning")
    assert check.is_confirmed is False
    assert serving.deployment.asset_events("drift") == []


@pytest.fixture(scope="module")
def circle(serving: Serving, known_traffic: list[str]) -> Circle:
    """Two looks at the new area, and what follows of itself."""
    deployment = serving.deployment
    before = {dag_id: deployment.runs(dag_id) for dag_id in (DATASET_DAG, RETRAIN_DAG, ROLLOUT_DAG)}
    texts = recipes(2 * ROWS)
    ask(serving, texts[:ROWS], label=COOKING["name"])
    watched = [watch(serving)]
    ask(serving, texts[ROWS:], label=COOKING["name"])
    watched.append(watch(serving))
    dataset = deployment.wait_for_another_run(DATASET_DAG, before[DATASET_DAG])
    retrain = deployment.wait_for_another_run(RETRAIN_DAG, before[RETRAIN_DAG])
    with serving.client.asking():
        rollout = deployment.wait_for_another_run(ROLLOUT_DAG, before[ROLLOUT_DAG])
    return Circle(watched, dataset, retrain, rollout)


def test_the_second_check_in_a_row_confirms_and_tells_it(serving: Serving, circle: Circle) -> None:
    assert [state_of(serving, run_id) for run_id in circle.watched] == ["skipped", "success"]
    confirmed, first, *_ = read_checks(serving.database, PIPELINE, "drift")
    assert (first.state, first.is_confirmed) == ("drifted", False)
    assert (confirmed.state, confirmed.is_confirmed) == ("drifted", True)
    assert confirmed.answered_by == f"{DATASET_DAG}/{circle.dataset}"
    (event,) = serving.deployment.asset_events("drift")
    assert event["extra"]["check"] == confirmed.id
    assert event["extra"]["key"] == f"{PIPELINE}/drift/{confirmed.id}"
    assert event["extra"]["learnable"] is True


def test_the_dataset_holds_the_traffic_and_says_why_it_was_made(serving: Serving, circle: Circle) -> None:
    published = serving.result(circle.dataset, "publish", dag_id=DATASET_DAG)
    version = Corpus.open(published["uri"])
    record = version.manifest.dataset or {}
    assert record["reasons"] == ["drift"]
    assert record["checks"] == [read_checks(serving.database, PIPELINE, "drift")[0].id]
    rows = version.to_table(["source", "text", "label", "label_source"]).to_pylist()
    asked = set(recipes(2 * ROWS))
    brought = [row for row in rows if row["source"] == "traffic" and row["text"] in asked]
    assert len(brought) >= 50
    told = [row for row in brought if row["label_source"] == "feedback"]
    assert told
    assert {row["label"] for row in told} == {COOKING["name"]}


def test_the_retrained_model_takes_the_champions_place(serving: Serving, circle: Circle) -> None:
    verdict = serving.result(circle.retrain, "evaluate", dag_id=RETRAIN_DAG)
    assert serving.champion == verdict["challenger"]
    model = serving.registry.get_model_version(PIPELINE, verdict["challenger"])
    assert model.tags["autoglm.reasons"] == "drift"
    assert serving.result(circle.rollout, "canary", dag_id=ROLLOUT_DAG)["outcome"] == "done"
    answer = serving.gateway.invoke(*recipes(20, seed=7))
    labels = [prediction["label"] for prediction in answer.json()["predictions"]]
    assert labels.count(COOKING["name"]) > len(labels) / 2


def test_cleared_checks_and_datasets_add_nothing(serving: Serving, circle: Circle) -> None:
    deployment = serving.deployment

    def everything() -> list[Any]:
        events = [len(deployment.asset_events(kind)) for kind in ("drift", "feedback", "dataset", "model")]
        datasets = sorted((deployment.root / PIPELINE / "datasets").iterdir())
        return [serving.count(checks), events, datasets, serving.versions(), deployment.runs(DATASET_DAG)]

    before = everything()
    deployment.clear(circle.watched[1], "drift_check", dag_id=DRIFT_WATCH_DAG)
    assert state_of(serving, circle.watched[1]) == "skipped"
    deployment.clear(circle.dataset, "load_settings")
    assert deployment.states(circle.dataset)["publish"] == "skipped"
    assert everything() == before


def test_a_wake_up_with_nothing_owed_makes_nothing(serving: Serving, circle: Circle) -> None:
    deployment = serving.deployment
    made = deployment.runs(DATASET_DAG)
    deployment.send_asset_event("drift")
    run_id = deployment.wait_for_another_run(DATASET_DAG, made)
    assert deployment.states(run_id)["load_settings"] == "skipped"
    assert deployment.states(run_id)["publish"] == "skipped"


def test_an_event_of_another_monitor_is_answered_once(serving: Serving, circle: Circle) -> None:
    deployment = serving.deployment
    made = deployment.runs(DATASET_DAG)
    deployment.send_asset_event("drift", key="incident-4711")
    run_id = deployment.wait_for_another_run(DATASET_DAG, made)
    assert deployment.states(run_id)["load_settings"] == "success"
    check = read_checks(serving.database, PIPELINE, "drift")[0]
    assert (check.run, check.is_confirmed) == ("event/incident-4711", True)
    assert check.answered_by == f"{DATASET_DAG}/{run_id}"
    made = deployment.runs(DATASET_DAG)
    deployment.send_asset_event("drift", key="incident-4711")
    again = deployment.wait_for_another_run(DATASET_DAG, made)
    assert deployment.states(again)["load_settings"] == "skipped"

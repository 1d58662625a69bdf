"""From a dataset version to a champion that answers requests, under the same Airflow: versions, rows and routes."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.predictions import count_requests
from airflow_provider_autoglm.state.rollouts import latest_rollout
from airflow_provider_autoglm.state.tables import rollout_events, rollouts
from tests.end_to_end.serving import PIPELINE, POLICY, RETRAIN_DAG, ROLLOUT_DAG, Serving


def test_an_asset_event_trains_the_first_model_and_its_own_deploys_it_without_steps(
    serving: Serving, first_model: str
) -> None:
    assert serving.versions() == ["1"]
    assert serving.aliases() == {"champion": "1"}
    assert serving.routes.champion is not None
    assert serving.routes.champion.version == "1"
    (event,) = serving.deployment.asset_events("model")
    assert event["extra"]["version"] == "1"
    assert event["extra"]["key"] == "default/model/1"
    answer = serving.gateway.invoke(serving.client.texts[0])
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "1"
    labels = {label["name"] for label in serving.deployment.variable["labels"]}
    assert answer.json()["predictions"][0]["label"] in labels


def test_the_model_names_the_dataset_it_was_trained_on(serving: Serving, first_model: str) -> None:
    version = serving.registry.get_model_version(PIPELINE, "1")
    number = version.tags["autoglm.dataset_version"]
    dataset = Corpus.open(f"file://{serving.deployment.root}/default/datasets/v{number}")
    assert version.tags["autoglm.dataset_digest"] == dataset.digest
    read = {item.dataset.digest for item in serving.registry.get_run(version.run_id).inputs.dataset_inputs}
    assert dataset.digest in read


@pytest.fixture(scope="module")
def second_model(serving: Serving, first_model: str) -> dict[str, Any]:
    """The outcome of the second version's rollout, under traffic."""
    deployment = serving.deployment
    rolled_out = deployment.runs(ROLLOUT_DAG)
    with serving.client.asking():
        serving.retrain(**{"train.seed": 7})
        run_id = deployment.wait_for_another_run(ROLLOUT_DAG, rolled_out)
    return {"run_id": run_id, **serving.result(run_id, "canary", dag_id=ROLLOUT_DAG)}


def test_the_second_model_is_judged_on_its_own_requests_and_promoted(
    serving: Serving, second_model: dict[str, Any]
) -> None:
    assert second_model["outcome"] == "done"
    assert serving.routes.champion is not None
    assert serving.routes.previous is not None
    assert (serving.routes.champion.version, serving.routes.previous.version) == ("2", "1")
    assert serving.routes.challenger is None
    assert serving.aliases() == {"champion": "2", "previous": "1"}
    counted = count_requests(serving.database, second_model["rollout_id"], 0.0)
    assert counted["2"].requests >= POLICY["rollout"]["min_requests"]
    assert {status for status, _ in serving.client.answers} == {200}
    assert {version for _, version in serving.client.answers} == {"1", "2"}
    events = read_events(serving.database, PIPELINE, rollout_id=second_model["rollout_id"])
    transitions = [event.detail["state"] for event in events if event.kind == "transition"]
    assert transitions == ["pending", "validating", "warming", "step", "promoting", "done"]
    assert [event.detail["outcome"] for event in events if event.kind == "judgement"][-1] == "pass"


def test_cleared_tasks_make_no_second_version_rollout_or_event(
    serving: Serving, second_model: dict[str, Any], first_model: str
) -> None:
    deployment = serving.deployment

    def everything() -> list[Any]:
        rows = [serving.count(table) for table in (rollouts, rollout_events)]
        return [serving.versions(), serving.aliases(), rows, len(deployment.asset_events("model"))]

    before = everything()
    deployment.clear(second_model["run_id"], "canary", dag_id=ROLLOUT_DAG)
    assert deployment.states(second_model["run_id"], dag_id=ROLLOUT_DAG)["canary"] == "success"
    assert serving.result(second_model["run_id"], "canary", dag_id=ROLLOUT_DAG)["outcome"] == "done"
    deployment.clear(first_model, "train", dag_id=RETRAIN_DAG)
    assert serving.result(first_model, "train", dag_id=RETRAIN_DAG)["version"] == "1"
    assert deployment.states(first_model, dag_id=RETRAIN_DAG)["evaluate"] == "skipped"
    assert everything() == before


def test_a_refused_challenger_keeps_its_verdict_and_nothing_follows(
    serving: Serving, second_model: dict[str, Any]
) -> None:
    deployment = serving.deployment
    events, rolled_out = len(deployment.asset_events("model")), deployment.runs(ROLLOUT_DAG)
    run_id = serving.retrain(**{"train.seed": 9, "evaluate.min_gain": 1.0})
    states = deployment.states(run_id, dag_id=RETRAIN_DAG)
    assert (states["train"], states["evaluate"]) == ("success", "skipped")
    verdict = serving.result(run_id, "evaluate", dag_id=RETRAIN_DAG)
    assert verdict["passed"] is False
    assert verdict["reasons"]
    refused = serving.registry.get_model_version(PIPELINE, verdict["challenger"])
    assert refused.tags["autoglm.verdict"] == "refused"
    assert verdict["challenger"] not in serving.aliases().values()
    assert len(deployment.asset_events("model")) == events
    assert deployment.runs(ROLLOUT_DAG) == rolled_out
    assert latest_rollout(serving.database, PIPELINE, verdict["challenger"]) is None

"""Which version a rollout DAG takes up, judged against a real registry and a real state."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.rollout.candidates import Candidate, NothingToRollOut, next_candidate
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.freeze import freeze, lift_freeze
from airflow_provider_autoglm.state.rollouts import Transition, move_rollout, read_rollout, start_rollout, take_over
from airflow_provider_autoglm.state.routes import Model, read_routes, write_routes
from airflow_provider_autoglm.tracking.registry import Registry
from tests.mlflow_server import MlflowServer


@pytest.fixture
def client(mlflow_server: MlflowServer) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_server.uri)


@pytest.fixture
def registry(client: MlflowClient, request: pytest.FixtureRequest) -> Registry:
    """A registered model of the test's own with versions 1 and 2."""
    made = Registry(client, request.node.name[:100])
    experiment = client.create_experiment(made.name)
    for _ in range(2):
        made.register(client.create_run(experiment).info.run_id, "model", "sha256:0", {})
    return made


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path}/state.db")
    made.migrate()
    return made


def candidate(
    database: Database, registry: Registry, *, version: str | None = None, run: str = "dag/run"
) -> Candidate | NothingToRollOut:
    return next_candidate(database, "default", registry, version=version, requested_by=run)


def start(database: Database, version: str, started_by: str, *states: Transition) -> int:
    """A rollout that has gone through ``states``."""
    model = Model(version, "file:///model", "sha256:0")
    rollout = start_rollout(database, "default", model, started_by=started_by, settings={})
    token = take_over(database, rollout.id)
    for transition in states:
        with database.transaction() as connection:
            rollout = move_rollout(connection, rollout, token, transition)
    return rollout.id


def test_without_a_challenger_there_is_nothing_to_roll_out(database: Database, registry: Registry) -> None:
    assert candidate(database, registry) == NothingToRollOut("no version has the alias challenger")


def test_a_challenger_is_rolled_out_by_a_key_that_all_runs_share(database: Database, registry: Registry) -> None:
    registry.set_alias("challenger", "2")
    assert candidate(database, registry, run="dag/a") == candidate(database, registry, run="dag/b")
    assert candidate(database, registry) == Candidate("2", "default/v2")


def test_a_challenger_that_had_its_rollout_is_left_alone(database: Database, registry: Registry) -> None:
    registry.set_alias("challenger", "2")
    start(database, "2", "default/v2", Transition("rolling_back"), Transition("rolled_back"))
    found = candidate(database, registry)
    assert isinstance(found, NothingToRollOut)
    assert "version 2 had its rollout 1, which is rolled_back; start this DAG with model_version = 2" in found.why


def test_a_challenger_that_serves_already_is_left_alone(database: Database, registry: Registry) -> None:
    registry.set_alias("challenger", "2")
    with database.transaction() as connection:
        write_routes(connection, read_routes(database, "default"), champion=Model("2", "file:///model", "sha256:0"))
    assert candidate(database, registry) == NothingToRollOut("version 2 is the champion already")


def test_a_challenger_waits_while_the_pipeline_is_frozen(database: Database, registry: Registry) -> None:
    registry.set_alias("challenger", "2")
    freeze(database, "default", reason="incident 7")
    assert candidate(database, registry) == NothingToRollOut("default is frozen (incident 7); version 2 waits")
    lift_freeze(database, "default")
    assert candidate(database, registry) == Candidate("2", "default/v2")


def test_a_refused_challenger_is_left_alone(database: Database, registry: Registry) -> None:
    registry.set_alias("challenger", "2")
    registry.set_tag("2", "autoglm.verdict", "refused")
    assert candidate(database, registry) == NothingToRollOut("version 2 was refused when it was evaluated")


def test_a_state_that_was_lost_promotes_nobody_but_the_champion_before(database: Database, registry: Registry) -> None:
    registry.set_alias("champion", "1")
    registry.set_alias("challenger", "2")
    found = candidate(database, registry)
    assert isinstance(found, NothingToRollOut)
    assert "version 1 is champion in MLflow and the state, which was lost, knows none" in found.why
    registry.set_alias("challenger", "1")
    assert candidate(database, registry) == Candidate("1", "default/v1")


def test_a_person_may_roll_a_version_out_again(database: Database, registry: Registry) -> None:
    start(database, "1", "default/v1", Transition("rolling_back"), Transition("rolled_back"))
    assert candidate(database, registry, version="1", run="dag/by hand") == Candidate("1", "dag/by hand")


def test_a_cleared_run_finds_the_rollout_it_has_started(database: Database, registry: Registry) -> None:
    start(database, "1", "dag/by hand", Transition("promoting"), Transition("done"))
    assert candidate(database, registry, version="1", run="dag/by hand") == Candidate("1", "dag/by hand")


def test_an_active_rollout_without_its_run_is_taken_up(database: Database, registry: Registry) -> None:
    registry.set_alias("challenger", "2")
    start(database, "1", "lost/run", Transition("validating"), Transition("warming"))
    assert candidate(database, registry) == Candidate("1", "lost/run")


def test_a_held_rollout_waits_for_a_person_who_names_its_version(database: Database, registry: Registry) -> None:
    held = start(database, "2", "default/v2", Transition("held", holds=1, reason="too little traffic"))
    waiting = candidate(database, registry)
    assert isinstance(waiting, NothingToRollOut)
    assert "is held (too little traffic); start this DAG with model_version = 2 to go on" in waiting.why
    hold = read_rollout(database, held).transitions
    assert candidate(database, registry, version="2") == Candidate("2", "default/v2", resumes_hold=hold)


def test_another_version_can_be_asked_for_while_one_is_rolled_out(database: Database, registry: Registry) -> None:
    """The start is then refused with the reason, by the task that would start it."""
    start(database, "1", "default/v1")
    assert candidate(database, registry, version="2", run="dag/by hand") == Candidate("2", "dag/by hand")

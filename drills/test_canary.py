"""Whatever dies while a step bakes, the rollout ends done or rolled back, and clients are answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_autoglm.state.events import read_events
from drills.conftest import COMPONENTS, LEASE_S, PIPELINE, ROLLOUT_DAG, Loop
from tests.conftest import REPOSITORY
from tests.gateway import wait_until


def states_of(loop: Loop, version: str) -> list[str]:
    events = read_events(loop.database, PIPELINE, rollout_id=loop.rollout(version).id)
    return [event.detail["state"] for event in events if event.kind == "transition"]


def kinds_of(loop: Loop, version: str) -> list[str]:
    return [event.kind for event in read_events(loop.database, PIPELINE, rollout_id=loop.rollout(version).id)]


def assert_it_came_to_a_sound_end(loop: Loop, version: str, champion: str) -> None:
    """Done or rolled back, each state entered once, the routes as the end says, and no client left without answer."""
    state = loop.rollout(version).state
    assert state in ("done", "rolled_back")
    assert len(states_of(loop, version)) == len(set(states_of(loop, version)))
    assert loop.champion() == (version if state == "done" else champion)
    assert {status for status, _ in loop.answers} == {200}


def test_a_sound_challenger_is_promoted_and_a_nan_one_rolled_back_without_an_error(loop: Loop, champion: str) -> None:
    sound, sabotaged = loop.register(), loop.register(answer="nan")
    with loop.traffic():
        assert loop.roll_out(sound) == "done"
        assert loop.roll_out(sabotaged) == "rolled_back"
    assert loop.champion() == sound
    assert {status for status, _ in loop.answers} == {200}
    assert "breaker" in kinds_of(loop, sabotaged)


def test_a_challenger_that_crashes_costs_no_answer(loop: Loop, champion: str) -> None:
    version = loop.register(answer="crash", when="numbers")
    with loop.traffic():
        assert loop.roll_out(version) == "rolled_back"
    assert loop.champion() == champion
    assert {status for status, _ in loop.answers} == {200}


def test_the_triggerer_is_killed_while_the_step_bakes(loop: Loop, champion: str) -> None:
    version = loop.register()
    with loop.traffic():
        run_id = loop.start_rollout(version)
        loop.wait_for_step(version)
        loop.stack.kill("triggerer")
        loop.stack.start_again("triggerer")
        assert loop.wait_for_end(run_id) == "success"
    assert_it_came_to_a_sound_end(loop, version, champion)


def test_the_workers_are_killed_while_the_step_bakes(loop: Loop, champion: str) -> None:
    """The LocalExecutor's workers live in the scheduler, so both go."""
    version = loop.register()
    with loop.traffic():
        run_id = loop.start_rollout(version)
        loop.wait_for_step(version)
        loop.stack.kill("scheduler")
        loop.stack.start_again("scheduler")
        assert loop.wait_for_end(run_id) == "success"
    assert_it_came_to_a_sound_end(loop, version, champion)


def test_the_workers_are_killed_when_the_task_resumes(loop: Loop, champion: str) -> None:
    version = loop.register()
    with loop.traffic():
        run_id = loop.start_rollout(version)
        wait_until("the rollout has ended", lambda: loop.rollout_or_none(version) in ("done", "rolled_back"))
        loop.stack.kill("scheduler")
        loop.stack.start_again("scheduler")
        assert loop.wait_for_end(run_id) == "success"
    assert_it_came_to_a_sound_end(loop, version, champion)


def test_the_gateway_is_killed_while_the_step_bakes(loop: Loop, champion: str) -> None:
    version = loop.register()
    with loop.traffic():
        run_id = loop.start_rollout(version)
        loop.wait_for_step(version)
        loop.gateway.kill()
        loop.gateway.start()
        wait_until("the gateway is ready", loop.gateway.is_ready)
        loop.answers.clear()
        assert loop.wait_for_end(run_id) == "success"
    assert_it_came_to_a_sound_end(loop, version, champion)


def test_all_of_airflow_is_dead_and_the_champion_gets_everything(loop: Loop, champion: str) -> None:
    version = loop.register()
    with loop.traffic():
        run_id = loop.start_rollout(version)
        loop.wait_for_step(version)
        for component in COMPONENTS:
            loop.stack.kill(component)
        died = loop.database.now()
        wait_until("the champion gets everything", lambda: loop.gateway.routes()["effective_weight"] == 0)
        wait_until("the lease is long over", lambda: loop.database.now() > died + LEASE_S + 10)
        assert loop.assigned_since(version, died + LEASE_S + 5) == 0
        assert loop.assigned_since(champion, died + LEASE_S + 5) > 0
        for component in COMPONENTS:
            loop.stack.start_again(component)
        loop.stack.wait_healthy()
        assert loop.wait_for_end(run_id) == "success"
    assert loop.rollout(version).state == "rolled_back"
    assert kinds_of(loop, version).count("lease_lost") == 1
    assert_it_came_to_a_sound_end(loop, version, champion)


def test_mlflow_is_away_and_a_restarted_gateway_serves_from_its_cache(loop: Loop, champion: str) -> None:
    with loop.mlflow.away():
        loop.gateway.kill()
        loop.gateway.start()
        wait_until("the gateway is ready", loop.gateway.is_ready)
        answer = loop.gateway.invoke("a web page")
    assert (answer.status_code, answer.headers["x-model-version"]) == (200, champion)


def test_mlflow_is_away_when_a_version_is_promoted(loop: Loop, champion: str) -> None:
    version = loop.register()
    with loop.traffic():
        run_id = loop.start_rollout(version)
        loop.wait_for_step(version)
        with loop.mlflow.away():
            wait_until("the version is champion", lambda: loop.champion() == version)
            wait_until("somebody was told", lambda: "alert" in kinds_of(loop, version))
            assert loop.rollout(version).state == "promoting"
        assert loop.wait_for_end(run_id) == "success"
    assert_it_came_to_a_sound_end(loop, version, champion)
    alias = loop.registry.find_alias("champion")
    assert alias is not None
    assert alias.version == version


def test_the_state_is_away_for_longer_than_the_lease_and_answers_go_on(loop: Loop, champion: str) -> None:
    version = loop.register()
    began = loop.last_prediction()
    with loop.traffic():
        run_id = loop.start_rollout(version)
        loop.wait_for_step(version)
        with loop.postgres.away():
            wait_until("the champion gets everything", lambda: loop.gateway.routes()["effective_weight"] == 0)
            before = loop.answers[200, champion]
            wait_until("answers go on", lambda: loop.answers[200, champion] > before + 50)
        assert loop.wait_for_end(run_id) == "success"
    assert loop.rollout(version).state == "rolled_back"
    assert_it_came_to_a_sound_end(loop, version, champion)
    answered = sum(loop.answers.values())
    wait_until("each answer is in the log, once", lambda: loop.count_predictions(since=began) == answered)


def test_two_wake_ups_at_once_make_one_rollout(loop: Loop, champion: str) -> None:
    version = loop.register()
    loop.registry.set_alias("challenger", version)
    with loop.traffic():
        runs = [loop.stack.api.trigger(ROLLOUT_DAG) for _ in range(2)]
        assert {loop.wait_for_end(run_id) for run_id in runs} == {"success"}
    assert loop.count_rollouts(version) == 1
    assert loop.champion() == version


@pytest.fixture(scope="module")
def demo_summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder: Path = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MLFLOW"))}
    command = [sys.executable, "-m", "demo", "--exit", "--folder", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return dict(json.loads((folder / "summary.json").read_text()))


def test_the_demo_at_full_size_has_no_problem(demo_summary: dict[str, object]) -> None:
    assert demo_summary["problems"] == []

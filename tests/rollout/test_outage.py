"""Aliases and tags of a real MLflow follow the routes; MLflow or the state may be away for a while."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import StateUnavailableError, TrackingUnavailableError
from airflow_provider_autoglm.rollout.driver import RolloutDriver
from airflow_provider_autoglm.rollout.rollback import reconcile, roll_back
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.rollouts import Rollout
from airflow_provider_autoglm.state.routes import Model, read_routes
from airflow_provider_autoglm.tracking.registry import RegisteredVersion, Registry
from tests.mlflow_server import MlflowServer, free_port
from tests.rollout.conftest import ONE, PIPELINE, driver_of, kinds, quick, start, states, write
from tests.rollout.gateways import Gateways


@dataclass
class Registered:
    """A registered model with versions 1, the champion, and 2, the challenger; ``tags`` are those of a version."""

    registry: Registry
    is_away: bool = False

    def __call__(self) -> Registry:
        """The registry; an address where nothing listens while it is away."""
        if not self.is_away:
            return self.registry
        return Registry(MlflowClient(tracking_uri=f"http://127.0.0.1:{free_port()}"), self.registry.name)

    @contextmanager
    def away(self) -> Iterator[None]:
        """An outage of MLflow for who asks for the registry."""
        self.is_away = True
        yield
        self.is_away = False

    def add(self, **tags: str) -> Model:
        """Another version, with files of a digest of its own."""
        client = self.registry.client
        experiment = client.get_experiment_by_name(self.registry.name)
        run = client.create_run(
            experiment.experiment_id if experiment else client.create_experiment(self.registry.name)
        )
        made = self.registry.register(run.info.run_id, "model", f"sha256:{run.info.run_id}", tags)
        return model_of(made)

    def aliases(self) -> dict[str, str]:
        """Which version each alias points to."""
        found = {alias: self.registry.find_alias(alias) for alias in ("champion", "challenger", "previous")}
        return {alias: version.version for alias, version in found.items() if version}

    def outcome(self, version: str) -> str | None:
        """What a version's tag says of its latest rollout."""
        return self.registry.version(version).tags.get("autoglm.rollout")


def model_of(version: RegisteredVersion) -> Model:
    return Model(version.version, version.model_uri, version.digest)


@pytest.fixture
def registered(mlflow_server: MlflowServer, request: pytest.FixtureRequest) -> Registered:
    client = MlflowClient(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri)
    return Registered(Registry(client, f"docs-{request.node.name[:60]}"))


@pytest.fixture
def gateways(database: Database) -> Gateways:
    return Gateways(database, PIPELINE)


def rolling_out(database: Database, registered: Registered) -> tuple[RolloutDriver, Rollout]:
    """A driver of the rollout of version 2 over the champion 1, both of them registered, with their aliases."""
    one, two = registered.add(), registered.add()
    registered.registry.set_alias("champion", one.version)
    registered.registry.set_alias("challenger", two.version)
    rollout = start(database, champion=one, challenger=two)
    return driver_of(database, rollout, registry=registered), rollout


def bake(driver: RolloutDriver, gateways: Gateways) -> None:
    driver.tick()
    gateways.poll()
    assert driver.tick().state == "step"
    gateways.poll(requests=60)


def test_a_promotion_moves_the_aliases_after_the_routes(
    database: Database, gateways: Gateways, registered: Registered
) -> None:
    driver, _ = rolling_out(database, registered)
    bake(driver, gateways)
    assert registered.aliases() == {"champion": "1", "challenger": "2"}
    assert driver.tick().state == "done"
    assert registered.aliases() == {"champion": "2", "previous": "1"}
    assert registered.outcome("2") == "done"


def test_a_rollback_drops_the_challengers_alias_and_tags_the_version(
    database: Database, gateways: Gateways, registered: Registered
) -> None:
    driver, _ = rolling_out(database, registered)
    bake(driver, gateways)
    gateways.open_breaker(gateways.poll(), "2")
    assert driver.tick().state == "rolled_back"
    assert registered.aliases() == {"champion": "1"}
    assert registered.outcome("2") == "rolled_back"


def test_a_newer_challenger_keeps_the_alias_when_an_older_one_ends(
    database: Database, gateways: Gateways, registered: Registered
) -> None:
    driver, _ = rolling_out(database, registered)
    bake(driver, gateways)
    registered.registry.set_alias("challenger", registered.add().version)
    assert driver.tick().state == "done"
    assert registered.aliases() == {"champion": "2", "challenger": "3", "previous": "1"}


def test_a_promotion_waits_for_mlflow_with_its_routes_moved_and_says_so_once(
    database: Database, gateways: Gateways, registered: Registered, mlflow_server: MlflowServer
) -> None:
    driver, rollout = rolling_out(database, registered)
    bake(driver, gateways)
    with mlflow_server.away():
        for _ in range(2):
            assert driver.tick().state == "promoting"
        assert read_routes(database, PIPELINE).champion == rollout.model
        (alert,) = kinds(database, rollout, "alert")
        assert "aliases and tags of version 2 are not as the routes are" in alert["problem"]
    assert driver.tick().state == "done"
    assert registered.aliases() == {"champion": "2", "previous": "1"}


def test_a_rollback_does_not_wait_for_mlflow(database: Database, gateways: Gateways, registered: Registered) -> None:
    driver, rollout = rolling_out(database, registered)
    bake(driver, gateways)
    gateways.failing["2"] = 1
    gateways.poll(requests=60)
    with registered.away():
        assert driver.tick().state == "rolled_back"
        assert len(kinds(database, rollout, "alert")) == 1
        again = roll_back(database, PIPELINE, reason="repair", registry=registered)
        assert again.withdrawn is None
        assert len(again.problems) == 1
    assert registered.aliases() == {"champion": "1", "challenger": "2"}
    assert roll_back(database, PIPELINE, reason="repair", registry=registered).problems == ()
    assert registered.aliases() == {"champion": "1"}
    assert registered.outcome("2") == "rolled_back"


def test_a_version_is_looked_up_when_mlflow_is_back(database: Database, registered: Registered) -> None:
    driver, rollout = rolling_out(database, registered)
    with registered.away():
        assert driver.tick().state == "validating"
    assert driver.tick().state == "warming"
    assert states(database, rollout) == ["pending", "validating", "warming"]


def test_a_version_that_is_not_as_it_was_registered_is_never_loaded(database: Database, registered: Registered) -> None:
    one, two, refused = registered.add(), registered.add(), registered.add(**{"autoglm.verdict": "refused"})
    unusable: tuple[tuple[Model, str], ...] = (
        (Model("99", "runs:/99/model", "sha256:99"), "version 99: there is none of this number"),
        (Model(two.version, two.model_uri, "sha256:other"), f"version 2 has digest {two.digest} in MLflow"),
        (refused, "version 3 was refused when it was evaluated"),
    )
    generation = None
    for model, problem in unusable:
        rollout = start(database, champion=one, challenger=model, started_by=problem)
        ended = driver_of(database, rollout, registry=registered).tick()
        assert ended.state == "rolled_back"
        assert problem in ended.reason
        assert generation in (None, read_routes(database, PIPELINE).generation)
        generation = read_routes(database, PIPELINE).generation


def test_a_step_back_moves_the_aliases(database: Database, registered: Registered) -> None:
    one, two = registered.add(), registered.add()
    write(database, champion=two, previous=one)
    registered.registry.set_alias("champion", two.version)
    registered.registry.set_alias("previous", one.version)
    outcome = roll_back(database, PIPELINE, reason="answers got worse", registry=registered.registry)
    assert (outcome.champion, outcome.withdrawn, outcome.problems) == (one, two, ())
    assert registered.aliases() == {"champion": "1"}
    assert registered.outcome("2") == "rolled_back"


def test_reconcile_lets_aliases_follow_the_routes_and_says_what_differed(
    database: Database, registered: Registered
) -> None:
    one, two, waiting = registered.add(), registered.add(), registered.add()
    write(database, champion=two, previous=one)
    registered.registry.set_alias("champion", one.version)
    registered.registry.set_alias("challenger", waiting.version)
    name = registered.registry.name
    assert reconcile(database, PIPELINE, registered.registry) == (
        f"the alias champion of {name} pointed to version 1, the routes say version 2",
        f"the alias previous of {name} pointed to nothing, the routes say version 1",
    )
    assert registered.aliases() == {"champion": "2", "challenger": "3", "previous": "1"}
    assert reconcile(database, PIPELINE, registered.registry) == ()


def test_reconcile_takes_the_alias_from_a_challenger_whose_rollout_has_ended(
    database: Database, registered: Registered
) -> None:
    _, rollout = rolling_out(database, registered)
    assert reconcile(database, PIPELINE, registered.registry) == ()
    roll_back(database, PIPELINE, reason="not wanted")
    (difference,) = reconcile(database, PIPELINE, registered.registry)
    assert difference.endswith(f"pointed to version 2, whose rollout {rollout.id} is rolled_back")
    assert registered.aliases() == {"champion": "1"}


def test_a_state_that_was_lost_does_not_take_the_aliases_with_it(database: Database, registered: Registered) -> None:
    registered.registry.set_alias("champion", registered.add().version)
    (difference,) = reconcile(database, PIPELINE, registered.registry)
    assert difference.endswith("it is left as it is: roll the version out if it is to be served")
    assert registered.aliases() == {"champion": "1"}


def test_a_first_model_that_is_taken_back_while_it_is_promoted_loses_its_alias(
    database: Database, gateways: Gateways, registered: Registered
) -> None:
    first = registered.add()
    driver = driver_of(database, start(database, champion=None, challenger=first), registry=registered)
    driver.tick()
    gateways.poll()
    with registered.away():
        assert driver.tick().state == "promoting"
    registered.registry.set_alias("champion", first.version)
    outcome = roll_back(database, PIPELINE, reason="wrong labels", registry=registered)
    assert (outcome.champion, outcome.withdrawn) == (None, first)
    assert registered.aliases() == {}


def test_mlflow_away_is_said_by_reconcile(database: Database, registered: Registered) -> None:
    with registered.away(), pytest.raises(TrackingUnavailableError):
        reconcile(database, PIPELINE, registered())


def test_a_rollout_goes_on_after_the_state_was_away(database: Database, gateways: Gateways, tmp_path: Path) -> None:
    driver = driver_of(database, start(database, quick()))
    bake(driver, gateways)
    for act in (driver.tick, driver.heartbeat, driver.take_over):
        away_for(database, tmp_path, act)
    driver.take_over()
    assert driver.tick().state == "done"
    assert read_routes(database, PIPELINE).previous == ONE


def away_for(database: Database, tmp_path: Path, act: Callable[[], object]) -> None:
    """Act while the folder of the state is away."""
    database.close()
    shutil.move(tmp_path / "state", tmp_path / "away")
    try:
        with pytest.raises(StateUnavailableError):
            act()
    finally:
        shutil.move(tmp_path / "away", tmp_path / "state")

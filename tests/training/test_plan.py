"""Which dataset version is trained on, whoever asks, in whatever order and how often."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.publish.reasons import add_reasons
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError
from airflow_provider_autoglm.settings import PublishSettings, RetrainSettings
from airflow_provider_autoglm.training.plan import NothingToTrain, RetrainPlan, plan_retrain
from tests.corpus.publish.conftest import rows, write_table


class Versions:
    """Dataset versions made for given reasons, and the claims on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = 0

    def make(self, *reasons: str) -> None:
        first = self.made * 20
        self.made += 1
        table = pa.Table.from_pylist(rows(first, first + 20))
        source = write_table(f"{self.folder}/label-{self.made}", table, rows_of_a_shard=20)
        publish(source, f"{self.folder}/datasets", PublishSettings(), provenance=Provenance(reasons=reasons))

    def plan(self, claimed_by: str, *on: str, version: int | None = None) -> RetrainPlan | NothingToTrain:
        settings = RetrainSettings.parse({"on": on} if on else {})
        return plan_retrain(
            f"{self.folder}/datasets",
            f"{self.folder}/state/retrains",
            settings,
            claimed_by=claimed_by,
            version=version,
            added=self.added,
        )

    @property
    def added(self) -> str:
        return f"{self.folder}/state/added_reasons"


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def test_before_the_first_version_there_is_nothing_to_train(versions: Versions) -> None:
    assert versions.plan("a") == NothingToTrain("no dataset version is published yet")


def test_the_newest_version_is_taken_with_its_digest_and_reasons(versions: Versions) -> None:
    versions.make("bootstrap")
    versions.make("drift")
    plan = versions.plan("a")
    assert isinstance(plan, RetrainPlan)
    assert (plan.version, plan.reasons) == (2, ("drift", "bootstrap"))
    assert plan.uri.endswith("/datasets/v2")
    assert plan.digest


def test_a_reason_that_a_version_was_given_later_counts_like_its_own(versions: Versions) -> None:
    versions.make("schedule")
    assert isinstance(versions.plan("a", "drift"), NothingToTrain)
    for _ in range(2):  # a task that is retried
        add_reasons(versions.added, 1, ("drift",), added_by="dataset/2", storage=Storage.local())
    add_reasons(versions.added, 1, ("feedback", "drift"), added_by="dataset/3", storage=Storage.local())
    plan = versions.plan("a", "drift")
    assert isinstance(plan, RetrainPlan)
    assert plan.reasons[0] == "schedule"
    assert sorted(plan.reasons[1:]) == ["drift", "feedback"]


def test_a_version_is_considered_by_one_run_and_by_that_run_again(versions: Versions) -> None:
    versions.make("manual")
    first = versions.plan("dag/one")
    assert isinstance(first, RetrainPlan)
    assert versions.plan("dag/two") == NothingToTrain("dataset version 1 was considered by dag/one")
    assert versions.plan("dag/one") == first


def test_a_version_whose_reasons_the_policy_does_not_name_is_left_alone_and_unclaimed(versions: Versions) -> None:
    versions.make("schedule")
    left = versions.plan("a")
    assert isinstance(left, NothingToTrain)
    assert "made for schedule; retrain.on names bootstrap, drift, feedback, manual" in left.why
    assert isinstance(versions.plan("b", "schedule"), RetrainPlan)


def test_the_reason_of_a_version_whose_event_was_lost_counts_for_the_next(versions: Versions) -> None:
    versions.make("bootstrap")
    versions.plan("first")
    versions.make("drift")
    versions.make("schedule")
    plan = versions.plan("second")
    assert isinstance(plan, RetrainPlan)
    assert plan.reasons == ("schedule", "drift")
    versions.make("schedule")
    assert isinstance(versions.plan("third"), NothingToTrain)


def test_a_named_version_is_trained_on_whoever_has_considered_it(versions: Versions) -> None:
    versions.make("schedule")
    versions.make("schedule")
    versions.plan("a", "schedule")
    for version in (1, 2):
        plan = versions.plan("by hand", version=version)
        assert isinstance(plan, RetrainPlan)
        assert plan.version == version


def test_a_named_version_that_is_not_published_is_an_error(versions: Versions) -> None:
    versions.make("manual")
    with pytest.raises(CorpusNotCommittedError, match="datasets/v7"):
        versions.plan("a", version=7)


def test_of_many_runs_at_once_one_gets_the_version(versions: Versions) -> None:
    versions.make("manual")
    barrier = threading.Barrier(8)
    plans: list[RetrainPlan | NothingToTrain] = []

    def ask(number: int) -> None:
        barrier.wait()
        plans.append(versions.plan(f"run {number}"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(plan, RetrainPlan) for plan in plans) == 1
    assert len(plans) == 8

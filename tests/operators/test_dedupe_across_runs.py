"""What a run sees of the documents of earlier runs: DAG runs of de-duplication and publication, as of their dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DAG

from airflow_provider_autoglm.corpus.manifest import Manifest
from airflow_provider_autoglm.corpus.schema import document_id
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.operators.dedupe import SimHashDedupeOperator
from airflow_provider_autoglm.operators.publish import PublishDatasetOperator
from tests.dags.running import states_after

pytestmark = pytest.mark.usefixtures("airflow_home", "compiled_kernels")

SITE = "https://site.example"
START = datetime(2026, 3, 1, tzinfo=UTC)


def text(topic: str, *, edited: str = "") -> str:
    """Sixty words on a topic; an edited text has one more of them, which makes it longer, and a near duplicate."""
    return " ".join([*(f"{topic}{number}" for number in range(60)), *filter(None, [edited])])


@dataclass(frozen=True)
class Pipeline:
    """A pipeline whose runs de-duplicate and publish documents that are labelled already."""

    folder: Path

    @property
    def name(self) -> str:
        """Of the pipeline and of its DAG: no other test has sent events of it."""
        return self.folder.name

    def run(
        self,
        day: int,
        pages: Mapping[str, str],
        *,
        min_rows: int = 0,
        is_scheduled: bool = True,
        forced: tuple[str, ...] = (),
        **settings: Any,
    ) -> dict[str, str]:
        """The states of the tasks of the run of a day, which has found ``pages``: their texts by URL."""
        rows = {
            "url": list(pages),
            "text": list(pages.values()),
            "label": ["news"] * len(pages),
            "label_source": ["auto"] * len(pages),
        }
        source = write_corpus(f"{self.run_folder(day)}/clean", [pa.table(rows)], stage="clean").uri
        run = {
            "pipeline": self.name,
            "dag_id": self.name,
            "run_id": str(day),
            "root": self.folder.as_uri(),
            "folder": self.run_folder(day).as_uri(),
            "force_stages": forced,
        }
        labels = {"labels": ["news", "other"], "min_class_rows": min_rows}
        with DAG(self.name, schedule=None) as dag:
            dedupe = SimHashDedupeOperator(
                task_id="dedupe", source=source, settings={"max_removed_fraction": 1, **settings}, run=run
            )
            PublishDatasetOperator(
                task_id="publish", pipeline=self.name, sources=dedupe.output, settings=labels, run=run
            )
        moment = START + timedelta(days=day)
        if is_scheduled:
            return states_after(dag, logical_date=moment)
        return states_after(dag, logical_date=None, run_after=moment)

    def run_folder(self, day: int) -> Path:
        return self.folder / self.name / "runs" / str(day)

    def removed(self, day: int) -> dict[str, str]:
        """By the URL of each document that the run of a day has removed, the ``doc_id`` that is kept instead."""
        removed = Corpus.open(str(self.run_folder(day) / "dedupe")).to_table(["url", "kept_id"], kind="removed")
        return dict(zip(*removed.to_pydict().values(), strict=True))

    def manifest(self, day: int) -> Manifest:
        """What the run of a day has committed."""
        return Corpus.open(str(self.run_folder(day) / "dedupe")).manifest

    @property
    def state(self) -> Path:
        """Where the store of documents is."""
        return self.folder / self.name / "state"

    def published(self, version: int) -> list[str]:
        """The URLs of a dataset version."""
        return sorted(
            Corpus.open(f"{self.folder}/{self.name}/datasets/v{version}").to_table(["url"])["url"].to_pylist()
        )


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def test_a_near_duplicate_of_what_an_earlier_run_has_published_goes_for_it(pipeline: Pipeline) -> None:
    pipeline.run(1, {f"{SITE}/sun": text("sun"), f"{SITE}/sea": text("sea")})
    states = pipeline.run(2, {f"{SITE}/copy": text("sun", edited="longer"), f"{SITE}/ice": text("ice")})

    assert states == {"dedupe": "success", "publish": "success"}
    assert pipeline.removed(2) == {f"{SITE}/copy": document_id(f"{SITE}/sun", text("sun"))}
    assert pipeline.published(2) == [f"{SITE}/ice", f"{SITE}/sea", f"{SITE}/sun"]


def test_documents_that_have_not_changed_never_go_because_of_themselves(pipeline: Pipeline) -> None:
    pages = {f"{SITE}/sun": text("sun"), f"{SITE}/sea": text("sea")}
    pipeline.run(1, pages)
    states = pipeline.run(2, pages)

    assert states == {"dedupe": "success", "publish": "skipped"}
    assert pipeline.removed(2) == {}
    assert pipeline.manifest(2).rows == 2


def test_what_a_run_kept_and_never_published_keeps_nothing_out(pipeline: Pipeline) -> None:
    lost = {f"{SITE}/sun": text("sun")}
    found_again = {f"{SITE}/moved": text("sun", edited="again")}
    assert pipeline.run(1, lost, min_rows=100)["publish"] == "failed"
    pipeline.run(2, found_again)
    assert pipeline.removed(2) == {}
    assert pipeline.published(1) == [f"{SITE}/moved"]

    assert pipeline.run(3, {f"{SITE}/sea": text("sea")}, min_rows=100)["publish"] == "failed"
    pipeline.run(4, {f"{SITE}/other": text("sea", edited="again")})
    assert pipeline.removed(4) == {}
    assert pipeline.published(2) == [f"{SITE}/moved", f"{SITE}/other"]


def test_a_backfill_does_not_see_what_runs_after_its_date_have_kept(pipeline: Pipeline) -> None:
    pipeline.run(5, {f"{SITE}/sun": text("sun")})
    pipeline.run(3, {f"{SITE}/old": text("sun", edited="older")})
    assert pipeline.removed(3) == {}

    pipeline.run(6, {f"{SITE}/new": text("sun", edited="newer")})
    assert list(pipeline.removed(6)) == [f"{SITE}/new"]


def test_runs_without_a_logical_date_are_ordered_by_when_they_were_to_run(pipeline: Pipeline) -> None:
    pipeline.run(2, {f"{SITE}/sun": text("sun")}, is_scheduled=False)
    pipeline.run(1, {f"{SITE}/before": text("sun", edited="before")}, is_scheduled=False)
    pipeline.run(3, {f"{SITE}/after": text("sun", edited="after")}, is_scheduled=False)

    assert pipeline.removed(1) == {}
    assert list(pipeline.removed(3)) == [f"{SITE}/after"]


def test_a_cleared_run_finds_what_it_has_made_after_it_and_later_runs_have_published(pipeline: Pipeline) -> None:
    first = {f"{SITE}/sun": text("sun")}
    second = {f"{SITE}/copy": text("sun", edited="longer"), f"{SITE}/ice": text("ice")}
    pipeline.run(1, first)
    pipeline.run(2, second)
    attempts = [pipeline.manifest(day).attempt for day in (1, 2)]
    pipeline.run(3, {f"{SITE}/sea": text("sea")})

    assert pipeline.run(1, first)["dedupe"] == pipeline.run(2, second)["dedupe"] == "success"
    assert [pipeline.manifest(day).attempt for day in (1, 2)] == attempts


def test_a_forced_run_decides_again_on_what_it_saw_and_keeps_its_place_in_the_store(pipeline: Pipeline) -> None:
    second = {f"{SITE}/copy": text("sun", edited="longer"), f"{SITE}/ice": text("ice")}
    pipeline.run(1, {f"{SITE}/sun": text("sun")})
    pipeline.run(2, second)
    before = pipeline.manifest(2)
    pipeline.run(2, second, forced=("dedupe",))

    assert pipeline.manifest(2).attempt != before.attempt
    assert pipeline.manifest(2).digest == before.digest
    assert len(list((pipeline.state / "dedupe").iterdir())) == 2


def test_runs_that_look_at_themselves_alone_store_for_those_that_do_not(pipeline: Pipeline) -> None:
    pipeline.run(1, {f"{SITE}/sun": text("sun")}, across_runs=False)
    pipeline.run(2, {f"{SITE}/copy": text("sun", edited="longer")}, across_runs=False)

    assert pipeline.removed(2) == {}
    assert len(list((pipeline.state / "dedupe").iterdir())) == 2

"""The dataset DAG through ``dag.test()``: judged by the rows that arrived and by what MLflow holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import ParamValidationError
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.store import Corpus
from tests.conftest import Site
from tests.dags.conftest import Pipeline
from tests.dags.running import all_but_forms
from tests.mlflow_server import MlflowServer, free_port

STAGES = ["crawl", "clean", "dedupe", "label", "publish"]


@pytest.fixture(scope="module")
def first_run(pipeline: Pipeline) -> dict[str, str]:
    """The states of the first run's tasks."""
    return pipeline.run()


def children_of(client: MlflowClient, parent: Run) -> dict[str, Run]:
    found = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", max_results=100
    )
    return {run.info.run_name: run for run in found}


def parents(client: MlflowClient) -> list[Run]:
    experiment = client.get_experiment_by_name("autoglm/default")
    assert experiment is not None
    return client.search_runs(
        [experiment.experiment_id], "tags.`autoglm.role` = 'parent'", order_by=["attributes.start_time ASC"]
    )


def test_every_document_of_the_site_arrives_labelled(
    first_run: dict[str, str], pipeline: Pipeline, small_site: Site
) -> None:
    assert all_but_forms(first_run) == {"success"}
    opened = datasets.load_dataset(str(pipeline.datasets / "v1"), cache_dir=str(pipeline.root / "cache"))
    rows = [row for split in opened.values() for row in split]
    removed = Corpus.open(str(pipeline.runs[0] / "dedupe")).to_table(kind="removed").to_pylist()
    rejected = Corpus.open(str(pipeline.runs[0] / "clean")).to_table(kind="rejected").to_pylist()
    arrived = {row["url"] for row in [*rows, *removed, *rejected]}
    assert set(small_site.truth) <= arrived
    labels = {label["name"] for label in pipeline.variable["labels"]}
    assert {row["label"] for row in rows} <= labels
    right = [row["label"] == small_site.truth[row["url"]] for row in rows if row["url"] in small_site.truth]
    assert sum(right) / len(right) > 2 / len(labels)


def test_mlflow_holds_one_parent_and_a_child_a_stage_with_lineage(
    first_run: dict[str, str], client: MlflowClient
) -> None:
    parent = parents(client)[0]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["airflow.dag_id"] == "autoglm_dataset_default"
    children = children_of(client, parent)
    assert sorted(children) == sorted([*STAGES, "collect_traffic"])
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    for earlier, later in pairwise(STAGES):
        read = {item.dataset.digest for item in children[later].inputs.dataset_inputs}
        assert children[earlier].data.tags["autoglm.output_digest"] in read
    assert children["clean"].data.metrics["rows_in"] == children["crawl"].data.metrics["rows_out"]


@pytest.fixture(scope="module")
def unchanged_run(first_run: dict[str, str], pipeline: Pipeline) -> dict[str, str]:
    """The states of a second run on the same site."""
    return pipeline.run()


def test_an_unchanged_site_makes_no_new_version(unchanged_run: dict[str, str], pipeline: Pipeline) -> None:
    assert unchanged_run.pop("publish") == "skipped"
    assert all_but_forms(unchanged_run) == {"success"}
    assert [folder.name for folder in pipeline.datasets.iterdir()] == ["v1"]


@pytest.fixture
def variable(pipeline: Pipeline) -> Iterator[dict[str, Any]]:
    """The pipeline's Variable, put back after the test."""
    before = pipeline.variable
    pipeline.variable = {**before}
    yield pipeline.variable
    pipeline.variable = before


def test_a_near_duplicate_of_an_earlier_runs_page_goes_for_that_page(
    unchanged_run: dict[str, str], pipeline: Pipeline, variable: dict[str, Any]
) -> None:
    page = Corpus.open(str(pipeline.datasets / "v1")).to_table().to_pylist()[0]
    copy = {"url": "https://elsewhere.example/copy", "text": f"{page['text']} Copied from another site."}
    pq.write_table(pa.Table.from_pylist([copy]), pipeline.root / "copies.parquet")
    variable["sources"] = [*variable["sources"], {"files": f"file://{pipeline.root}/copies.parquet"}]
    states = pipeline.run()

    assert states.pop("publish") == "skipped"
    assert all_but_forms(states) == {"success"}
    removed = Corpus.open(str(pipeline.runs[-1] / "dedupe")).to_table(kind="removed").to_pylist()
    (gone,) = [row for row in removed if row["url"] == copy["url"]]
    assert (gone["kept_id"], gone["reason"]) == (page["doc_id"], "near_duplicate")


def test_an_unknown_key_fails_the_first_task_and_nothing_else_runs(
    pipeline: Pipeline, variable: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    variable["dedupe"] = {"similarty": 0.9}
    states = pipeline.run()
    assert states["load_settings"] == "failed"
    assert states["crawl"] == states["publish"] == "upstream_failed"
    assert "autoglm_default.dedupe.similarty: unknown key; did you mean 'similarity'?" in capsys.readouterr().out


def test_a_form_value_for_a_stage_that_the_variable_spoils_is_a_named_error(
    pipeline: Pipeline, variable: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    variable["dedupe"] = None
    assert pipeline.run({"dedupe.similarity": 0.95})["load_settings"] == "failed"
    message = "the trigger form sets dedupe.similarity, but dedupe is no object in the Variable"
    assert message in capsys.readouterr().out


def test_the_form_sets_values_within_a_group_too(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert pipeline.run({"label.llm.max_cost": 5})["load_settings"] == "failed"
    message = "autoglm_default.label.llm: max_cost needs price_per_million_input and price_per_million_output"
    assert message in capsys.readouterr().out


def test_a_stage_that_cannot_be_recomputed_is_refused_by_the_form(pipeline: Pipeline) -> None:
    with pytest.raises(
        ParamValidationError, match=r"force_stages: 'dedup' is not one of \['crawl', 'collect_traffic', 'clean'"
    ):
        pipeline.run({"force_stages": ["dedup"]})


def test_the_trigger_form_overrides_single_values(
    first_run: dict[str, str], pipeline: Pipeline, small_site: Site
) -> None:
    states = pipeline.run({"crawl.max_pages": 12, "crawl.max_rejected_fraction": 1.0, "clean.min_chars": None})
    assert states["crawl"] == "success"
    crawled = Corpus.open(str(pipeline.runs[-1] / "crawl")).manifest
    assert crawled.counters.rows_in == 12
    assert crawled.settings["max_pages"] == 12


@pytest.mark.usefixtures("measured_children")
def test_a_run_without_mlflow_finishes_and_is_logged_later(
    first_run: dict[str, str], pipeline: Pipeline, mlflow_server: MlflowServer, client: MlflowClient
) -> None:
    logged_before = len(parents(client))
    with mlflow_server.away():
        states = pipeline.run({"crawl.max_pages": 12, "crawl.max_rejected_fraction": 1.0})
        assert states["finish_run"] == states["label"] == "success"
        assert Corpus.open(str(pipeline.runs[-1] / "crawl")).manifest.mlflow_run_id is None
        assert collect_garbage(pipeline).returncode == 1
    done = collect_garbage(pipeline)
    assert done.returncode == 0, done.stderr
    assert "1 runs logged, 0 waiting for MLflow" in done.stdout
    assert len(parents(client)) == logged_before + 1
    assert {"crawl", "clean", "dedupe", "label"} <= set(children_of(client, parents(client)[-1]))
    assert "0 runs logged, 0 waiting for MLflow" in collect_garbage(pipeline).stdout


def collect_garbage(pipeline: Pipeline) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airflow", "autoglm", "gc", "default", "--root", f"file://{pipeline.root}"]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_required_tracking_fails_the_first_task_while_mlflow_is_away(
    pipeline: Pipeline, variable: dict[str, Any], mlflow_server: MlflowServer
) -> None:
    variable["tracking"] = {"required": True}
    pipeline.use_mlflow(f"http://127.0.0.1:{free_port()}")
    try:
        states = pipeline.run()
    finally:
        pipeline.use_mlflow(mlflow_server.uri)
    assert states["load_settings"] == "failed"


def test_a_misspelt_field_of_the_run_fails_the_first_task(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    states = pipeline.run({"max_pages": 12, "force_stage": ["crawl"]})
    assert states["load_settings"] == "failed"
    said = capsys.readouterr().out
    assert "max_pages: unknown key; did you mean 'crawl.max_pages'?" in said
    assert "force_stage: unknown key; did you mean 'force_stages'?" in said

"""The dataset DAG through ``dag.test()`` with its corpora in a bucket, reached by an Airflow connection."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.store import Corpus
from demo.variable import demo_variable
from tests.conftest import REPOSITORY, Site
from tests.dags.running import all_but_forms, states_after
from tests.s3_server import SECRET, S3Server

DAG_ID = "autoglm_dataset_bucket"


class BucketPipeline:
    """The pipeline ``bucket`` in a bucket, without MLflow."""

    def __init__(self, environment: pytest.MonkeyPatch, server: S3Server, site: Site) -> None:
        self.environment = environment
        self.server = server
        self.root = f"s3://{server.new_bucket()}/autoglm"
        self.variable: dict[str, Any] = demo_variable(site.url, is_own_site=True)
        self.variable["crawl"]["pages_per_shard"] = 60
        self.variable["publish"]["min_class_rows"] = 0
        self.variable["label"] = {"max_tokens": 64, "explain_texts": 2}
        self.variable["tracking"] = {"conn_id": "no_mlflow"}
        # Of its own: an event of a version is sent once, and other tests share this Airflow.
        environment.setenv("AIRFLOW__AUTOGLM__PIPELINES", "bucket")
        environment.setenv("AIRFLOW_CONN_CORPORA", json.dumps(server.connection))

    def run(self, **changes: Any) -> dict[str, str]:
        """Run the DAG to its end; the state of each task."""
        value = {**self.variable, "root": self.root, "storage_conn_id": "corpora", **changes}
        self.environment.setenv("AIRFLOW_VAR_AUTOGLM_BUCKET", json.dumps(value))
        names = runpy.run_path(str(REPOSITORY / "dags" / "dataset.py"))
        return states_after(names[DAG_ID])


@pytest.fixture(scope="module")
def pipeline(
    airflow_home: Path, compiled_kernels: None, small_site: Site, s3_server: S3Server
) -> Iterator[BucketPipeline]:
    with pytest.MonkeyPatch.context() as environment:
        yield BucketPipeline(environment, s3_server, small_site)


@pytest.fixture(scope="module")
def first_run(pipeline: BucketPipeline) -> dict[str, str]:
    return pipeline.run()


def test_the_documents_of_the_site_become_version_one(
    first_run: dict[str, str], pipeline: BucketPipeline, small_site: Site
) -> None:
    assert all_but_forms(first_run) == {"success"}
    storage = pipeline.server.storage()
    (run,) = storage.list(f"{pipeline.root}/bucket/runs")
    arrived = set(Corpus.open(f"{pipeline.root}/bucket/datasets/v1", storage=storage).to_table()["url"].to_pylist())
    for stage, kind in (("clean", "rejected"), ("dedupe", "removed")):
        arrived |= set(Corpus.open(f"{run}/{stage}", storage=storage).to_table(kind=kind)["url"].to_pylist())
    assert set(small_site.truth) <= arrived


def test_no_secret_gets_into_what_the_run_leaves(first_run: dict[str, str], pipeline: BucketPipeline) -> None:
    filesystem = pipeline.server.storage().filesystem
    texts = [path for path in filesystem.find(pipeline.root) if path.endswith((".json", ".md"))]
    assert len(texts) > 10
    assert not any(SECRET.encode() in filesystem.cat_file(path) for path in texts)


@pytest.mark.usefixtures("measured_children")
def test_the_garbage_collector_works_in_a_bucket(first_run: dict[str, str], pipeline: BucketPipeline) -> None:
    command = [sys.executable, "-m", "airflow", "autoglm", "gc", "bucket", "--root", pipeline.root]
    done = subprocess.run(
        [*command, "--storage-conn-id", "corpora"], check=False, capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 1, done.stderr
    assert "0 runs logged, 1 waiting for MLflow, 0 files deleted" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_a_bucket_that_cannot_be_used_fails_the_first_task(
    pipeline: BucketPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    states = pipeline.run(root="s3://no-such-bucket/autoglm")

    assert states["load_settings"] == "failed"
    assert states["crawl"] == "upstream_failed"
    assert "cannot write s3://no-such-bucket/autoglm: NoSuchBucket" in capsys.readouterr().out

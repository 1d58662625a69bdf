from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.lineage import (
    FinishedRun,
    keep_for_later,
    kept_runs,
    log_finished_run,
    stage_record,
)
from airflow_provider_autoglm.corpus.manifest import Input, digest_of
from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import CleanSettings, PublishSettings, RunReference
from airflow_provider_autoglm.tracking import LoggedInput, Tracker
from tests.corpus.conftest import WriteDocuments, documents
from tests.mlflow_server import free_port

STORAGE = Storage.local()


def finished_run(root: Path, run_id: str = "manual__2026-11-01T00:00:00+00:00", **changes: Any) -> FinishedRun:
    run = RunReference(
        pipeline="news",
        dag_id="autoglm_dataset_news",
        run_id=run_id,
        root=root.as_uri(),
        folder=f"{root.as_uri()}/news/runs/1",
    )
    return FinishedRun.parse({"run": run, "settings": {"clean": {}}, "corpora": {}, "status": "FINISHED", **changes})


def test_a_run_kept_for_later_is_found_again(tmp_path: Path) -> None:
    first = finished_run(tmp_path)
    second = finished_run(
        tmp_path, "manual__2026-11-01T00_00_00_00_00", status="FAILED", corpora={"clean": "file:///x"}
    )
    assert list(kept_runs(tmp_path.as_uri(), "news", STORAGE)) == []

    uris = {keep_for_later(first, STORAGE), keep_for_later(second, STORAGE)}
    keep_for_later(first, STORAGE)
    (tmp_path / "news" / "state" / "unlogged_runs" / ".writing-1").touch()

    kept = dict(kept_runs(str(tmp_path), "news", STORAGE))
    assert set(kept) == uris
    assert len(uris) == 2
    assert first in kept.values()
    assert second in kept.values()
    assert list(kept_runs(str(tmp_path), "other", STORAGE)) == []


@pytest.mark.parametrize("record", ["", "{", '{"run": 3}'])
def test_a_damaged_record_hides_no_other(tmp_path: Path, record: str) -> None:
    good = keep_for_later(finished_run(tmp_path), STORAGE)
    bad = tmp_path / "news" / "state" / "unlogged_runs" / "broken.json"
    bad.write_text(record)
    kept = dict(kept_runs(str(tmp_path), "news", STORAGE))
    assert kept == {good: finished_run(tmp_path), bad.as_uri(): None}


def test_lineage_looks_through_the_parts_of_a_mapped_stage(write_documents: WriteDocuments, tmp_path: Path) -> None:
    source, destination = write_documents(40), str(tmp_path / "clean")
    settings = CleanSettings()
    parts = [clean(part["source"], part["destination"], settings).uri for part in split_corpus(source, destination)]
    joined = join_corpora(parts, destination, stage="clean")

    record = stage_record(joined.uri, Corpus.open(joined.uri).manifest)

    assert record.inputs == (LoggedInput("source", source, Corpus.open(source).digest),)
    assert (record.stage, record.uri, record.digest) == ("clean", joined.uri, joined.digest)
    assert record.counters == {"rows_in": 40, "rows_out": 40, "rejected": 0, "removed": 0, "unchanged": 0}
    assert "duration_s" in record.metrics


def test_a_dataset_tells_the_rows_of_its_splits(write_documents: WriteDocuments, tmp_path: Path) -> None:
    labelled = documents(20).append_column("label", [["a"] * 20])
    dataset = publish(write_documents(labelled), str(tmp_path / "datasets"), PublishSettings())

    record = stage_record(dataset.uri, Corpus.open(dataset.uri).manifest)

    assert {name: record.metrics[f"rows/{name}"] for name in dataset.splits} == dataset.splits
    assert [item.name.rsplit("/", 1)[-1] for item in record.inputs] == ["source"]


def test_the_digest_of_stored_settings_is_the_digest_a_task_logs_under(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    labelled = documents(20).append_column("label", [["a"] * 20])
    settings = PublishSettings()
    dataset = publish(write_documents(labelled), str(tmp_path / "datasets"), settings)

    manifest = Corpus.open(dataset.uri).manifest
    assert digest_of(manifest.settings) == manifest.settings_digest == digest_of(settings.model_dump(mode="json"))


@pytest.mark.timeout(60)
def test_while_mlflow_is_away_a_finished_run_is_not_logged_and_says_so(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    tracker = Tracker(MlflowClient(tracking_uri=uri, registry_uri=uri), "autoglm/news")
    finished = finished_run(tmp_path, corpora={"crawl": write_documents(3), "clean": f"{tmp_path}/not/there"})

    assert log_finished_run(tracker, finished, STORAGE) is None


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://docs.example.org:8443/start", "docs.example.org:8443"),
        ("file:///data/default/datasets/v3", "datasets/v3"),
        ("file:///data/default/runs/manual__2026/crawl", "crawl"),
        ("file:///data/tickets.parquet", "tickets.parquet"),
    ],
)
def test_inputs_have_short_names_in_mlflow(write_documents: WriteDocuments, uri: str, name: str) -> None:
    manifest = Corpus.open(write_documents(1)).manifest
    read = manifest.model_copy(update={"origins": (Input(uri=uri, digest="d"),)})
    assert [item.name for item in stage_record("file:///x", read).inputs] == [name]

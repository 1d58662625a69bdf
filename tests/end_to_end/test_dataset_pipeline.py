"""The dataset DAG under a real api-server, scheduler, triggerer and dag-processor, with MLflow behind a password."""

from __future__ import annotations

import datasets

from airflow_provider_autoglm.corpus.store import Corpus
from tests.conftest import Site
from tests.dags.running import all_but_forms
from tests.end_to_end.deployment import DATASET_DAG, Deployment
from tests.mlflow_server import ADMIN_PASSWORD

MISPLACED_SECRET = "marked-variable-secret-91c2"


def test_the_documents_of_the_site_become_dataset_version_one(
    deployment: Deployment, first_run: str, small_site: Site
) -> None:
    assert all_but_forms(deployment.states(first_run)) == {"success"}
    version = deployment.root / "default" / "datasets" / "v1"
    opened = datasets.load_dataset(str(version), cache_dir=str(deployment.root / "cache"))
    arrived = {url for split in opened.values() for url in split["url"]}
    dropped = Corpus.open(str(deployment.folder(first_run) / "dedupe")).to_table(kind="removed")["url"].to_pylist()
    rejected = Corpus.open(str(deployment.folder(first_run) / "clean")).to_table(kind="rejected")["url"].to_pylist()
    assert set(small_site.truth) <= arrived | set(dropped) | set(rejected)


def test_the_asset_event_names_the_version_and_why_it_was_made(deployment: Deployment, first_run: str) -> None:
    (event,) = deployment.asset_events("dataset")
    assert event["uri"] == "autoglm://default/dataset"
    assert event["extra"]["version"] == 1
    assert event["extra"]["reasons"] == ["manual"]
    assert event["extra"]["key"] == "default/dataset/1"
    assert event["extra"]["digest"] == Corpus.open(event["extra"]["reference"]).digest


def test_mlflow_holds_the_run_and_airflow_links_to_it(deployment: Deployment, first_run: str) -> None:
    parent, *children = deployment.mlflow_runs(first_run)
    assert parent["status"] == "FINISHED"
    assert sorted(run["run_name"] for run in children) == [
        "clean",
        "collect_traffic",
        "crawl",
        "dedupe",
        "label",
        "publish",
    ]
    crawl = next(run for run in children if run["run_name"] == "crawl")
    links = deployment.stack.api.call("GET", f"dags/{DATASET_DAG}/dagRuns/{first_run}/taskInstances/crawl/links")
    assert crawl["run_id"] in links["extra_links"]["MLflow run"]


def test_clearing_with_a_changed_variable_recomputes_what_the_change_touches(
    deployment: Deployment, first_run: str
) -> None:
    deployment.set_variable(dedupe={"min_jaccard": 0.95})
    deployment.clear(first_run, "load_settings")
    assert "failed" not in deployment.states(first_run).values()
    folder = deployment.folder(first_run)
    assert not (folder / "crawl" / "_manifest.2.json").exists()
    assert Corpus.open(str(folder / "dedupe")).manifest.settings["min_jaccard"] == 0.95
    assert (folder / "dedupe" / "_manifest.2.json").exists()
    names = [run["run_name"] for run in deployment.mlflow_runs(first_run)[1:]]
    assert names.count("dedupe") == 2
    assert names.count("crawl") == 1
    deployment.set_variable()


def test_an_unchanged_site_makes_no_version_and_no_event(deployment: Deployment, first_run: str) -> None:
    versions = sorted((deployment.root / "default" / "datasets").iterdir())
    events = len(deployment.asset_events("dataset"))
    run_id = deployment.run()
    assert deployment.states(run_id)["publish"] == "skipped"
    assert deployment.stack.api.run_state(DATASET_DAG, run_id) == "success"
    assert sorted((deployment.root / "default" / "datasets").iterdir()) == versions
    assert len(deployment.asset_events("dataset")) == events


def test_a_misplaced_key_fails_the_first_task_without_showing_its_value(deployment: Deployment, first_run: str) -> None:
    deployment.set_variable(tracking={"passwrd": MISPLACED_SECRET})
    run_id = deployment.run()
    deployment.set_variable()
    states = deployment.states(run_id)
    assert states["load_settings"] == "failed"
    assert states["crawl"] == "upstream_failed"
    log = deployment.stack.task_log(DATASET_DAG, run_id, "load_settings").read_text()
    assert "autoglm_default.tracking.passwrd: unknown key" in log


def test_no_secret_is_written_anywhere(deployment: Deployment, first_run: str) -> None:
    """Searches every file: logs, the metadata database with rendered templates and XComs, manifests, MLflow's store.

    The Variable itself is stored by Airflow, encrypted like the connection; MLflow's own auth files hold its password.
    """
    home = deployment.root.parent
    own_files = {deployment.mlflow.folder / "auth.ini"}
    searched = [file for file in home.rglob("*") if file.is_file() and file not in own_files]
    assert home / "airflow" / "airflow.db" in searched
    assert any(file.name == "mlflow.db" or file.suffix == ".db" for file in (home / "mlflow").rglob("*"))
    secrets = [ADMIN_PASSWORD.encode(), MISPLACED_SECRET.encode()]
    leaking = [str(file) for file in searched if any(secret in file.read_bytes() for secret in secrets)]
    assert leaking == []

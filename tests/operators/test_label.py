"""Labelling as an Airflow task: what a run's connections, registry and earlier dataset versions give the library."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DAG
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.schema import REVIEWED_SAMPLE
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.operators.label import AutoLabelOperator
from airflow_provider_autoglm.settings import PublishSettings
from tests.dags.running import states_after
from tests.labeling.llm.server import API_KEY, LlmServer, running
from tests.labeling.sentences import LABELS, TEXTS, TRUTH
from tests.labeling.tiny_models import write_tiny_package
from tests.mlflow_server import MlflowServer

pytestmark = pytest.mark.usefixtures("airflow_home")


@pytest.fixture
def source(tmp_path: Path) -> str:
    return write_corpus(f"{tmp_path.as_uri()}/clean", [pa.table({"text": list(TEXTS)})], stage="clean").uri


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Any]:
    root = tmp_path.as_uri()
    return {
        "pipeline": "news",
        "dag_id": "own_label",
        "run_id": "1",
        "root": root,
        "folder": f"{root}/news/runs/1",
        "mlflow_run_id": None,
    }


def labelled(source: str, settings: dict[str, Any], run: dict[str, Any] | None, **options: Any) -> Corpus | None:
    """The corpus that a task makes, None if it fails."""
    with DAG("own_label", schedule=None) as dag:
        AutoLabelOperator(task_id="label", source=source, settings={"labels": LABELS, **settings}, run=run, **options)
    if states_after(dag) != {"label": "success"}:
        return None
    return Corpus.open(options.get("destination") or f"{(run or {})['folder']}/label")


def reviewed_version(folder: Path, texts: list[str], labels: list[str]) -> None:
    """A dataset version whose rows people have labelled in a random spot check."""
    rows = len(texts)
    table = pa.table(
        {"text": texts, "label": labels, "labeler": [REVIEWED_SAMPLE] * rows, "label_source": ["human"] * rows}
    )
    source = write_corpus(f"{folder.as_uri()}/earlier/review", [table], stage="review").uri
    publish(source, f"{folder.as_uri()}/news/datasets", PublishSettings(min_class_rows=0))


def test_scores_are_calibrated_on_the_spot_checks_of_the_version_before(
    source: str, run: dict[str, Any], tmp_path: Path
) -> None:
    reviewed_version(tmp_path, [f"{text} ({time})" for time in range(3) for text in TEXTS], list(TRUTH) * 3)
    corpus = labelled(source, {}, run)
    assert corpus is not None
    assert corpus.manifest.metrics["calibration/rows"] == 3 * len(TEXTS)
    assert corpus.to_table(["label"])["label"].to_pylist() == list(TRUTH)


def test_a_first_run_has_nothing_to_calibrate_on(source: str, run: dict[str, Any]) -> None:
    corpus = labelled(source, {}, run)
    assert corpus is not None
    assert not [name for name in corpus.manifest.metrics if name.startswith("calibration/")]


def test_a_registered_classifier_labels_as_the_version_that_its_alias_stood_for(
    source: str,
    run: dict[str, Any],
    mlflow_server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_server.uri}))
    client = MlflowClient(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri)
    write_tiny_package(str(tmp_path / "package"))
    logged = client.create_run(client.create_experiment("registered classifier")).info.run_id
    client.log_artifacts(logged, str(tmp_path / "package"), "model")
    client.create_registered_model("labels-news")
    client.create_model_version("labels-news", source=f"runs:/{logged}/model", run_id=logged)
    client.set_registered_model_alias("labels-news", "champion", "1")
    corpus = labelled(source, {"kind": "classifier", "model": "models:/labels-news@champion"}, run)
    assert corpus is not None
    rows = corpus.to_table(["label", "labeler"]).to_pydict()
    assert rows["label"] == list(TRUTH)
    assert all(re.match(r"classifier/labels-news/1@", name) for name in rows["labeler"])


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Any:
    with running() as server:
        connection = {"conn_type": "autoglm_llm", "host": server.url, "password": API_KEY}
        monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_LLM", json.dumps(connection))
        yield server


def test_a_language_model_is_asked_once_for_a_text_over_all_runs(
    llm: LlmServer, run: dict[str, Any], tmp_path: Path
) -> None:
    texts = [f"{name} is what this text is about, and it ends here." for name in ("football", "cooking", "space")]
    source = write_corpus(f"{tmp_path.as_uri()}/asked", [pa.table({"text": texts})], stage="clean").uri
    settings = {"kind": "llm", "model": "small"}
    for number in ("1", "2"):
        folder = f"{run['root']}/news/runs/{number}"
        corpus = labelled(source, settings, {**run, "run_id": number, "folder": folder})
        assert corpus is not None
        assert corpus.to_table(["label"])["label"].to_pylist() == ["football", "cooking", "space"]
    assert sum(llm.asked.values()) == 3


def test_a_language_model_without_connection_fails_the_task(
    source: str, run: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert labelled(source, {"kind": "llm", "model": "small", "llm": {"conn_id": "nowhere"}}, run) is None
    assert (
        "label.llm.conn_id: there is no connection nowhere; create one of type autoglm_llm" in capsys.readouterr().out
    )


def test_without_a_run_a_destination_is_enough(source: str, tmp_path: Path) -> None:
    corpus = labelled(source, {}, None, destination=f"{tmp_path.as_uri()}/own")
    assert corpus is not None
    assert corpus.rows == len(TEXTS)

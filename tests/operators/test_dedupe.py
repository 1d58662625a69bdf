"""What the de-duplication leaves in its MLflow run, through ``dag.test()`` and a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DAG
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.operators.dedupe import SimHashDedupeOperator
from airflow_provider_autoglm.tracking import Tracker
from tests.dags.running import states_after
from tests.mlflow_server import MlflowServer, free_port

pytestmark = pytest.mark.usefixtures("airflow_home", "compiled_kernels")


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A text, its copy, and the text with another word in it."""
    words = [f"word{number}" for number in range(60)]
    texts = [" ".join([*words, "end"]), " ".join([*words, "end"]), " ".join([*words[:30], "other", *words[31:]])]
    rows = {"url": [f"https://site.example/{number}" for number in range(3)], "text": texts}
    return write_corpus(f"{tmp_path}/clean", [pa.table(rows)], stage="clean").uri


def run_in(folder: Path, parent: str | None) -> dict[str, Any]:
    """What ``load_settings`` would return of a run that writes into ``folder``."""
    root = folder.as_uri()
    return {
        "pipeline": folder.name,
        "dag_id": "own_dedupe",
        "run_id": "1",
        "root": root,
        "folder": f"{root}/run",
        "mlflow_run_id": parent,
    }


def state_after(source: str, run: dict[str, Any]) -> str:
    with DAG("own_dedupe", schedule=None) as dag:
        SimHashDedupeOperator(task_id="dedupe", source=source, settings={}, run=run)
    return states_after(dag)["dedupe"]


def use_mlflow(environment: pytest.MonkeyPatch, uri: str) -> None:
    environment.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": uri}))


def test_the_run_in_mlflow_has_the_report_to_look_at_and_its_numbers_after_a_retry_too(
    mlflow_server: MlflowServer, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_mlflow(monkeypatch, mlflow_server.uri)
    client = MlflowClient(tracking_uri=mlflow_server.uri)
    tracker = Tracker(client, f"autoglm/{tmp_path.name}")
    parent = tracker.open_parent("own_dedupe", "1", "", {}, "")
    for _ in range(2):
        assert state_after(source, run_in(tmp_path, parent)) == "success"

    experiment = client.get_experiment_by_name(f"autoglm/{tmp_path.name}")
    assert experiment is not None
    (child,) = client.search_runs([experiment.experiment_id], "tags.`autoglm.role` = 'child'")
    assert {"dedupe.html", "dedupe.json"} <= {item.path for item in client.list_artifacts(child.info.run_id)}
    numbers = json.loads(Path(client.download_artifacts(child.info.run_id, "dedupe.json", str(tmp_path))).read_text())
    assert (numbers["rows_in"], numbers["exact_duplicates"], numbers["near_duplicates"]) == (3, 1, 1)
    assert (numbers["cluster_sizes"], sum(numbers["hamming"])) == ({"3": 1}, 1)
    page = Path(client.download_artifacts(child.info.run_id, "dedupe.html", str(tmp_path))).read_text()
    assert "<del>other</del>" in page
    assert "<ins>word30</ins>" in page


def test_without_mlflow_the_corpus_is_committed_all_the_same(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_mlflow(monkeypatch, f"http://127.0.0.1:{free_port()}")
    assert state_after(source, run_in(tmp_path, "the parent of before")) == "success"
    assert Corpus.open(f"{tmp_path}/run/dedupe").rows == 1

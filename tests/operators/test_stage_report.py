"""What crawl, clean, label and review leave in their MLflow runs, through ``dag.test()`` and a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DAG
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.operators.clean import CleanOperator
from airflow_provider_autoglm.operators.corpus import JoinCorpusOperator, SplitCorpusOperator
from airflow_provider_autoglm.operators.crawl import CrawlOperator
from airflow_provider_autoglm.operators.label import AutoLabelOperator
from airflow_provider_autoglm.operators.review import DecideReviewOperator
from airflow_provider_autoglm.tracking import Tracker
from tests.dags.running import states_after
from tests.labeling.review.conftest import LABELS, Checks, answer_all, review_settings, rows
from tests.mlflow_server import MlflowServer

pytestmark = pytest.mark.usefixtures("airflow_home")

SENTENCE = "The quick brown fox number {} jumps over the lazy dog and then goes home to sleep."


@pytest.fixture
def lines(tmp_path: Path) -> str:
    """Records, one of which is no JSON and one too short."""
    records = [json.dumps({"text": SENTENCE.format(number)}) for number in range(4)]
    path = tmp_path / "lines.jsonl"
    path.write_text("\n".join([*records, json.dumps({"text": "short"}), "no json"]))
    return str(path)


class Logged:
    """The child runs of one pipeline in MLflow."""

    def __init__(self, server: MlflowServer, folder: Path) -> None:
        self._client = MlflowClient(tracking_uri=server.uri)
        self._experiment = f"autoglm/{folder.name}"
        self._folder = folder
        tracker = Tracker(self._client, self._experiment)
        root = folder.as_uri()
        self.run: dict[str, Any] = {
            "pipeline": folder.name,
            "dag_id": "own_reports",
            "run_id": "1",
            "root": root,
            "folder": f"{root}/run",
            "mlflow_run_id": tracker.open_parent("own_reports", "1", "", {}, ""),
        }

    def artifacts(self) -> dict[str, str]:
        """The reports of all child runs by name."""
        experiment = self._client.get_experiment_by_name(self._experiment)
        assert experiment is not None
        children = self._client.search_runs([experiment.experiment_id], "tags.`autoglm.role` = 'child'")
        return {
            item.path: Path(
                self._client.download_artifacts(child.info.run_id, item.path, str(self._folder))
            ).read_text()
            for child in children
            for item in self._client.list_artifacts(child.info.run_id)
            if not item.is_dir
        }


@pytest.fixture
def logged(mlflow_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logged:
    connection = {"conn_type": "mlflow", "host": mlflow_server.uri}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))
    return Logged(mlflow_server, tmp_path)


def pipeline(lines: str, run: dict[str, Any]) -> DAG:
    with DAG("own_reports", schedule=None) as dag:
        crawl = CrawlOperator(task_id="crawl", sources=[lines], settings={}, run=run)
        split = SplitCorpusOperator(task_id="split", stage="clean", source=crawl.output, run=run)
        clean = CleanOperator.partial(task_id="clean", settings={}, run=run).expand_kwargs(split.output)
        JoinCorpusOperator(task_id="join", stage="clean", sources=clean.output, run=run)
    return dag


def test_crawl_and_clean_have_a_page_and_its_numbers_in_mlflow_the_same_after_a_retry(
    logged: Logged, lines: str
) -> None:
    assert set(states_after(pipeline(lines, logged.run)).values()) == {"success"}
    artifacts = logged.artifacts()
    assert artifacts.keys() == {"crawl.html", "crawl.json", "clean.html", "clean.json"}
    crawled, cleaned = json.loads(artifacts["crawl.json"]), json.loads(artifacts["clean.json"])
    assert (crawled["records"], crawled["rejected_by_reason"]) == (6, {"invalid_record": 1})
    assert (cleaned["rows_in"], cleaned["rejected_by_reason"]) == (5, {"too_short": 1})
    assert cleaned["lengths_before"]["texts"] == 5
    assert "no json" in artifacts["crawl.html"]
    assert "short" in artifacts["clean.html"]

    assert set(states_after(pipeline(lines, logged.run)).values()) == {"success"}
    assert logged.artifacts() == artifacts


def test_a_labelling_has_one_page_for_all_its_parts(logged: Logged, tmp_path: Path) -> None:
    texts = ["The striker scored a goal.", "Boil the pasta in salted water.", "   ", "A goal decided the match."]
    table = pa.table({"text": texts})
    source = write_corpus(
        f"{tmp_path}/clean", [table.slice(0, 2), table.slice(2)], stage="clean", max_shard_bytes=1
    ).uri
    settings = {"labels": [{"name": "football"}, {"name": "cooking"}]}
    with DAG("own_reports", schedule=None) as dag:
        split = SplitCorpusOperator(task_id="split", stage="label", source=source, run=logged.run)
        label = AutoLabelOperator.partial(task_id="label", settings=settings, run=logged.run).expand_kwargs(
            split.output
        )
        JoinCorpusOperator(task_id="join", stage="label", sources=label.output, run=logged.run)
    assert set(states_after(dag).values()) == {"success"}
    artifacts = logged.artifacts()
    assert artifacts.keys() == {"label.html", "label.json"}
    numbers = json.loads(artifacts["label.json"])
    assert numbers["rows_by_label"] == {"cooking": 1, "football": 2}
    assert numbers["explained"] == 3
    assert "Words that carried the label" in artifacts["label.html"]


def test_a_passed_review_has_a_page_and_its_numbers(logged: Logged, tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    source = checks.corpus(rows(60))
    draw = checks.draw(source, margin=0.2).uri
    answers = answer_all(draw, lambda _: "a")
    settings = review_settings(margin=0.2, target_accuracy=0.1)
    with DAG("own_reports", schedule=None) as dag:
        DecideReviewOperator(
            task_id="decide",
            source=source,
            draws=[draw],
            answers=answers,
            settings=settings,
            label_settings=LABELS,
            run=logged.run,
        )
    assert states_after(dag) == {"decide": "success"}
    artifacts = logged.artifacts()
    assert artifacts.keys() == {"review.html", "review.json"}
    assert json.loads(artifacts["review.json"])["sample"]["answered"] > 0
    assert "What people said instead" in artifacts["review.html"]


def test_a_report_that_cannot_be_made_is_logged_and_the_task_succeeds(
    logged: Logged, lines: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with DAG("own_reports", schedule=None) as dag:
        CrawlOperator(task_id="crawl", sources=[lines], settings={}, run=logged.run)
    assert states_after(dag) == {"crawl": "success"}
    corpus = Corpus.open(f"{tmp_path}/run/crawl")
    (rejected,) = corpus.stored("rejected")
    Path(rejected.uri.removeprefix("file://")).unlink()
    with DAG("own_reports", schedule=None) as dag:
        JoinCorpusOperator(
            task_id="join", stage="crawl", sources=[corpus.uri], destination=f"{tmp_path}/joined", run=logged.run
        )
    assert states_after(dag) == {"join": "success"}
    (line,) = [record.getMessage() for record in caplog.records if record.name.endswith("stage_report")]
    assert line.startswith(f"crawl: the report of file://{tmp_path}/joined cannot be made (shard rejected/")

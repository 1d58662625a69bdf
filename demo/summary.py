"""What a finished run of the dataset pipeline has to show: figures from its corpora, its dataset and MLflow."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests

from airflow_provider_autoglm.corpus.dedupe.report import report_of
from airflow_provider_autoglm.corpus.dedupe.report_pairs import Pair
from airflow_provider_autoglm.corpus.dedupe.word_difference import compare
from airflow_provider_autoglm.corpus.store import Corpus
from demo.airflow_api import TaskState
from demo.dag_runs import is_form_nobody_needs

_SOURCES = ("crawl", "collect_traffic")
STAGES = (*_SOURCES, "clean", "dedupe", "label", "publish")
_EXAMPLES = 2
_EXCERPT_CHARS = 160
_TIMEOUT_S = 60


@dataclass(frozen=True)
class DuplicateExample:
    """A removed document beside the one that was kept; the excerpts are what lies around their differences."""

    removed_url: str
    kept_url: str
    hamming: int
    jaccard: float
    removed_excerpt: str
    kept_excerpt: str


@dataclass(frozen=True)
class Agreement:
    """How many published rows of known area carry its name as label."""

    rows: int
    agreeing: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.agreeing / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class DatasetFigures:
    """The published dataset; ``opened_rows`` are the rows of each split that ``datasets.load_dataset`` gives."""

    uri: str
    path: str
    version: int
    rows: int
    opened_rows: Mapping[str, int]


@dataclass(frozen=True)
class MlflowFigures:
    """The parent run of the DAG run, and for each child run how many inputs its lineage names."""

    url: str
    parent_run_id: str | None
    parent_status: str | None
    child_inputs: Mapping[str, int]


@dataclass(frozen=True)
class Summary:
    """All figures of a run. ``rejected`` and ``removed`` are rows by stage and reason, ``seconds`` are by task."""

    site: str
    pages_attempted: int
    pages_crawled: int
    rejected: Mapping[str, Mapping[str, int]]
    removed: Mapping[str, Mapping[str, int]]
    duplicates_removed: int
    duplicate_examples: Sequence[DuplicateExample]
    label_shares: Mapping[str, float]
    agreement: Agreement | None
    dataset: DatasetFigures
    mlflow: MlflowFigures
    airflow_url: str
    dag_run: str
    tasks: Mapping[str, str | None]
    seconds: Mapping[str, float]

    def problems(self) -> list[str]:
        """Every step that did not succeed, in words; empty if all did."""
        found = [f"task {name} is {state or 'not run'}" for name, state in self.tasks.items() if state != "success"]
        if self.pages_crawled == 0:
            found.append("no page was crawled")
        opened = sum(self.dataset.opened_rows.values())
        if opened != self.dataset.rows:
            found.append(f"load_dataset opens {opened} rows of {self.dataset.rows}")
        if self.mlflow.parent_status != "FINISHED":
            found.append(f"the parent run in MLflow is {self.mlflow.parent_status or 'absent'}")
        inputs = self.mlflow.child_inputs
        found += [f"MLflow has no child run of {stage}" for stage in STAGES if stage not in inputs]
        found += [
            f"MLflow knows no input of {stage}" for stage in STAGES if stage not in _SOURCES and inputs.get(stage) == 0
        ]
        return found

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types."""
        agreement = {**asdict(self.agreement), "share": round(self.agreement.share, 4)} if self.agreement else None
        mlflow = {**asdict(self.mlflow), "child_runs": len(self.mlflow.child_inputs)}
        return {**asdict(self), "agreement": agreement, "mlflow": mlflow}


def summarise(
    *,
    site: str,
    run: Mapping[str, Any],
    published: Mapping[str, Any],
    tasks: Sequence[TaskState],
    truth: Mapping[str, str] | None,
    airflow_url: str,
    mlflow_url: str,
    cache: Path,
) -> Summary:
    """Read the figures of a run.

    :param run: what ``load_settings`` returned under ``run``.
    :param published: what ``publish`` returned.
    :param truth: the area of each URL, or None for a site nobody has sorted.
    :param cache: folder for the files ``load_dataset`` makes.
    """
    stages = {stage: Corpus.open(f"{run['folder']}/{stage}") for stage in STAGES[:-1]}
    dataset = Corpus.open(published["uri"])
    deduplicated = report_of(stages["dedupe"], pairs=_EXAMPLES)
    crawled = stages["crawl"].manifest.counters
    labelled = dataset.to_table(["url", "label"])
    return Summary(
        site=site,
        pages_attempted=crawled.rows_in,
        pages_crawled=crawled.rows_out,
        rejected=_reasons({**stages, "publish": dataset}, "rejected/"),
        removed=_reasons({**stages, "publish": dataset}, "removed/"),
        duplicates_removed=stages["dedupe"].manifest.counters.removed,
        duplicate_examples=[duplicate_example(pair) for pair in deduplicated.pairs],
        label_shares=_shares(labelled["label"].to_pylist()),
        agreement=None if truth is None else agreement_with(truth, labelled.to_pylist()),
        dataset=DatasetFigures(
            uri=dataset.uri,
            path=dataset.uri.removeprefix("file://"),
            version=int(published["version"]),
            rows=dataset.rows,
            opened_rows=_open_with_datasets(dataset.uri.removeprefix("file://"), cache),
        ),
        mlflow=_mlflow_figures(mlflow_url, run["mlflow_run_id"]),
        airflow_url=airflow_url,
        dag_run=f"{run['dag_id']} {run['run_id']}",
        tasks={task.name: task.state for task in tasks if not is_form_nobody_needs(task)},
        seconds=_seconds(tasks),
    )


def agreement_with(truth: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> Agreement:
    """Compare the labels of ``rows`` (``url``, ``label``) with ``truth``; rows it does not know are passed over."""
    known = [row for row in rows if row["url"] in truth]
    return Agreement(len(known), sum(row["label"] == truth[row["url"]] for row in known))


def duplicate_example(pair: Pair) -> DuplicateExample:
    """A pair as the terminal shows it."""
    kept_text = pair.removed.text if pair.kept is None else pair.kept.text
    difference = compare(pair.removed.text, kept_text, max_chars=_EXCERPT_CHARS)
    return DuplicateExample(
        removed_url=pair.removed.url or pair.removed.doc_id,
        kept_url=pair.kept_id if pair.kept is None else pair.kept.url or pair.kept_id,
        hamming=pair.hamming,
        jaccard=round(pair.jaccard, 3),
        removed_excerpt="".join(piece.text for piece in difference.removed),
        kept_excerpt="in an earlier run" if pair.kept is None else "".join(piece.text for piece in difference.kept),
    )


def _reasons(corpora: Mapping[str, Corpus], kind: str) -> dict[str, dict[str, int]]:
    return {
        stage: {
            name.removeprefix(kind): int(rows)
            for name, rows in sorted(corpus.manifest.metrics.items())
            if name.startswith(kind)
        }
        for stage, corpus in corpora.items()
    }


def _shares(labels: Sequence[str]) -> dict[str, float]:
    return {label: round(rows / len(labels), 4) for label, rows in Counter(labels).most_common()}


def _open_with_datasets(path: str, cache: Path) -> dict[str, int]:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported: a local folder needs no hub
    import datasets

    datasets.disable_progress_bars()
    return {name: rows.num_rows for name, rows in datasets.load_dataset(path, cache_dir=str(cache)).items()}


def _mlflow_figures(url: str, parent_run_id: str | None) -> MlflowFigures:
    if parent_run_id is None:
        return MlflowFigures(url, None, None, {})
    with requests.Session() as session:
        session.trust_env = False
        api = f"{url}/api/2.0/mlflow/runs"
        answer = session.get(f"{api}/get", params={"run_id": parent_run_id}, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        parent = answer.json()["run"]["info"]
        search = {
            "experiment_ids": [parent["experiment_id"]],
            "filter": f"tags.`mlflow.parentRunId` = '{parent_run_id}'",
            "max_results": 1_000,
        }
        answer = session.post(f"{api}/search", json=search, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        children = answer.json().get("runs", [])
    return MlflowFigures(
        url=f"{url}/#/experiments/{parent['experiment_id']}/runs/{parent_run_id}",
        parent_run_id=parent_run_id,
        parent_status=parent["status"],
        child_inputs={
            child["info"]["run_name"]: len(child.get("inputs", {}).get("dataset_inputs", [])) for child in children
        },
    )


def _seconds(tasks: Sequence[TaskState]) -> dict[str, float]:
    """From the first start to the last end of each task, mapped ones taken together."""
    spans: dict[str, list[TaskState]] = defaultdict(list)
    for task in tasks:
        if task.started_at and task.ended_at:
            spans[task.task_id].append(task)
    return {task_id: round(_span(instances), 1) for task_id, instances in spans.items()}


def _span(instances: Sequence[TaskState]) -> float:
    started = min(task.started_at for task in instances if task.started_at)
    ended = max(task.ended_at for task in instances if task.ended_at)
    return (ended - started).total_seconds()

"""What MLflow is told of a run's corpora, read from their manifests alone, and kept while MLflow is away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from airflow_provider_autoglm.corpus.manifest import Manifest, digest_of, find_manifest
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.settings import RunReference, Settings
from airflow_provider_autoglm.tracking import ChildRecord, LoggedInput, StageRecord, Tracker, catch_up

_UNMAPPED = -1


class FinishedRun(Settings):
    """A DAG run that has ended: enough to log it later."""

    run: RunReference = Field(description="The run.")
    settings: dict[str, Any] = Field(description="Effective settings of the pipeline.")
    corpora: dict[str, str | tuple[str, ...]] = Field(
        description="URI of the corpus each task has committed, or of several, by task id."
    )
    status: Literal["FINISHED", "FAILED"] = Field(description="How the run ended.")


def stage_record(uri: str, manifest: Manifest) -> StageRecord:
    """The record of the corpus at ``uri``; a dataset version also tells the rows of its splits."""
    dataset = manifest.dataset or {}
    splits = dataset.get("splits", {})
    return StageRecord(
        stage=manifest.stage,
        uri=uri,
        digest=manifest.digest,
        inputs=tuple(LoggedInput(_name(item.uri), item.uri, item.digest) for item in manifest.origins),
        metrics={**manifest.metrics, **{f"rows/{split}": float(rows) for split, rows in splits.items()}},
        counters=manifest.counters.model_dump(),
        dataset_version=dataset.get("version"),
    )


def child_record(task_id: str, uri: str, manifest: Manifest) -> ChildRecord:
    """The child run of an unmapped task that has committed the corpus at ``uri``."""
    return ChildRecord(
        name=manifest.stage,
        task_id=task_id,
        map_index=_UNMAPPED,
        settings_digest=digest_of(manifest.settings),
        settings=manifest.settings,
        record=stage_record(uri, manifest),
    )


def log_finished_run(tracker: Tracker, finished: FinishedRun, storage: Storage) -> str | None:
    """Log what MLflow does not hold yet and end the parent run; None while MLflow is away."""
    run = finished.run
    return catch_up(
        tracker,
        dag_id=run.dag_id,
        run_id=run.run_id,
        logical_date=run.logical_date,
        settings=finished.settings,
        settings_digest=run.settings_digest,
        children=list(_children(finished.corpora, storage)),
        status=finished.status,
    )


def keep_for_later(finished: FinishedRun, storage: Storage) -> str:
    """Write down a run that could not be logged, for :func:`kept_runs`; returns the record's URI."""
    run = finished.run
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{run.dag_id}-{run.run_id}")
    uri = f"{_kept_folder(run.root, run.pipeline)}/{name}-{digest_of(run.dag_id, run.run_id)[:8]}.json"
    storage.replace(uri, finished.model_dump_json(indent=1).encode())
    return uri


def kept_runs(root: str, pipeline: str, storage: Storage) -> Iterator[tuple[str, FinishedRun | None]]:
    """The runs that wait to be logged, each with the URI of its record; None for a record that is damaged."""
    for uri in storage.list(_kept_folder(root, pipeline)):
        if uri.endswith(".json"):
            try:
                yield uri, FinishedRun.model_validate_json(storage.read(uri))
            except ValidationError:
                yield uri, None


def _kept_folder(root: str, pipeline: str) -> str:
    return f"{as_uri(root)}/{pipeline}/state/unlogged_runs"


def _children(corpora: Mapping[str, str | tuple[str, ...]], storage: Storage) -> Iterator[ChildRecord]:
    for task_id, uris in corpora.items():
        for uri in (uris,) if isinstance(uris, str) else uris:
            manifest, _ = find_manifest(uri, storage)
            if manifest is not None:
                yield child_record(task_id, uri, manifest)


def _name(uri: str) -> str:
    """A short name for an input: the host of a site, the version of a dataset, else the stage or the file."""
    if uri.startswith(("http://", "https://")):
        return urlsplit(uri).netloc
    folder, _, name = uri.rstrip("/").rpartition("/")
    return f"datasets/{name}" if folder.endswith("/datasets") else name

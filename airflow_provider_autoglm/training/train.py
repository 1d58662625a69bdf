"""A dataset version becomes a registered version of a model."""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.corpus.publish.record import DatasetRecord
from airflow_provider_autoglm.corpus.publish.wording import accuracy_in_words
from airflow_provider_autoglm.corpus.result import ProgressCallback
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import MissingExtraError, TooFewRowsError
from airflow_provider_autoglm.labeling.models import without_progress_bars
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.tracking.registry import RegisteredVersion, Registry, model_digest
from airflow_provider_autoglm.tracking.values import metrics
from airflow_provider_autoglm.training.data import TRAIN, Dataset, Examples
from airflow_provider_autoglm.training.history import History, explained
from airflow_provider_autoglm.training.network import configured_threads, tokens_read

log = logging.getLogger(__name__)

ARTIFACT_PATH = "model"
"""Where the package lies in the run."""

_PACKAGE, _METRICS, _WORK, _CHECKPOINTS = "model", "metrics.json", "work.json", "checkpoints"
_EXTRA = "train"
_MODULES = ("onnx", "onnxruntime", "onnxscript", "sklearn", "torch", "accelerate")
_FEWEST_CLASSES = 2
_LOGGED = ("train/", "validation/")


@dataclass(frozen=True)
class TrainingRun:
    """Where a training is recorded: an open MLflow run, and the model that gets a version with ``tags``."""

    client: MlflowClient
    run_id: str
    registry: Registry
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedModel:
    """A registered version; ``metrics`` are the last of the run's ``train/…`` and ``validation/…``."""

    name: str
    version: str
    run_id: str
    model_uri: str
    digest: str
    metrics: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The reference as JSON types."""
        return asdict(self)


def train(
    dataset: str,
    settings: TrainSettings,
    *,
    tracking: TrainingRun,
    storage: Storage | None = None,
    work_dir: str,
    progress: ProgressCallback | None = None,
) -> TrainedModel:
    """Fit a classifier to a dataset version, package it, log it to the run and register it.

    The same run registers one version, however often it is tried: a registered one is returned as it is, a package in
    ``work_dir`` is not trained again, and training goes on from its last checkpoint there. Work of other settings or
    of another dataset is thrown away. ``work_dir`` may be deleted afterwards.

    :raises TooFewRowsError: if fewer than two classes have rows to train on.
    :raises MissingExtraError: if a library of the extra ``train`` is not installed.
    :raises ModelNotFoundError: if the base model cannot be loaded.
    :raises UnusableModelError: if the base model cannot be trained or packaged like this.
    :raises TrainingDivergedError: if training leaves the finite numbers.
    :raises TrainingMemoryError: if memory is out with a single text.
    :raises TrackingUnavailableError: if MLflow cannot be used.
    """
    registered = tracking.registry.find_run(tracking.run_id)
    if registered is not None:
        log.info("run %s has already made version %s", tracking.run_id, registered.version)
    else:
        opened = Dataset.open(dataset, storage=storage)
        work = _Work.at(work_dir, opened, settings)
        history = History(tracking.client, tracking.run_id)
        if not os.path.isdir(work.package):
            _make_package(opened, settings, work, history, progress)
        registered = _register(work, opened, tracking, history)
    return TrainedModel(
        name=registered.name,
        version=registered.version,
        run_id=registered.run_id,
        model_uri=registered.model_uri,
        digest=registered.digest,
        metrics=_metrics_of(tracking),
    )


@dataclass(frozen=True)
class _Work:
    """The folder of one training: what a retry finds again."""

    folder: str

    @classmethod
    def at(cls, folder: str, dataset: Dataset, settings: TrainSettings) -> _Work:
        """The folder, without what was made for other work."""
        digest = digest_of(dataset.digest, list(dataset.labels), settings.model_dump(mode="json"))
        marker = os.path.join(folder, _WORK)
        os.makedirs(folder, exist_ok=True)
        if _read_json(marker) != {"digest": digest}:
            for made in (_PACKAGE, _CHECKPOINTS):
                shutil.rmtree(os.path.join(folder, made), ignore_errors=True)
            _write_json(marker, {"digest": digest})
        return cls(folder)

    @property
    def package(self) -> str:
        """The finished package; it appears only when it is whole."""
        return os.path.join(self.folder, _PACKAGE)

    @property
    def checkpoints(self) -> str:
        """Checkpoints of a fine-tune that is not finished."""
        return os.path.join(self.folder, _CHECKPOINTS)

    @property
    def metrics(self) -> str:
        """What the finished training measured."""
        return os.path.join(self.folder, _METRICS)


def _make_package(
    dataset: Dataset, settings: TrainSettings, work: _Work, history: History, progress: ProgressCallback | None
) -> None:
    started = time.monotonic()
    require_extra()
    training = _training_rows(dataset, settings)
    # Only now is it known that what they import is installed.
    from airflow_provider_autoglm.training.fit import fit
    from airflow_provider_autoglm.training.package import write_package

    with configured_threads(), without_progress_bars():
        fitted = fit(dataset, training, settings, checkpoints=work.checkpoints, history=history, progress=progress)
        seconds = time.monotonic() - started
        _write_json(work.metrics, {**fitted.metrics, "train/rows": float(len(training)), "train/seconds": seconds})
        write_package(
            fitted.model,
            work.package,
            settings,
            labels=dataset.labels,
            max_tokens=tokens_read(fitted.model, settings),
            reference=training.first(settings.reference_rows),
        )
    shutil.rmtree(work.checkpoints, ignore_errors=True)
    log.info("trained on %d rows in %.0f s", len(training), seconds)


def require_extra() -> None:
    """Import what training needs.

    :raises MissingExtraError: if a library is not installed.
    """
    for module in _MODULES:
        try:
            importlib.import_module(module)
        except ImportError:
            raise MissingExtraError(module, _EXTRA) from None


def _training_rows(dataset: Dataset, settings: TrainSettings) -> Examples:
    training = dataset.read(TRAIN, settings.max_texts)
    classes = {dataset.labels[number] for number in set(training.classes.tolist())}
    if len(classes) < _FEWEST_CLASSES:
        found = f"rows of {', '.join(sorted(classes))} alone" if classes else "no labelled rows"
        drawn = f" among the {settings.max_texts} that train.max_texts draws" if settings.max_texts else ""
        raise TooFewRowsError(
            dataset.uri,
            f"the training split has {found}{drawn}; a classifier needs two classes: publish more documents",
        )
    return training


def _register(work: _Work, dataset: Dataset, tracking: TrainingRun, history: History) -> RegisteredVersion:
    history.finish()
    registered = tracking.registry.find_run(tracking.run_id)
    if registered is not None:  # by another attempt: its files must stay as they are
        return registered
    with explained(tracking.client):
        known = tracking.client.get_run(tracking.run_id).data.metrics
        tracking.client.log_batch(tracking.run_id, metrics=metrics(_read_json(work.metrics) or {}, known))
        tracking.client.log_artifacts(tracking.run_id, work.package, ARTIFACT_PATH)
    tags = {
        "autoglm.dataset_version": dataset.version,
        "autoglm.dataset_digest": dataset.digest,
        **_review_tags(dataset),
        **tracking.tags,
    }
    return tracking.registry.register(tracking.run_id, ARTIFACT_PATH, model_digest(work.package), tags)


def _review_tags(dataset: Dataset) -> dict[str, str]:
    """Whether people have checked what the model learned from, and the estimate of the newest check."""
    record = DatasetRecord.of(dataset.corpus.manifest)
    tags = {"autoglm.dataset_reviewed": "true" if record.reviewed else "false"}
    newest = record.reviews[-1].review if record.reviews else None
    if newest is not None and newest.accuracy is not None:
        tags["autoglm.dataset_accuracy"] = accuracy_in_words(newest)
    return tags


def _metrics_of(tracking: TrainingRun) -> dict[str, float]:
    with explained(tracking.client):
        found = tracking.client.get_run(tracking.run_id).data.metrics
    return {name: value for name, value in found.items() if name.startswith(_LOGGED)}


def _read_json(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (FileNotFoundError, ValueError):  # a kill may have left half of it
        return None


def _write_json(path: str, value: Mapping[str, Any]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)

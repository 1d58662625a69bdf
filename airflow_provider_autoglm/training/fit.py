"""Fitting a classifier to the training split by the method of the settings, and scoring it on the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_autoglm.corpus.result import ProgressCallback
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.training.data import VALIDATION, Dataset, Examples
from airflow_provider_autoglm.training.finetune import finetune
from airflow_provider_autoglm.training.head import fit_head
from airflow_provider_autoglm.training.history import History
from airflow_provider_autoglm.training.network import load_classifier, predict_logits, tokenised, tokens_read
from airflow_provider_autoglm.training.scores import Confusion


@dataclass(frozen=True)
class Fitted:
    """A trained classifier and its last metrics."""

    model: models.LoadedModel
    metrics: Mapping[str, float]


def fit(
    dataset: Dataset,
    training: Examples,
    settings: TrainSettings,
    *,
    checkpoints: str,
    history: History,
    progress: ProgressCallback | None = None,
) -> Fitted:
    """Fit the base model to ``training``; see :func:`airflow_provider_autoglm.training.train` for what is raised.

    :param checkpoints: folder of the checkpoints of a fine-tune.
    :param history: takes the metrics as they come.
    """
    validation = dataset.read(VALIDATION)
    metrics: dict[str, float] = {}

    def load() -> models.LoadedModel:
        return load_classifier(settings, dataset.labels)

    def log_metrics(values: Mapping[str, float], step: int) -> None:
        metrics.update(values)
        history.log(values, step)

    if settings.method == "finetune":
        model = finetune(
            load,
            training,
            validation,
            settings,
            checkpoints=checkpoints,
            log_metrics=log_metrics,
            progress=progress,
        )
        return Fitted(model, metrics)
    model = load()
    fit_head(model, training, settings, progress)
    if len(validation):
        log_metrics(_scores(model, validation, settings), 0)
    return Fitted(model, metrics)


def _scores(model: models.LoadedModel, validation: Examples, settings: TrainSettings) -> dict[str, float]:
    logits = predict_logits(model, tokenised(model, validation.texts, tokens_read(model, settings)))
    confusion = Confusion.of(validation.classes, logits.argmax(axis=1), logits.shape[1])
    return {"validation/accuracy": confusion.accuracy, "validation/macro_f1": confusion.macro_f1}

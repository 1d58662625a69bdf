"""Fitting the head alone: a logistic regression on the inputs of the network's last layer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.result import Progress, ProgressCallback
from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.training.data import Examples
from airflow_provider_autoglm.training.network import SETTING, predict_logits, tokenised, tokens_read

_INVERSE_REGULARISATION = 10.0
_LOGIT_OF_AN_UNSEEN_CLASS = -20.0


def fit_head(
    model: models.LoadedModel, training: Examples, settings: TrainSettings, progress: ProgressCallback | None = None
) -> None:
    """Write a logistic regression into the last linear layer of ``model``; all other weights stay.

    A class without texts gets a logit that never wins.

    :raises UnusableModelError: if the logits do not come straight from a linear layer, one row a text.
    """
    started = time.monotonic()

    def report(done: int) -> None:
        if progress is not None:
            progress(Progress("train", done, len(training), time.monotonic() - started))

    layer = _last_linear(model, settings)
    tokens = tokenised(model, training.texts, tokens_read(model, settings))
    features = _inputs_of(layer, model, tokens, settings, report)
    weight, bias = _regression(features, training.classes, model.encoder.config.num_labels, settings)
    _write(layer, weight, bias)


def _last_linear(model: models.LoadedModel, settings: TrainSettings) -> Any:
    import torch

    classes = model.encoder.config.num_labels
    layers = [
        layer
        for layer in model.encoder.modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == classes and layer.bias is not None
    ]
    if not layers:
        raise UnusableModelError(
            settings.base_model,
            f"it has no linear layer with {classes} outputs; set train.method to 'finetune'",
            SETTING,
        )
    return layers[-1]


def _inputs_of(
    layer: Any,
    model: models.LoadedModel,
    tokens: Sequence[list[int]],
    settings: TrainSettings,
    report: Callable[[int], None],
) -> Vectors:
    """What goes into ``layer`` for each text, in their order."""
    import torch

    seen: list[Vectors] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numpy()))
    try:
        logits = predict_logits(model, tokens, report)
    finally:
        handle.remove()
    # The batches went through sorted by length.
    order = np.argsort(np.array([len(ids) for ids in tokens]), kind="stable")
    features = np.empty((len(tokens), layer.in_features), np.float32)
    if seen and sum(part.size for part in seen) == features.size:
        features[order] = np.concatenate(seen).reshape(features.shape)
        with torch.inference_mode():
            again = layer(torch.from_numpy(features)).numpy()
        if np.allclose(again, logits, atol=1e-4, equal_nan=True):
            return features
    raise UnusableModelError(
        settings.base_model,
        "its logits do not come from its last linear layer; set train.method to 'finetune'",
        SETTING,
    )


def _regression(
    features: Vectors, classes: NDArray[np.int64], count: int, settings: TrainSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.linear_model import LogisticRegression

    if not np.isfinite(features).all():
        raise UnusableModelError(settings.base_model, "its vectors are not finite numbers", SETTING)
    fitted = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=2_000, random_state=settings.seed)
    fitted.fit(features, classes)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # of two classes one row is kept, the log-odds of the second
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    # Centred rows sum to 0 for each text, so the best logit of the classes that were seen is never negative.
    all_weights = np.zeros((count, features.shape[1]))
    all_biases = np.full(count, _LOGIT_OF_AN_UNSEEN_CLASS)
    all_weights[fitted.classes_] = weight - weight.mean(axis=0)
    all_biases[fitted.classes_] = bias - bias.mean()
    return all_weights, all_biases


def _write(layer: Any, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
    import torch

    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))

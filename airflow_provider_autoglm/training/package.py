"""The package of a trained classifier: an MLflow model without pickle that needs nothing of ours."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MODEL_CODE_PATH
from mlflow.pyfunc import FLAVOR_NAME, save_model
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.training.data import Examples
from airflow_provider_autoglm.training.export import export_onnx
from airflow_provider_autoglm.training.packaged import FORMAT_VERSION, METADATA_KEY, PackagedModel
from airflow_provider_autoglm.training.reference import write_reference

_CODE = Path(__file__).with_name("packaged_model.py")
_NEEDED = ("mlflow-skinny", "numpy", "onnxruntime", "pandas", "tokenizers")


def write_package(
    model: models.LoadedModel,
    folder: str,
    settings: TrainSettings,
    *,
    labels: tuple[str, ...],
    max_tokens: int,
    reference: Examples,
) -> None:
    """Write ``model`` as a package to ``folder``, which appears only when it is whole.

    :raises UnusableModelError: if its ONNX does not compute what it computes.
    """
    unfinished, files = f"{folder}.part", f"{folder}.files"
    for leftover in (unfinished, files):
        shutil.rmtree(leftover, ignore_errors=True)
    _write_files(model, files, settings, max_tokens)
    _save(model, unfinished, files, settings, labels, max_tokens)
    write_reference(PackagedModel.open(unfinished), reference, labels, os.path.join(unfinished, "artifacts"))
    shutil.rmtree(files)
    os.rename(unfinished, folder)


def _write_files(model: models.LoadedModel, folder: str, settings: TrainSettings, max_tokens: int) -> None:
    """What transformers loads, and the ONNX file."""
    model.encoder.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    export_onnx(model, os.path.join(folder, "model.onnx"), settings, max_tokens=max_tokens)


def _save(
    model: models.LoadedModel,
    folder: str,
    files: str,
    settings: TrainSettings,
    labels: tuple[str, ...],
    max_tokens: int,
) -> None:
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that there is no input example
        save_model(
            path=folder,
            python_model=str(_CODE),
            artifacts={name: os.path.join(files, name) for name in sorted(os.listdir(files))},
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _NEEDED],
            signature=_signature(len(labels), int(model.encoder.config.hidden_size)),
            model_config={
                "labels": list(labels),
                "max_tokens": max_tokens,
                "pad_token_id": int(model.tokenizer.pad_token_id),
            },
            metadata={
                METADATA_KEY: {
                    "format_version": FORMAT_VERSION,
                    "labels": list(labels),
                    "max_tokens": max_tokens,
                    "base_model": settings.base_model,
                }
            },
        )
    _forget_paths(folder)


def _forget_paths(folder: str) -> None:
    """MLflow writes down where the files came from on this machine; it never reads that again."""
    description = Model.load(folder)
    flavor = description.flavors[FLAVOR_NAME]
    flavor[MODEL_CODE_PATH] = _CODE.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    description.save(os.path.join(folder, "MLmodel"))


def _signature(classes: int, dimensions: int) -> ModelSignature:
    # The column has no name, so that a list of texts is taken as well as a table.
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema(
            [
                TensorSpec(np.dtype(np.float32), (-1, classes), "logits"),
                TensorSpec(np.dtype(np.float32), (-1, dimensions), "embedding"),
                TensorSpec(np.dtype(np.str_), (-1,), "label"),
                TensorSpec(np.dtype(np.float32), (-1,), "score"),
            ]
        ),
    )

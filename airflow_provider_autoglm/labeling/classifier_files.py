"""The classifier in a folder, whoever wrote it: transformers, MLflow's flavour of it, or this package's training."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape, glob
from typing import Any

from airflow_provider_autoglm.exceptions import NoSuchModelError, UnusableModelError
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from airflow_provider_autoglm.labeling.onnx_classifier import ONNX_FILE, OnnxClassifier
from airflow_provider_autoglm.settings.label import LabelSettings

REGISTRY = "models:/"

_MLMODEL = "MLmodel"
_PACKAGE = "autoglm"
_FLAVOR = "transformers"
_TOKENIZER = os.path.join("components", "tokenizer")


def load_classifier(
    model: str, settings: LabelSettings, fetch_model: Callable[[str], str] | None
) -> TextNetwork | OnnxClassifier:
    """Load ``model``: a name on the hub, a folder, or ``models:/…`` of the registry, which ``fetch_model`` gets.

    :raises ModelNotFoundError: if it cannot be loaded.
    :raises UnusableModelError: if it is no classifier of texts.
    """
    if model.startswith(REGISTRY):
        if fetch_model is None:
            raise NoSuchModelError(model, "no model registry is at hand; set the connection of tracking")
        folder = fetch_model(model)
    else:
        folder = os.path.expanduser(model.removeprefix("file://"))
    if not os.path.exists(os.path.join(folder, _MLMODEL)):
        return TextNetwork.load(folder if os.path.isdir(folder) else model, settings, head="classifier")
    return _logged(model, folder, settings)


def _logged(model: str, folder: str, settings: LabelSettings) -> TextNetwork | OnnxClassifier:
    from mlflow.models import Model

    about = Model.load(folder)
    package: dict[str, Any] | None = (about.metadata or {}).get(_PACKAGE)
    if package is not None:
        return _packaged(model, os.path.join(folder, "artifacts"), settings, package, about.flavors)
    if _FLAVOR not in about.flavors:
        found = ", ".join(about.flavors) or "none"
        raise UnusableModelError(model, f"of MLflow's flavours it has {found}, not {_FLAVOR}")
    network = os.path.join(folder, about.flavors[_FLAVOR].get("model_binary") or "model")
    with _joined(network, os.path.join(folder, _TOKENIZER)) as joined:
        return TextNetwork.load(joined, settings, head="classifier")


def _packaged(
    model: str, folder: str, settings: LabelSettings, package: dict[str, Any], flavors: dict[str, Any]
) -> TextNetwork | OnnxClassifier:
    if glob(os.path.join(escape(folder), "*.safetensors")):
        return TextNetwork.load(folder, settings, head="classifier")
    if not os.path.exists(os.path.join(folder, ONNX_FILE)):
        raise UnusableModelError(model, f"it holds neither safetensors nor {ONNX_FILE}")
    return OnnxClassifier.open(
        folder,
        settings,
        classes=package["labels"],
        max_tokens=int(package["max_tokens"]),
        padding=int(flavors["python_function"]["config"]["pad_token_id"]),
    )


@contextmanager
def _joined(*folders: str) -> Iterator[str]:
    """One folder with the files of all; MLflow keeps a tokenizer beside its network, transformers with it."""
    with tempfile.TemporaryDirectory(prefix="autoglm-classifier-") as joined:
        for folder in folders:
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                os.symlink(os.path.join(os.path.abspath(folder), name), os.path.join(joined, name))
        yield joined

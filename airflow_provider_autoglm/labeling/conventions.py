"""How a sentence encoder wants to be used: what stands before a text, and which of its states are the vector."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.network.pooling import POOLINGS, Pooling

_OLD_NAMES: dict[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
_MODULES = "modules.json"
_PROMPTS = "config_sentence_transformers.json"
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
_HUB_TIMEOUT_S = 10.0

_PREFIXES = (
    # E5 asks for "query: " wherever both sides are alike, and for vectors as features (its model card).
    (re.compile(r"(multilingual-)?e5-(small|base|large)(-v2)?(-unsupervised)?"), "query: "),
    (re.compile(r"nomic-embed-text-.*"), "classification: "),
)
_POOLED_BY_CLS = re.compile(
    r"bge-.*|gte-.*(-v1\.5|modernbert).*|gte-modernbert.*|snowflake-arctic-embed.*|mxbai-embed.*"
)


@dataclass(frozen=True)
class Conventions:
    """``prefix`` stands before every text and phrase; ``pooling`` makes one vector of the states of all tokens."""

    prefix: str = ""
    pooling: Pooling = "mean"


def conventions_of(model: str) -> Conventions:
    """What the files of ``model`` for sentence-transformers say; where they are silent, what is known of its name.

    The prefix is the model's prompt for classification, else its default prompt. Prompts for search are not taken:
    a text and the description of its label are alike, not question and answer.

    :raises UnusableModelError: if its vectors are made in another way than can be done here.
    """
    location = models.locate(model)
    names = re.split(r"/|--", model.rstrip("/"))
    modules = _json(location, _MODULES)
    if modules is None:
        return Conventions(_known_prefix(names), "cls" if _any_matches(_POOLED_BY_CLS, names) else "mean")
    prefix = _prompt(_json(location, _PROMPTS) or {})
    return Conventions(_known_prefix(names) if prefix is None else prefix, _pooling(model, location, modules))


def _prompt(config: dict[str, Any]) -> str | None:
    prompts: dict[str, str] = config.get("prompts") or {}
    by_task = {task.lower(): prompt for task, prompt in prompts.items()}
    return by_task.get("classification", prompts.get(config.get("default_prompt_name") or ""))


def _known_prefix(names: list[str]) -> str:
    return next((prefix for pattern, prefix in _PREFIXES if _any_matches(pattern, names)), "")


def _any_matches(pattern: re.Pattern[str], names: list[str]) -> bool:
    return any(pattern.fullmatch(name.lower()) for name in names)


def _pooling(model: str, location: str, modules: list[dict[str, Any]]) -> Pooling:
    kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module.get("path") or "") for module in modules}
    if unknown := [kind for kind in kinds if kind not in _KNOWN_MODULES]:
        raise UnusableModelError(model, f"its vectors also pass a layer {unknown[0]!r}, which is not supported")
    config = _json(location, f"{kinds['Pooling']}/config.json") if "Pooling" in kinds else None
    mode = _mode(config or {})
    for pooling in POOLINGS:
        if mode == pooling:
            return pooling
    raise UnusableModelError(model, f"it makes vectors by pooling {mode!r}, not one of {', '.join(POOLINGS)}")


def _mode(config: dict[str, Any]) -> str:
    mode = config.get("pooling_mode") or [new for old, new in _OLD_NAMES.items() if config.get(old)] or "mean"
    return mode if isinstance(mode, str) else "+".join(mode)


def _json(location: str, name: str) -> Any:
    """A file of the model, or None if it has none; of a hub's model only what is cached or can be got at once."""
    path = os.path.join(location, name) if os.path.isdir(location) else _from_hub(location, name)
    if path is None or not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _from_hub(model: str, name: str) -> str | None:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(model, name)
    if cached is not None:
        return cached if isinstance(cached, str) else None  # else it is known that there is none
    try:
        return str(hf_hub_download(model, name, etag_timeout=_HUB_TIMEOUT_S))
    except OSError:
        return None

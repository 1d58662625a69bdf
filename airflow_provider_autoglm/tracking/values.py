"""Our values in the shapes that MLflow accepts: parameter, metric and dataset, cut and cleaned, without credentials."""

from __future__ import annotations

import json
import posixpath
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from airflow_provider_autoglm.settings.base import redact_userinfo

_LONGEST_KEY = 250
_LONGEST_PARAMETER = 6000
_NOT_IN_A_KEY = re.compile(r"[^/\w.\- :]")


def without_credentials(value: Any) -> Any:
    """``value`` as JSON types, ``user:password@`` of every URI in it replaced."""
    return json.loads(redact_userinfo(json.dumps(value, default=str, sort_keys=True)))


def parameters(settings: Mapping[str, Any]) -> list[Param]:
    """One parameter a leaf of ``settings``, keys joined by dots, values cut to MLflow's 6,000 characters."""
    leaves = _leaves(without_credentials(settings), "")
    return [Param(valid_key(key), value[:_LONGEST_PARAMETER]) for key, value in leaves]


def metrics(values: Mapping[str, float], known: Mapping[str, float]) -> list[Metric]:
    """The metrics of ``values`` that ``known`` does not hold yet, taken now."""
    now_ms = int(time.time() * 1000)
    named = {valid_key(name): float(value) for name, value in values.items()}
    return [Metric(key, value, now_ms, 0) for key, value in named.items() if known.get(key) != value]


def dataset_input(name: str, uri: str, digest: str, *, context: str) -> DatasetInput:
    """A corpus as MLflow lineage; ``context`` says what the run did with it."""
    scheme = urlsplit(uri).scheme
    source_type = "local" if scheme in ("", "file") else scheme
    source = json.dumps({"uri": redact_userinfo(uri)})
    dataset = Dataset(name=name, digest=digest, source_type=source_type, source=source)
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


def valid_key(key: str) -> str:
    """``key`` with every character that MLflow refuses replaced, at most 250 long.

    MLflow treats keys as paths and refuses those that would resolve to another one.
    """
    cleaned = _NOT_IN_A_KEY.sub("_", key)[:_LONGEST_KEY]
    normal = posixpath.normpath(cleaned).lstrip("/.")
    return normal or "_"


def quoted(value: str) -> str:
    """``value`` as a literal of MLflow's search language, which knows no escapes but two kinds of quotes."""
    return f'"{value}"' if "'" in value else f"'{value}'"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)

"""What a report reads of a manifest besides its counters."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from airflow_provider_autoglm.corpus.manifest import Manifest
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import AutoGLMError
from airflow_provider_autoglm.settings.base import Settings

log = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", bound=Settings)


def settings_of(manifest: Manifest, model: type[SettingsT]) -> SettingsT:
    """The settings that a corpus was made with; keys that are unknown by now are left out."""
    return model.model_validate({key: value for key, value in manifest.settings.items() if key in model.model_fields})


def counts_below(metrics: Mapping[str, float], prefix: str) -> dict[str, int]:
    """The metrics named ``<prefix>/<name>`` that are not zero by that name, the largest first."""
    found = {name.removeprefix(f"{prefix}/"): int(n) for name, n in metrics.items() if name.startswith(f"{prefix}/")}
    return {name: found[name] for name in sorted(found, key=lambda name: (-found[name], name)) if found[name]}


def sources_of(corpus: Corpus) -> tuple[Corpus, ...]:
    """The corpora that a stage took its rows from; none if one of them is gone, or not the one that was read."""
    manifest = corpus.manifest
    inputs = manifest.origins if manifest.parts else manifest.inputs
    try:
        sources = tuple(Corpus.open(item.uri, storage=corpus.storage, verify=False) for item in inputs)
    except AutoGLMError as error:
        log.info("%s: what it was made from cannot be read any more (%s)", corpus.uri, error)
        return ()
    is_same = all(source.digest == item.digest for source, item in zip(sources, inputs, strict=True))
    return sources if is_same and sum(source.rows for source in sources) == manifest.counters.rows_in else ()

"""What a labeler may need beside its settings: handed in, so that the library knows no Airflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint


@dataclass(frozen=True)
class Resources:
    """Storage, and where known labels, models and answers come from.

    :param storage: file system of all corpora.
    :param known: URI of a dataset version whose spot-checked texts calibrate the scores, unless the settings'
        ``calibration`` names others; empty for none.
    :param endpoint: of a language model, for the kind ``llm``.
    :param answers: folder URI where its answers are kept for later runs; None keeps them in ``work``.
    :param work: folder URI where the tasks of a stage share what they have found out; the stage names its own.
    :param pin_model: gives the version that an alias stands for now, ``models:/name/3`` for ``models:/name@champion``.
    :param fetch_model: gives the local folder of a model in the registry.
    """

    storage: Storage = field(default_factory=Storage.local)
    known: str = ""
    endpoint: Endpoint | None = None
    answers: str | None = None
    work: str = ""
    pin_model: Callable[[str], str] | None = None
    fetch_model: Callable[[str], str] | None = None

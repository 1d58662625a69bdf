"""Reasons that a dataset version is given after it was published: a later run found nothing to add to it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.corpus.storage import Storage


def add_reasons(folder: str, version: int, reasons: Sequence[str], *, added_by: str, storage: Storage) -> None:
    """Let ``version`` stand for ``reasons`` too, once a run ``added_by``; files below ``folder`` say so."""
    record = json.dumps({"reasons": list(reasons), "added_by": added_by}).encode()
    storage.replace(f"{folder}/v{version}/{digest_of(added_by)}.json", record)


def added_reasons(folder: str, version: int, storage: Storage) -> tuple[str, ...]:
    """The reasons that were added to ``version``, without repetition."""
    # A writer that was killed leaves a file of another name beside them.
    whole = (uri for uri in storage.list(f"{folder}/v{version}") if uri.endswith(".json"))
    records = (json.loads(storage.read(uri)) for uri in whole)
    return tuple(dict.fromkeys(reason for record in records for reason in record["reasons"]))

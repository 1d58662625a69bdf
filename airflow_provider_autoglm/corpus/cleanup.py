"""Deleting shards that attempts left behind: killed ones, and those that lost the commit."""

from __future__ import annotations

import time
from collections.abc import Iterator

from airflow_provider_autoglm.corpus.manifest import find_manifest
from airflow_provider_autoglm.corpus.storage import Storage, as_uri

ATTEMPT_EXPIRES_AFTER_S = 7 * 24 * 3600.0
_SHARD = ".parquet"


def delete_expired_shards(
    folder: str, storage: Storage, *, expires_after_s: float = ATTEMPT_EXPIRES_AFTER_S
) -> Iterator[str]:
    """Delete shards below ``folder`` that no manifest names and that nobody has written to for a week; yields them.

    A corpus without a manifest may still be resumed from its finished shards until then.
    """
    named: set[str] = set()
    shards: list[str] = []
    _walk(as_uri(folder), storage, named, shards)
    oldest = time.time() - expires_after_s
    for uri in shards:
        if uri not in named and storage.modified_at(uri) < oldest:
            storage.delete(uri)
            yield uri


def _walk(folder: str, storage: Storage, named: set[str], shards: list[str]) -> None:
    manifest, _ = find_manifest(folder, storage)
    if manifest is not None:
        own = (*manifest.shards, *manifest.rejected, *manifest.removed)
        named.update(f"{folder}/{shard.name}" for shard in own)
    for uri in storage.list(folder):
        if uri.endswith(_SHARD):
            shards.append(uri)
        elif storage.is_folder(uri):
            _walk(uri, storage, named, shards)

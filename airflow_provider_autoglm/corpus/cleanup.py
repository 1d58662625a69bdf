"""Deleting what attempts left behind: shards of killed ones and of those that lost the commit, frontiers of crawls."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from airflow_provider_autoglm.corpus.manifest import Manifest, manifest_uri, newest_generation, parse_manifest
from airflow_provider_autoglm.corpus.object_store import UNFINISHED_PREFIX
from airflow_provider_autoglm.corpus.storage import Storage, as_uri

ATTEMPT_EXPIRES_AFTER_S = 7 * 24 * 3600.0
# Only what an attempt has named itself: a Parquet file that somebody put here is theirs.
_SHARD = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}(-web)?-\d{5}\.parquet$|/_frontier/[0-9a-f]{32}-\d+\.sqlite[^/]*$")
_UNFINISHED = f"/{UNFINISHED_PREFIX}"


def delete_expired_shards(
    folder: str, storage: Storage, *, expires_after_s: float = ATTEMPT_EXPIRES_AFTER_S
) -> Iterator[str]:
    """Delete shards below ``folder`` that no manifest names and that nobody has written to for a week; yields them.

    The half-written small files of killed processes go with them.

    A corpus without a manifest may still be resumed from its finished shards until then, and readers of a corpus that
    was recomputed may still be at work until its new manifest is a week old.

    :raises DamagedManifestError: if a manifest cannot be read; what it names is not known, so nothing is deleted.
    """
    named: set[str] = set()
    shards: list[str] = []
    oldest = time.time() - expires_after_s
    _walk(as_uri(folder), storage, oldest, named, shards)
    for uri in shards:
        if uri not in named and storage.modified_at(uri) < oldest:
            storage.delete(uri)
            yield uri


def _walk(folder: str, storage: Storage, oldest: float, named: set[str], shards: list[str]) -> None:
    for manifest in _manifests_in_use(folder, storage, oldest):
        own = (*manifest.shards, *manifest.rejected, *manifest.removed)
        named.update(f"{folder}/{shard.name}" for shard in own)
    for entry in storage.entries(folder):
        if _SHARD.search(entry.uri) or _UNFINISHED in entry.uri:
            shards.append(entry.uri)
        elif entry.is_folder:
            _walk(entry.uri, storage, oldest, named, shards)


def _manifests_in_use(folder: str, storage: Storage, oldest: float) -> Iterator[Manifest]:
    """The newest manifest, and each one before it whose successor is not yet that old."""
    for generation in range(newest_generation(folder, storage), 0, -1):
        uri = manifest_uri(folder, generation)
        yield parse_manifest(folder, generation, storage.read(uri))
        if storage.modified_at(uri) < oldest:
            return

"""Dataset versions: ``v1``, ``v2`` … below one folder, each taken by creating its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.corpus.manifest import Manifest, find_manifest
from airflow_provider_autoglm.corpus.storage import Storage, as_uri

_VERSION = re.compile(r"v([1-9]\d*)")


@dataclass(frozen=True)
class Version:
    """A committed dataset version."""

    number: int
    uri: str
    manifest: Manifest

    @property
    def record(self) -> dict[str, Any]:
        """What the manifest says of the dataset."""
        assert self.manifest.dataset is not None
        return self.manifest.dataset


def version_uri(datasets: str, number: int) -> str:
    """Where a version lies."""
    return f"{as_uri(datasets)}/v{number}"


def committed_versions(datasets: str, storage: Storage) -> Iterator[Version]:
    """Committed versions, newest first; folders that an attempt left without manifest are passed over."""
    names = (uri.rsplit("/", 1)[-1] for uri in storage.list(datasets))
    numbers = sorted((int(match[1]) for name in names if (match := _VERSION.fullmatch(name))), reverse=True)
    for number in numbers:
        uri = version_uri(datasets, number)
        manifest, _ = find_manifest(uri, storage)
        if manifest is not None:
            yield Version(number, uri, manifest)


def version_before(datasets: str, run_folder: str, storage: Storage) -> Version | None:
    """The newest committed version before those that are made of corpora in ``run_folder``, or None if it is the first.

    What a run reads of the dataset stays the same when it is run again after it has published, or after later runs.
    """
    own = f"{as_uri(run_folder)}/"
    before: Version | None = None
    for version in committed_versions(datasets, storage):
        if any(f"{item.uri}/".startswith(own) for item in version.manifest.inputs):
            before = None
        elif before is None:
            before = version
    return before


def newest_version(datasets: str, storage: Storage) -> Version | None:
    """The newest committed version, or None before the first."""
    return next(committed_versions(datasets, storage), None)

"""What each run leaves for later ones: folders ``<folder>/<as of>-<key>``, one a run, in the order of the runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_autoglm.corpus.manifest import digest_of, find_manifest
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import SettingsError

_PART = re.compile(r"(?P<as_of>\d{8}T\d{12}Z)-(?P<key>[0-9a-f]+)")
_TIME = "%Y%m%dT%H%M%S%fZ"
_HEX_DIGITS_OF_KEY = 16


@dataclass(frozen=True, order=True)
class RunPart:
    """Where one run keeps its part: ``as_of`` orders the runs, ``key`` is of the run's own corpus."""

    as_of: datetime
    key: str
    uri: str


@dataclass(frozen=True)
class RunParts:
    """The parts as one run may see them: those of earlier runs, oldest first, and where its own goes."""

    earlier: tuple[RunPart, ...]
    own: RunPart

    @classmethod
    def seen_by(cls, folder: str, destination: str, *, as_of: datetime | None, storage: Storage) -> RunParts:
        """The parts below ``folder`` as of a time, for the run that writes to ``destination``.

        Parts of the same time or later are not seen. Without ``as_of`` it is that of the part that this destination
        has, else now. A run that was done again for another time has two parts: the one that was written last counts.

        :raises SettingsError: if ``as_of`` has no time zone.
        """
        if as_of is not None and as_of.tzinfo is None:
            raise SettingsError([f"as_of = {as_of}: it needs a time zone"])
        key = key_of(destination)
        parts = list(list_parts(folder, storage))
        own = next((part.as_of for part in parts if part.key == key), datetime.now(UTC))
        moment = (as_of or own).astimezone(UTC)
        seen = [part for part in parts if part.key != key and part.as_of < moment]
        manifests = [(find_manifest(part.uri, storage)[0], part) for part in seen]
        written = sorted((manifest.created_at, part) for manifest, part in manifests if manifest is not None)
        newest = {part.key: part for _, part in written}
        uri = f"{as_uri(folder)}/{moment.strftime(_TIME)}-{key}"
        return cls(tuple(sorted(newest.values())), RunPart(moment, key, uri))


def key_of(destination: str) -> str:
    """What the parts of the run that writes to ``destination`` are known by."""
    return digest_of(as_uri(destination))[:_HEX_DIGITS_OF_KEY]


def list_parts(folder: str, storage: Storage) -> Iterator[RunPart]:
    """All parts, committed or not, in no order."""
    for uri in storage.list(folder):
        match = _PART.fullmatch(uri.rpartition("/")[2])
        if match is None:
            continue
        with suppress(ValueError):  # a date that is none is not of ours
            yield RunPart(datetime.strptime(match["as_of"], _TIME).replace(tzinfo=UTC), match["key"], uri)

"""Sources into parts for mapped crawls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_autoglm.corpus.crawl.records.files import FileSource, SourceFile, parse_sources
from airflow_provider_autoglm.corpus.parts import MAX_PARTS, PART_FOLDER
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.settings import Source


@dataclass(frozen=True)
class _Unit:
    """Sources that one part crawls: all of a host, since its delay holds for one crawl, or one file."""

    number: int
    sources: tuple[Source, ...]
    weight: int


def split_sources(
    sources: Sequence[Source | str | Mapping[str, Any]],
    destination: str,
    *,
    storage_of: Callable[[Source], Storage],
    max_parts: int = MAX_PARTS,
) -> list[dict[str, Any]]:
    """``sources`` and ``destination`` of each part; nothing is written.

    The web sources of a host stay together. Files are spread by size, whatever source they are of; each becomes a
    source of its own with the name of the one it came from, so that its documents are the same ones. The list depends
    on the files alone, so a retry maps the same.

    :raises SettingsError: if there are no sources, or one is not allowed.
    :raises SourceNotFoundError: if a source has no files.
    """
    units = _units(parse_sources(sources), storage_of)
    parts: list[list[_Unit]] = [[] for _ in range(min(max_parts, len(units)))]
    # The heaviest first, each to the part with the least (Graham 1969).
    for unit in sorted(units, key=lambda unit: (-unit.weight, unit.number)):
        min(parts, key=lambda part: sum(other.weight + 1 for other in part)).append(unit)
    folder = as_uri(destination)
    return [
        {
            "sources": [source.model_dump(mode="json", exclude_defaults=True) for source in _sources_of(part)],
            "destination": f"{folder}{PART_FOLDER}{number:03d}",
        }
        for number, part in enumerate(sorted(parts, key=lambda part: min(unit.number for unit in part)))
    ]


def _sources_of(part: Sequence[_Unit]) -> list[Source]:
    return [source for unit in sorted(part, key=lambda unit: unit.number) for source in unit.sources]


def _units(sources: Sequence[Source], storage_of: Callable[[Source], Storage]) -> list[_Unit]:
    hosts: dict[str, list[Source]] = defaultdict(list)
    groups: list[tuple[tuple[Source, ...], int]] = []
    for source in sources:
        if source.is_web:
            hosts[urlsplit(source.location).hostname or ""].append(source)
        else:
            groups.extend(_groups_of(FileSource.find(source, storage_of(source))))
    # A site takes longer than reading files does: it gets a part of its own where there are enough.
    weight = sum(size + 1 for _, size in groups)
    groups = [*((tuple(group), weight) for group in hosts.values()), *groups]
    return [_Unit(number, *group) for number, group in enumerate(groups)]


def _groups_of(found: FileSource) -> list[tuple[tuple[Source, ...], int]]:
    """Each file as a source and its size; a folder that mixes formats stays whole, since its columns depend on that."""
    sizes = [found.size_of(file) for file in found.files]
    if found.is_mixed:
        return [((found.source,), sum(sizes))]
    return [((_of_file(found.source, file),), size) for file, size in zip(found.files, sizes, strict=True)]


def _of_file(source: Source, file: SourceFile) -> Source:
    update = {"files": file.uri, "dataset": None, "split": "", "format": file.format, "name": source.key}
    return source.model_copy(update=update)

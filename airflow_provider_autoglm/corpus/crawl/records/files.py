"""Which files a source is made of, what each is, and how a manifest refers to them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, cast

from airflow_provider_autoglm.corpus.crawl.records.streams import COMPRESSIONS
from airflow_provider_autoglm.corpus.manifest import Input, digest_of
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import DamagedSourceError, SettingsError, SourceNotFoundError
from airflow_provider_autoglm.settings import Source
from airflow_provider_autoglm.settings.sources import Format

log = logging.getLogger(__name__)

_ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".xml": "xml",
    ".warc": "warc",
    ".wet": "wet",
}
_TYPED = ("parquet", "arrow")
"""Formats whose columns have types. They are packed inside, if at all."""
_SPLITS = "dataset_dict.json"
_STATE = "state.json"


@dataclass(frozen=True)
class SourceFile:
    """One file of a source; ``compression`` is the codec it is packed with, if any."""

    uri: str
    format: Format
    compression: str | None = None


@dataclass(frozen=True)
class FileSource:
    """A source of files: which they are, sorted by URI, and the storage they lie on."""

    source: Source
    files: tuple[SourceFile, ...]
    storage: Storage

    @classmethod
    def find(cls, source: Source, storage: Storage) -> FileSource:
        """Look for the files of ``source``.

        :raises SourceNotFoundError: if there are none.
        :raises SettingsError: if it is one file whose name does not tell what it is, and ``format`` is not set.
        :raises DamagedSourceError: if it is a dataset whose description cannot be read.
        """
        uri = as_uri(source.location)
        if source.dataset is not None:
            files = list(_files_of_dataset(uri, source.split, storage))
        elif storage.is_folder(uri):
            files = _known(source, list(_below(uri, ["*"], storage)))
        elif storage.exists(uri):
            files = [_as_file(uri, source)]
        else:
            files = _known(source, list(_matching(uri, storage)))
        if not files:
            raise SourceNotFoundError(uri)
        return cls(source, tuple(sorted(files, key=lambda file: file.uri)), storage)

    @property
    def is_mixed(self) -> bool:
        """Whether only some files have columns with types; then all become text, so that no column has two types."""
        return len({file.format in _TYPED for file in self.files}) > 1

    def size_of(self, file: SourceFile) -> int:
        """Bytes of a file."""
        return self.storage.size(file.uri) or 0

    def as_input(self) -> Input:
        """How a manifest refers to it: what is read how, and name, size and time of each file."""
        described = [(file.uri, self.size_of(file), self.storage.modified_at(file.uri)) for file in self.files]
        how = self.source.model_dump(mode="json", exclude={"conn_id"})
        return Input(uri=self.source.location, digest=digest_of(self.source.key, how, described))


def parse_sources(sources: Sequence[Source | str | Mapping[str, Any]], *, may_be_none: bool = False) -> list[Source]:
    """Sources as their models.

    :raises SettingsError: if one is not allowed, or there are none.
    """
    if not sources and not may_be_none:
        raise SettingsError(["sources: at least one web address, file or dataset is required"])
    return [Source.parse(cast("Source", source), path=f"sources.{n}") for n, source in enumerate(sources)]


def storage_of(storage: Storage, source: Source) -> Storage:
    """Where the files of ``source`` are, if nobody else says: local ones on this machine, others on ``storage``.

    :raises SettingsError: if a connection is named, which only an operator can open.
    """
    if source.conn_id:
        raise SettingsError([f"conn_id = {source.conn_id!r}: pass source_storage= to open it, or use CrawlOperator"])
    return Storage.local() if as_uri(source.location).startswith(Storage.local().root) else storage


def _known(source: Source, uris: Sequence[str]) -> list[SourceFile]:
    """The files among ``uris`` whose names tell what they are, or all where ``format`` says it."""
    files = [file for uri in uris if (file := _recognised(uri, source)) is not None]
    if len(files) < len(uris):
        log.info("%s: %d of %d names are of no known format", source.location, len(uris) - len(files), len(uris))
    return files


def _recognised(uri: str, source: Source) -> SourceFile | None:
    bare, compression = uri, None
    for ending, codec in COMPRESSIONS.items():
        if uri.lower().endswith(ending):
            bare, compression = uri[: -len(ending)], codec
    found = source.format or next((f for ending, f in _ENDINGS.items() if bare.lower().endswith(ending)), None)
    if found is None or (compression is not None and found in _TYPED):
        return None
    return SourceFile(uri, found, compression)


def _as_file(uri: str, source: Source) -> SourceFile:
    file = _recognised(uri, source)
    if file is None:
        raise SettingsError(
            [f"files = {uri!r}: the name does not tell what it is; known: {', '.join(_ENDINGS)}; or set format"]
        )
    return file


def _is_hidden(uri: str) -> bool:
    """Files that tools leave beside the data, such as ``_SUCCESS``, are none of it."""
    return uri.rsplit("/", 1)[-1].startswith((".", "_"))


def _matching(pattern: str, storage: Storage) -> Iterator[str]:
    """URIs that ``pattern`` describes: ``*``, ``?`` and ``[…]`` within one name, ``**`` for folders of any depth."""
    if not any(sign in pattern for sign in "*?["):
        return
    scheme, _, path = pattern.partition("://")
    names = path.split("/")
    fixed = next(number for number, name in enumerate(names) if any(sign in name for sign in "*?["))
    yield from _below(f"{scheme}://{'/'.join(names[:fixed])}", names[fixed:], storage)


def _below(folder: str, names: Sequence[str], storage: Storage) -> Iterator[str]:
    name, *others = names
    if name == "**":
        # In no folder more, or in any.
        yield from _below(folder, others or ["*"], storage)
    for found in storage.entries(folder):
        if not fnmatchcase(found.uri.rsplit("/", 1)[-1], "*" if name == "**" else name) or _is_hidden(found.uri):
            continue
        if found.is_folder and (name == "**" or others):
            yield from _below(found.uri, names if name == "**" else others, storage)
        elif not found.is_folder and not others and name != "**":
            yield found.uri


def _files_of_dataset(uri: str, split: str, storage: Storage) -> Iterator[SourceFile]:
    """The Arrow files that ``save_to_disk`` wrote, or the Parquet files of a dataset as the hub has it."""
    if storage.exists(f"{uri}/{_SPLITS}"):
        splits = _described(f"{uri}/{_SPLITS}", "splits", storage)
        if split and split not in splits:
            raise SettingsError([f"split = {split!r}: {uri} has {', '.join(splits)}"])
        for name in splits:
            if split in ("", name):
                yield from _files_of_dataset(f"{uri}/{name}", "", storage)
    elif storage.exists(f"{uri}/{_STATE}"):
        for described in _described(f"{uri}/{_STATE}", "_data_files", storage):
            yield SourceFile(f"{uri}/{described['filename']}", "arrow")
    else:
        for found in _below(uri, ["**", "*.parquet"], storage):
            if split in ("", _split_of(found.removeprefix(f"{uri}/"))):
                yield SourceFile(found, "parquet")


def _described(uri: str, key: str, storage: Storage) -> list[Any]:
    try:
        found = json.loads(storage.read(uri))[key]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedSourceError(uri, error) from error
    if not isinstance(found, list):
        raise DamagedSourceError(uri, f"{key} is no list")
    return found


def _split_of(path: str) -> str:
    """``train`` of ``data/train-00000-of-00001.parquet`` and of ``train/0.parquet``."""
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return stem.partition("-")[0] if "-of-" in stem or not folder else folder.rsplit("/", 1)[-1]

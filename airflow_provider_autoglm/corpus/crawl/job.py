"""What the task and the crawl's child process tell each other: JSON, one line a message, over the child's pipes."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from fsspec import AbstractFileSystem
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from airflow_provider_autoglm.corpus.manifest import Shard
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.settings import CrawlSettings, Source

Prefix = Literal["", "rejected/", "removed/"]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class CrawlJob(_Message):
    """What the child is to do. ``filesystem`` may hold secrets: it goes over the pipe and is shown nowhere."""

    filesystem: str = Field(repr=False)
    storage_root: str
    destination: str
    attempt: str
    sources: tuple[Source, ...]
    settings: CrawlSettings

    @property
    def storage(self) -> Storage:
        """The storage the task writes to, built again."""
        return Storage(AbstractFileSystem.from_json(self.filesystem), self.storage_root)


class ShardReport(_Message):
    """Shards of one kind are on storage; ``reasons`` counts their rows."""

    kind: Literal["shards"] = "shards"
    prefix: Prefix
    shards: tuple[Shard, ...]
    reasons: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """Rows of these shards."""
        return sum(shard.rows for shard in self.shards)


class StorageFailure(_Message):
    """Storage refused an operation in the child."""

    action: str
    uri: str
    cause: str


class FinalReport(_Message):
    """The child's last word; ``answered`` counts pages that a server answered, with whatever status."""

    kind: Literal["final"] = "final"
    answered: int
    is_stopped: bool = False
    failure: StorageFailure | None = None


Report = Annotated[ShardReport | FinalReport, Field(discriminator="kind")]
_REPORT: TypeAdapter[ShardReport | FinalReport] = TypeAdapter(Report)


def parse_report(line: bytes) -> ShardReport | FinalReport:
    """One line of the child's output."""
    return _REPORT.validate_json(line)


def filesystem_json(storage: Storage) -> str:
    """The file system of ``storage`` with its options."""
    return json.dumps(json.loads(storage.filesystem.to_json()))

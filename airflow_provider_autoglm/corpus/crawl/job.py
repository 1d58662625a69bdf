"""What the task and the crawl's child process tell each other: JSON, one line a message, over the child's pipes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from airflow_provider_autoglm.corpus.handover import storage_from_json
from airflow_provider_autoglm.corpus.manifest import Shard
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import (
    AutoGLMError,
    CrawlRunningError,
    OwnSpiderError,
    SettingsError,
    StorageError,
)
from airflow_provider_autoglm.settings import CrawlSettings, Source

Prefix = Literal["", "rejected/", "removed/"]
PREFIXES: tuple[Prefix, ...] = ("", "rejected/", "removed/")
Lane = Literal["", "rejected/", "removed/", "known/"]
"""Where a shard belongs: to the corpus, or to what is known of pages for later crawls."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class OwnSpider(_Message):
    """A spider of the user's own: the dotted path of its class, what its constructor takes, and Scrapy's settings."""

    path: str
    arguments: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class CrawlJob(_Message):
    """What the child is to do. ``filesystem`` may hold secrets: it goes over the pipe and is shown nowhere.

    ``work`` names the work (inputs, settings and generation), so that a retry finds what was begun. ``known`` are the
    parts that say what an earlier crawl saw, ``known_destination`` is the one this crawl leaves, if any.
    ``import_path`` is where the task finds modules, for a ``spider`` in the DAG's folder.
    """

    filesystem: str = Field(repr=False)
    storage_root: str
    destination: str
    attempt: str
    work: str
    sources: tuple[Source, ...]
    settings: CrawlSettings
    spider: OwnSpider | None = None
    import_path: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    known_destination: str | None = None

    @property
    def storage(self) -> Storage:
        """The storage the task writes to, built again."""
        return storage_from_json(self.filesystem, self.storage_root)


class ProgressReport(_Message):
    """How far the crawl is, over all tries: pages ``done`` and ``found``, bytes, seconds, rejected pages by reason."""

    kind: Literal["progress"] = "progress"
    done: int
    found: int
    bytes: int
    seconds: float
    rejected: dict[str, int] = {}


class Failure(_Message):
    """Why the child gave up: storage refused an ``action``, another task crawls into ``uri``, or a setting is wrong.

    Of a spider of the user's own ``uri`` is its name.
    """

    kind: Literal["storage", "running", "settings", "spider"]
    uri: str
    action: str = ""
    cause: str = ""

    def error(self) -> AutoGLMError:
        """The error that the child met."""
        if self.kind == "running":
            return CrawlRunningError(self.uri)
        if self.kind == "settings":
            return SettingsError([self.cause])
        if self.kind == "spider":
            return OwnSpiderError(self.uri, self.cause)
        return StorageError(self.action, self.uri, self.cause)


class FinalReport(_Message):
    """The child's last word.

    ``shards`` are all that the crawl wrote, whichever try did; ``counts`` are rows by reason, ``unchanged`` pages and
    ``answered`` ones, with whatever status; ``left`` are addresses that were found and not visited, ``unlinked`` known
    ones that were not found any more.
    """

    kind: Literal["final"] = "final"
    shards: dict[Lane, tuple[Shard, ...]] = {}
    counts: dict[str, float] = {}
    left: dict[str, int] = {}
    unlinked: int = 0
    is_stopped: bool = False
    failure: Failure | None = None


Report = Annotated[ProgressReport | FinalReport, Field(discriminator="kind")]
_REPORT: TypeAdapter[ProgressReport | FinalReport] = TypeAdapter(Report)


def parse_report(line: bytes) -> ProgressReport | FinalReport:
    """One line of the child's output."""
    return _REPORT.validate_json(line)

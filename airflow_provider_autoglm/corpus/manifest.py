"""The manifest: the one file that makes a folder of shards a corpus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, DamagedManifestError

FORMAT_VERSION = 1
_HEX_DIGITS_OF_DIGEST = 32


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Shard(_Record):
    """One Parquet file; ``name`` is relative to the corpus."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Part(_Record):
    """One corpus of a joined one; ``uri`` is relative where the part lies below the joined corpus."""

    uri: str
    rows: int
    digest: str


class Input(_Record):
    """What a stage read; for some shards of a corpus ``corpus_digest`` is the digest of the whole of it."""

    uri: str
    digest: str
    corpus_digest: str | None = None

    @property
    def origin(self) -> Input:
        """The whole corpus."""
        return Input(uri=self.uri.partition("#")[0], digest=self.corpus_digest or self.digest)


class Counters(_Record):
    """Rows of a stage; what comes in goes out, is quarantined, is removed, or is known and unchanged."""

    rows_in: int = 0
    rows_out: int = 0
    rejected: int = 0
    removed: int = 0
    unchanged: int = 0

    @model_validator(mode="after")
    def _nothing_lost(self) -> Self:
        if self.rows_in != self.rows_out + self.rejected + self.removed + self.unchanged:
            raise ValueError(f"rows are lost or doubled: {self.model_dump()}")
        return self

    def __add__(self, other: Counters) -> Counters:
        mine, theirs = self.model_dump(), other.model_dump()
        return Counters(**{name: mine[name] + theirs[name] for name in mine})


class ReviewRecord(_Record):
    """What people found when they checked the labels of a corpus.

    ``accuracy`` with its interval ``low`` to ``high`` at ``confidence`` is the estimated share of right labels among
    the ``population`` of automatically labelled rows; null if too few answered. ``outcome``: ``passed``, or
    ``unreviewed`` where nobody answered and the settings let that pass.
    """

    outcome: Literal["passed", "failed", "unreviewed"]
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float
    target: float
    population: int
    asked: int
    answered: int
    corrected: int
    rounds: int


class Manifest(_Record):
    """What a committed corpus is made of and how it came to be. Times are UTC, ISO 8601; sizes are bytes.

    ``origins`` are the whole corpora behind the inputs: lineage looks through the parts of a mapped stage.
    """

    format_version: int = Field(default=FORMAT_VERSION, le=FORMAT_VERSION)
    stage: str
    pipeline: str = ""
    created_at: str
    attempt: str
    inputs: tuple[Input, ...] = ()
    origins: tuple[Input, ...] = ()
    settings: dict[str, Any] = {}
    settings_digest: str
    shards: tuple[Shard, ...] = ()
    rejected: tuple[Shard, ...] = ()
    removed: tuple[Shard, ...] = ()
    parts: tuple[Part, ...] = ()
    rows: int
    digest: str
    counters: Counters
    metrics: dict[str, float] = {}
    mlflow_run_id: str | None = None
    dataset: dict[str, Any] | None = None
    review: ReviewRecord | None = None

    def matches(self, inputs: Iterable[Input], settings_digest: str) -> bool:
        """Whether this corpus was made from these inputs with these settings."""
        same_inputs = [item.digest for item in self.inputs] == [item.digest for item in inputs]
        return same_inputs and self.settings_digest == settings_digest


def digest_of(*values: object) -> str:
    """32 hex digits over JSON values; key order does not matter."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_HEX_DIGITS_OF_DIGEST]


def rows_digest(shards: Iterable[Shard]) -> str:
    """The digest of the rows of ``shards``: their content in order, whatever their names."""
    return digest_of([shard.sha256 for shard in shards])


def utc_now() -> str:
    """Now, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


def manifest_uri(corpus_uri: str, generation: int) -> str:
    """Where the manifest of a generation lies: ``_manifest.json``, and ``_manifest.2.json`` … after recomputing.

    Manifests are only ever created, never replaced: of two attempts at one generation one wins, on any storage.
    """
    return f"{corpus_uri}/_manifest.json" if generation == 1 else f"{corpus_uri}/_manifest.{generation}.json"


def newest_generation(corpus_uri: str, storage: Storage) -> int:
    """How many generations are committed, readable or not."""
    generation = 0
    while storage.exists(manifest_uri(corpus_uri, generation + 1)):
        generation += 1
    return generation


def find_manifest(corpus_uri: str, storage: Storage) -> tuple[Manifest | None, int]:
    """The newest manifest of a corpus and its generation; ``(None, 0)`` if nothing is committed.

    :raises DamagedManifestError: if it cannot be read.
    """
    found: bytes | None = None
    generation = 0
    while True:
        try:
            found = storage.read(manifest_uri(corpus_uri, generation + 1))
        except FileNotFoundError:
            break
        generation += 1
    if found is None:
        return None, 0
    return parse_manifest(corpus_uri, generation, found), generation


def parse_manifest(corpus_uri: str, generation: int, data: bytes) -> Manifest:
    """The manifest of a generation from its bytes.

    :raises DamagedManifestError: if it cannot be read.
    """
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or manifest_uri("", generation).lstrip("/")
        raise DamagedManifestError(corpus_uri, f"{where}: {first['msg']}") from None


def read_manifest(corpus_uri: str, storage: Storage) -> Manifest:
    """The newest manifest.

    :raises CorpusNotCommittedError: if there is none.
    :raises DamagedManifestError: if it cannot be read.
    """
    manifest, _ = find_manifest(corpus_uri, storage)
    if manifest is None:
        raise CorpusNotCommittedError(corpus_uri)
    return manifest

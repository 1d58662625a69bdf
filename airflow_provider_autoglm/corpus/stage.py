"""One attempt of a stage: what it writes, what it puts aside, and the commit that at most one attempt wins."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.manifest import (
    Counters,
    Input,
    Manifest,
    Part,
    ReviewRecord,
    Shard,
    digest_of,
    find_manifest,
    manifest_uri,
    newest_generation,
    rows_digest,
    utc_now,
)
from airflow_provider_autoglm.corpus.result import Progress, ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.schema import set_column
from airflow_provider_autoglm.corpus.shards import MAX_SHARD_BYTES, ShardWriter, damage_of
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import DamagedManifestError, SettingsError, TooManyRejectedError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Who runs a stage and why, for its manifest; ``force`` recomputes a corpus that is already committed.

    ``checks`` are the ids of the confirmed checks that the run answers.
    """

    pipeline: str = ""
    mlflow_run_id: str | None = None
    force: bool = False
    reasons: tuple[str, ...] = ("manual",)
    checks: tuple[int, ...] = ()


def new_attempt_id() -> str:
    """A name no other attempt has; it begins with the time, so that listings sort."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class StageAttempt:
    """Collects one corpus and commits it.

    ``committed`` is the manifest that is already there, whole, for the same inputs and settings (None when recomputing
    is forced): a stage returns :meth:`reused_result` then. ``generation`` is the one this attempt would commit.

    :raises SettingsError: if the destination is one of the inputs.
    """

    def __init__(
        self,
        stage: str,
        inputs: Sequence[Input],
        destination: str,
        settings: Mapping[str, Any],
        *,
        rows_total: int | None = None,
        storage: Storage | None = None,
        progress: ProgressCallback | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self.stage = stage
        self.uri = as_uri(destination)
        self.storage = storage or Storage.local()
        self.attempt_id = new_attempt_id()
        self.inputs = tuple(inputs)
        if any(item.uri.partition("#")[0] == self.uri for item in self.inputs):
            raise SettingsError([f"{stage}: destination {self.uri} is the source too, which is never changed"])
        self.origins = tuple(dict.fromkeys(item.origin for item in inputs))
        self.settings_digest = digest_of(settings)
        self.reasons: Counter[str] = Counter()
        self._settings = dict(settings)
        self._provenance = provenance or Provenance()
        self._progress = progress
        self._rows_total = rows_total
        self._started = time.monotonic()
        self._rows_in = self._rows_out = self._rejected = self._removed = self._unchanged = 0
        self._parts: list[Part] = []
        self._adopted: dict[str, list[Shard]] = {"": [], "rejected/": [], "removed/": []}
        self._writers = {prefix: self.writer(prefix) for prefix in self._adopted}
        self.committed = None if self._provenance.force else self._reusable()
        self.generation = newest_generation(self.uri, self.storage) + 1

    def writer(self, prefix: str = "", *, max_shard_bytes: int = MAX_SHARD_BYTES) -> ShardWriter:
        """A writer of further shards of this attempt, e.g. under names that begin with ``data/train-``."""
        return ShardWriter(self.storage, self.uri, self.attempt_id, prefix=prefix, max_shard_bytes=max_shard_bytes)

    def limit_shards(self, max_shard_bytes: int) -> None:
        """End shards of rows at another size than the default."""
        self._writers[""] = self.writer(max_shard_bytes=max_shard_bytes)

    def count_in(self, rows: int) -> None:
        """Rows that were read or, for a crawl, URLs that were attempted."""
        self._rows_in += rows

    def count_unchanged(self, rows: int) -> None:
        """Rows that are known already and are not written again."""
        self._unchanged += rows

    def write(self, table: pa.Table) -> None:
        """Rows that the stage lets through."""
        self._rows_out += table.num_rows
        self._writers[""].write(table)

    def count_out(self, rows: int) -> None:
        """Rows let through that a writer of :meth:`writer` takes; its shards are handed in by :meth:`adopt`."""
        self._rows_out += rows

    def reject(self, table: pa.Table) -> None:
        """Rows that the stage cannot take, with the column ``reason``."""
        self._rejected += table.num_rows
        self._put_aside("rejected", table)

    def remove(self, table: pa.Table) -> None:
        """Rows that the stage leaves out on purpose, with the column ``reason``."""
        self._removed += table.num_rows
        self._put_aside("removed", table)

    def count_removed(self, reason: str, rows: int) -> None:
        """Rows left out that are kept elsewhere and so are not written to ``removed/``."""
        self._removed += rows
        self._count_reason("removed", reason, rows)

    def add_part(self, part: Part, counters: Counters, reasons: Mapping[str, float]) -> None:
        """A corpus that becomes part of this one."""
        self._parts.append(part)
        self._count(counters)
        for reason, rows in reasons.items():
            self.reasons[reason] += int(rows)

    def adopt(self, prefix: str, shards: Sequence[Shard]) -> None:
        """Shards that are on storage already; ``prefix`` is empty, ``rejected/`` or ``removed/``."""
        self._adopted[prefix].extend(shards)

    def adopt_counts(self, counters: Counters, reasons: Mapping[str, int]) -> None:
        """The counts that belong to adopted shards."""
        self._count(counters)
        self.reasons.update(reasons)

    def report(self, progress: Progress | None = None, *, detail: str = "") -> None:
        """One log line, and the caller's progress callback; ``progress`` is that of another process, if one works."""
        if progress is None:
            seconds = time.monotonic() - self._started
            progress = Progress(self.stage, self._rows_in, self._rows_total, seconds)
            detail = f"{self._rejected} rejected, {self._removed} removed"
            detail += f", {self._unchanged} unchanged" if self._unchanged else ""
        log.info("%s, %s", progress, detail)
        if self._progress is not None:
            self._progress(progress)

    def finish_shards(self) -> None:
        """End all open shards."""
        for prefix, writer in self._writers.items():
            writer.end_shard()
            self._adopted[prefix].extend(writer.shards)
            writer.shards = []

    @property
    def digest(self) -> str:
        """Digest of the rows finished so far."""
        if self._parts:
            return digest_of([part.digest for part in self._parts])
        return rows_digest(self._adopted[""])

    def check_rejected(self, allowed: float) -> None:
        """:raises TooManyRejectedError: if more than ``allowed`` of the rows were rejected."""
        if self._rejected > allowed * self._rows_in:
            self.finish_shards()
            reasons = {
                name.removeprefix("rejected/"): count
                for name, count in self.reasons.items()
                if name.startswith("rejected/")
            }
            log.error("%s: rejected rows are kept below %s, in rejected/", self.stage, self.uri)
            raise TooManyRejectedError(self.stage, self._rejected, self._rows_in, allowed, reasons)

    def commit(
        self,
        *,
        metrics: Mapping[str, float] | None = None,
        dataset: Mapping[str, Any] | None = None,
        review: ReviewRecord | None = None,
    ) -> StageResult:
        """Write the manifest, unless another attempt has done so with the same inputs and settings.

        A corpus of other inputs or settings is superseded; a ``dataset`` version never is.

        :raises FileExistsError: if ``dataset`` is given and the version is taken.
        """
        self.finish_shards()
        manifest = self._manifest(metrics or {}, dataset, review)
        if dataset is not None and self.generation > 1:
            raise FileExistsError(manifest_uri(self.uri, 1))
        data = json.dumps(manifest.model_dump(mode="json"), indent=1).encode()
        while True:
            try:
                self.storage.create(manifest_uri(self.uri, self.generation), data)
                break
            except FileExistsError:
                winner, self.generation = find_manifest(self.uri, self.storage)
                if winner is not None and winner.attempt == self.attempt_id:
                    break
                if dataset is not None:
                    raise
                if winner is not None and winner.matches(self.inputs, self.settings_digest):
                    log.info("%s: another attempt has committed %s first, its corpus is used", self.stage, self.uri)
                    return self.reused_result(winner)
                self.generation += 1
        log.info("%s: committed %d rows to %s", self.stage, manifest.rows, self.uri)
        return result_of(self.uri, manifest)

    def reused_result(self, manifest: Manifest | None = None) -> StageResult:
        """The result of the corpus that is already committed."""
        manifest = manifest or self.committed
        assert manifest is not None
        log.info("%s: %s is already committed for these inputs and settings, nothing to do", self.stage, self.uri)
        return result_of(self.uri, manifest, reused=True)

    def _reusable(self) -> Manifest | None:
        """The committed manifest, if it is of the same work and whole: what is damaged is computed again."""
        try:
            newest, _ = find_manifest(self.uri, self.storage)
        except DamagedManifestError as error:
            log.warning("%s: %s; computing it again", self.stage, error)
            return None
        if newest is None or not newest.matches(self.inputs, self.settings_digest):
            return None
        for shard in (*newest.shards, *newest.rejected, *newest.removed):
            damage = damage_of(shard, f"{self.uri}/{shard.name}", self.storage)
            if damage is not None:
                log.warning("%s: shard %s is damaged (%s); computing it again", self.stage, shard.name, damage)
                return None
        return newest

    def _manifest(
        self, metrics: Mapping[str, float], dataset: Mapping[str, Any] | None, review: ReviewRecord | None
    ) -> Manifest:
        seconds = time.monotonic() - self._started
        rows = sum(shard.rows for shard in self._adopted[""]) + sum(part.rows for part in self._parts)
        return Manifest(
            stage=self.stage,
            pipeline=self._provenance.pipeline,
            created_at=utc_now(),
            attempt=self.attempt_id,
            inputs=self.inputs,
            origins=self.origins,
            settings=self._settings,
            settings_digest=self.settings_digest,
            shards=tuple(self._adopted[""]),
            rejected=tuple(self._adopted["rejected/"]),
            removed=tuple(self._adopted["removed/"]),
            parts=tuple(self._parts),
            rows=rows,
            digest=self.digest,
            counters=Counters(
                rows_in=self._rows_in,
                rows_out=self._rows_out,
                rejected=self._rejected,
                removed=self._removed,
                unchanged=self._unchanged,
            ),
            metrics={
                "duration_s": round(seconds, 3),
                "rows_per_s": round(self._rows_in / seconds, 1) if seconds else 0.0,
                **self.reasons,
                **metrics,
            },
            mlflow_run_id=self._provenance.mlflow_run_id,
            dataset=None if dataset is None else dict(dataset),
            review=review,
        )

    def _put_aside(self, where: str, table: pa.Table) -> None:
        if table.num_rows == 0:
            return
        for entry in pc.value_counts(table["reason"]).to_pylist():
            self._count_reason(where, entry["values"], entry["counts"])
        stage = pa.array([self.stage] * table.num_rows, pa.string())
        self._writers[f"{where}/"].write(set_column(table, "stage", stage))

    def _count_reason(self, where: str, reason: str, rows: int) -> None:
        self.reasons[f"{where}/{reason}"] += rows

    def _count(self, counters: Counters) -> None:
        self._rows_in += counters.rows_in
        self._rows_out += counters.rows_out
        self._rejected += counters.rejected
        self._removed += counters.removed
        self._unchanged += counters.unchanged


def result_of(uri: str, manifest: Manifest, *, reused: bool = False) -> StageResult:
    """The result that a manifest stands for."""
    counters = manifest.counters
    return StageResult(
        uri=uri,
        rows_in=counters.rows_in,
        rows_out=counters.rows_out,
        rejected=counters.rejected,
        removed=counters.removed,
        unchanged=counters.unchanged,
        digest=manifest.digest,
        metrics=manifest.metrics,
        reused=reused,
    )

"""The second pass: the rows of a version go into the shards of their split, and are counted on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.manifest import Input
from airflow_provider_autoglm.corpus.publish.composition import Composition, Confidence
from airflow_provider_autoglm.corpus.publish.content import ContentDigest
from airflow_provider_autoglm.corpus.publish.inheritance import hand_down
from airflow_provider_autoglm.corpus.publish.plan import Fates, Plan
from airflow_provider_autoglm.corpus.publish.quality import Batch, batch_of, earlier_batches
from airflow_provider_autoglm.corpus.publish.record import record_of
from airflow_provider_autoglm.corpus.publish.schema import cast, common_schema
from airflow_provider_autoglm.corpus.publish.splits import SPLITS
from airflow_provider_autoglm.corpus.publish.versions import Version, version_uri
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.schema import set_column
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import PublishSettings

_REJECTED = ("missing_doc_id", "missing_text", "unknown_label")
_KEPT_IN_REMOVED = ("abstained", "duplicate_doc_id")


@dataclass(frozen=True)
class Publication:
    """What a version is made of; ``key`` is the digest by which a retry knows it."""

    destination: str
    corpora: tuple[Corpus, ...]
    previous: Version | None
    plan: Plan
    settings: PublishSettings
    key: str

    @property
    def number(self) -> int:
        """Of the version."""
        return 1 if self.previous is None else self.previous.number + 1

    @property
    def inputs(self) -> list[Input]:
        """The corpora, and last the version before."""
        earlier = [] if self.previous is None else [Input(uri=self.previous.uri, digest=self.previous.manifest.digest)]
        return [corpus.as_input() for corpus in self.corpora] + earlier


def write_version(
    publication: Publication,
    *,
    storage: Storage,
    progress: ProgressCallback | None,
    provenance: Provenance | None,
) -> StageResult:
    """Write and commit the version, one row group in memory.

    :raises FileExistsError: if the number was taken meanwhile.
    :raises SchemaChangedError: if columns differ from the version before and the switch is not set.
    :raises IncompatibleSchemasError: if a column has types that do not fit together.
    """
    plan = publication.plan
    attempt = StageAttempt(
        "publish",
        publication.inputs,
        version_uri(publication.destination, publication.number),
        publication.settings.model_dump(mode="json"),
        rows_total=plan.previous_rows + plan.new_rows,
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    with closing(Composition()) as composition:
        writing = _Writing(attempt, publication, composition)
        batches = [*writing.take_earlier(), *writing.take_new()]
        writing.end_shards()
        record = record_of(
            plan,
            publication.settings,
            number=publication.number,
            previous=publication.previous,
            key=publication.key,
            composition=composition,
            batches=batches,
            content_digest=writing.content.hexdigest(),
            cause=provenance or Provenance(),
        )
    return attempt.commit(dataset=record.model_dump(mode="json"))


class _Writing:
    """An attempt at a version, and what its rows add up to."""

    def __init__(self, attempt: StageAttempt, publication: Publication, composition: Composition) -> None:
        self.content = ContentDigest()
        self._attempt = attempt
        self._publication = publication
        self._plan = publication.plan
        self._composition = composition
        self._writers = {split: attempt.writer(f"data/{split}-") for split in SPLITS}
        previous = publication.previous
        self._earlier = None if previous is None else Corpus.open(previous.uri, storage=attempt.storage, verify=False)
        earlier = () if self._earlier is None else (self._earlier,)
        self._schema = common_schema(earlier, publication.corpora, previous, publication.settings)

    def take_earlier(self) -> list[Batch]:
        """Write what stays of the version before; where it came from, unless nothing stays."""
        if self._earlier is None:
            return []
        first = written = 0
        for table in self._tables(self._earlier):
            fates = self._plan.previous_fates(first, table.num_rows)
            written += sum(rows.num_rows for rows in self._write(table, fates))
            self._put_aside(table, fates, keep_aside=False)
            first += table.num_rows
        return earlier_batches(self._earlier.manifest) if written else []

    def take_new(self) -> Iterator[Batch]:
        """Write what each of the new corpora brings; a record of each that brings rows."""
        first = 0
        for corpus in self._publication.corpora:
            confidence, written = Confidence(), 0
            for table in self._tables(corpus):
                fates = self._plan.new_fates(first, table.num_rows)
                first += table.num_rows
                heirs = hand_down(table, fates)
                for rows in self._write(heirs, fates):
                    confidence.add(rows)
                    written += rows.num_rows
                self._put_aside(heirs, fates, keep_aside=True)
            if written:
                yield batch_of(corpus, self._publication.number, written, confidence)

    def end_shards(self) -> None:
        """Finish the shards of all splits."""
        for writer in self._writers.values():
            writer.end_shard()
            self._attempt.adopt("", writer.shards)

    def _tables(self, corpus: Corpus) -> Iterator[pa.Table]:
        for stored in corpus.shards:
            for table in corpus.shard_tables(stored):
                self._attempt.count_in(table.num_rows)
                yield cast(table, self._schema)
            self._attempt.report()

    def _write(self, table: pa.Table, fates: Fates) -> Iterator[pa.Table]:
        for split, writer in self._writers.items():
            rows = table.filter(pc.equal(fates.splits, split))
            self._attempt.count_out(rows.num_rows)
            writer.write(rows)
            if rows.num_rows:
                self.content.add(split, rows)
                self._composition.add(rows)
                yield rows

    def _put_aside(self, table: pa.Table, fates: Fates, *, keep_aside: bool) -> None:
        """Rows of an earlier version stay readable there, and erased ones must not be kept: both are only counted."""
        table = set_column(table, "reason", fates.reasons)
        for reason in pc.unique(fates.reasons.drop_null()).to_pylist():
            rows = table.filter(pc.equal(fates.reasons, reason))
            if keep_aside and reason in _REJECTED:
                self._attempt.reject(rows)
            elif keep_aside and reason in _KEPT_IN_REMOVED:
                self._attempt.remove(rows)
            else:
                self._attempt.count_removed(reason, rows.num_rows)

"""One dataset version from labelled corpora and the version before it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.manifest import Input, Manifest, digest_of
from airflow_provider_autoglm.corpus.publish.card import write_card
from airflow_provider_autoglm.corpus.publish.inheritance import Inheritance
from airflow_provider_autoglm.corpus.publish.plan import Fate, Plan, make_plan
from airflow_provider_autoglm.corpus.publish.splits import SPLITS
from airflow_provider_autoglm.corpus.publish.versions import (
    Version,
    committed_versions,
    newest_version,
    version_uri,
)
from airflow_provider_autoglm.corpus.result import ProgressCallback
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS, require_columns, set_column
from airflow_provider_autoglm.corpus.shards import ShardWriter
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import (
    EmptyClassError,
    EmptyDatasetError,
    IncompatibleSchemasError,
    SchemaChangedError,
    UnusableColumnError,
)
from airflow_provider_autoglm.settings import PublishSettings

log = logging.getLogger(__name__)

_NEEDED = ("doc_id", "text", "label")
_CLOCKS_DIFFER_BY = timedelta(days=1)
_KEPT_IN_REMOVED = ("abstained", "duplicate_doc_id")


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset version. ``splits`` are rows; ``reused`` says that no new version was written, ``has_news`` that this
    version holds what the given corpora brought, which is what an asset event tells."""

    uri: str
    version: int
    digest: str
    splits: dict[str, int]
    reused: bool = False
    has_news: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The reference as JSON types."""
        return asdict(self)


def publish(
    source: str | Sequence[str],
    destination: str,
    settings: PublishSettings,
    *,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> PublishedDataset:
    """Publish the rows of ``source`` together with those of the newest version below ``destination``.

    A row with a known ``doc_id`` replaces the older one, but labels given by people stay. A text that people have
    labelled is one row, the one with their newest label, whatever address it came from. Rows without a label go to
    ``removed/`` as ``abstained``. Without anything new the newest version is returned as it is.

    :raises EmptyClassError: if a class has fewer rows than ``settings.min_class_rows``.
    :raises EmptyDatasetError: if the first version would have no row at all.
    :raises SchemaChangedError: if columns differ from the newest version's and the switch is not set.
    :raises SplitLeakageError: if one cluster would lie in two splits.
    :raises IncompatibleSchemasError: if a column has types that do not fit together.
    :raises MissingColumnsError: if a corpus lacks ``doc_id``, ``text`` or ``label``.
    :raises UnusableColumnError: if one of these, or ``cluster_id``, does not hold strings.
    """
    storage = storage or Storage.local()
    corpora = open_sources(source, storage=storage)
    for corpus in corpora:
        for schema in corpus.schemas():
            require_columns(corpus.uri, schema.empty_table(), _NEEDED)
            _require_strings(corpus.uri, schema)
    # The attempts are part of it: equal rows of another run are another publication.
    written = [(corpus.manifest.attempt, corpus.digest) for corpus in corpora]
    publication = digest_of(written, settings.model_dump(mode="json"))
    while True:
        own = _own_version(destination, corpora, publication, storage)
        if own is not None:
            return _reused(own, storage, has_news=True)
        previous = newest_version(destination, storage)
        plan = make_plan(corpora, previous, settings, now=_newest_moment(corpora), storage=storage)
        if previous is not None and not plan.has_news and _labels(settings, plan) == _record(previous)["labels"]:
            log.info("publish: nothing new since version %d, it stays the newest", previous.number)
            return _reused(previous, storage, has_news=False)
        _check_classes(plan, settings)
        if previous is None and not plan.new_documents:
            raise EmptyDatasetError(destination)
        try:
            return _write_version(
                _Publication(destination, corpora, previous, plan, settings, publication),
                storage=storage,
                progress=progress,
                provenance=provenance,
            )
        except FileExistsError:
            log.info("publish: another run took the version number, publishing on top of its version")


@dataclass(frozen=True)
class _Publication:
    destination: str
    corpora: tuple[Corpus, ...]
    previous: Version | None
    plan: Plan
    settings: PublishSettings
    key: str

    @property
    def number(self) -> int:
        return 1 if self.previous is None else self.previous.number + 1

    @property
    def inputs(self) -> list[Input]:
        earlier = [] if self.previous is None else [Input(uri=self.previous.uri, digest=self.previous.manifest.digest)]
        return [corpus.as_input() for corpus in self.corpora] + earlier


def _write_version(
    publication: _Publication,
    *,
    storage: Storage,
    progress: ProgressCallback | None,
    provenance: Provenance | None,
) -> PublishedDataset:
    plan, previous = publication.plan, publication.previous
    uri = version_uri(publication.destination, publication.number)
    attempt = StageAttempt(
        "publish",
        publication.inputs,
        uri,
        publication.settings.model_dump(mode="json"),
        rows_total=len(plan.previous) + len(plan.new),
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    earlier = () if previous is None else (Corpus.open(previous.uri, storage=storage, verify=False),)
    schema = _common_schema(earlier, publication)
    writers = {split: attempt.writer(f"data/{split}-") for split in SPLITS}
    inheritance = Inheritance(plan.kept_labels)
    for table, fates in _rows_with_fates(attempt, earlier, schema, plan.previous):
        inheritance.note(table, fates)
        _write_rows(attempt, writers, table, fates, keep_aside=False)
    for table, fates in _rows_with_fates(attempt, publication.corpora, schema, plan.new):
        _write_rows(attempt, writers, inheritance.hand_down(table), fates, keep_aside=True)
    for writer in writers.values():
        writer.end_shard()
        attempt.adopt("", writer.shards)
    cause = provenance or Provenance()
    record = {**_dataset_record(publication), "reasons": list(cause.reasons), "checks": list(cause.checks)}
    result = attempt.commit(dataset=record)
    write_card(uri, storage)
    return PublishedDataset(uri, publication.number, result.digest, _splits(plan))


def _rows_with_fates(
    attempt: StageAttempt, corpora: Sequence[Corpus], schema: pa.Schema, fates: Sequence[Fate]
) -> Iterator[tuple[pa.Table, Sequence[Fate]]]:
    position = 0
    for corpus in corpora:
        for stored in corpus.shards:
            for table in corpus.shard_tables(stored):
                yield _cast(table, schema), fates[position : position + table.num_rows]
                position += table.num_rows
            attempt.report()


def _write_rows(
    attempt: StageAttempt,
    writers: Mapping[str, ShardWriter],
    table: pa.Table,
    fates: Sequence[Fate],
    *,
    keep_aside: bool,
) -> None:
    attempt.count_in(table.num_rows)
    for split, writer in writers.items():
        rows = table.filter(pa.array([fate.split == split for fate in fates], pa.bool_()))
        attempt.count_out(rows.num_rows)
        writer.write(rows)
    _put_aside(attempt, table, fates, keep_aside=keep_aside)


def _put_aside(attempt: StageAttempt, table: pa.Table, fates: Sequence[Fate], *, keep_aside: bool) -> None:
    """Rows of an earlier version stay readable there, and erased ones must not be kept: both are only counted."""
    reasons = pa.array([fate.reason or None for fate in fates], pa.string())
    table = set_column(table, "reason", reasons)
    for reason in {fate.reason for fate in fates if fate.reason}:
        rows = table.filter(pa.array([fate.reason == reason for fate in fates], pa.bool_()))
        is_rejected = any(fate.is_rejected for fate in fates if fate.reason == reason)
        if keep_aside and is_rejected:
            attempt.reject(rows)
        elif keep_aside and reason in _KEPT_IN_REMOVED:
            attempt.remove(rows)
        else:
            attempt.count_removed(reason, rows.num_rows)


def _common_schema(earlier: Sequence[Corpus], publication: _Publication) -> pa.Schema:
    new = [schema for corpus in publication.corpora for schema in corpus.schemas()]
    old = [schema for corpus in earlier for schema in corpus.schemas()]
    if old and publication.previous is not None and not publication.settings.allow_schema_change:
        before = _unified(old)
        changes = sorted({change for schema in new for change in _changes(before, schema)})
        if changes:
            raise SchemaChangedError(publication.previous.number, changes)
    # A column that must not be null in one corpus is null in the rows of another that lacks it.
    return pa.schema([column.with_nullable(True) for column in _unified([*old, *new, LABEL_COLUMNS])])


def _unified(schemas: Sequence[pa.Schema]) -> pa.Schema:
    try:
        return pa.unify_schemas(list(schemas), promote_options="permissive")
    except pa.ArrowTypeError as error:
        raise IncompatibleSchemasError(error) from error


def _require_strings(uri: str, schema: pa.Schema) -> None:
    for name in (*_NEEDED, "cluster_id"):
        found = schema.field(name).type if name in schema.names else pa.null()
        if found not in (pa.string(), pa.large_string(), pa.null()):
            raise UnusableColumnError(uri, name, str(found), str(pa.string()))


def _changes(old: pa.Schema, new: pa.Schema) -> list[str]:
    added = [f"{column.name} added" for column in new if column.name not in old.names]
    known = [(old.field(column.name), column) for column in new if column.name in old.names]
    types = [(column.name, earlier.type, _widened(earlier, column)) for earlier, column in known]
    return added + [f"{name} {earlier} → {later}" for name, earlier, later in types if earlier != later]


def _widened(earlier: pa.Field, later: pa.Field) -> pa.DataType:
    """The type that holds both, or the later one if there is none."""
    try:
        return _unified([pa.schema([earlier]), pa.schema([later])]).types[0]
    except IncompatibleSchemasError:
        return later.type


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[column.name].cast(column.type)
        if column.name in table.column_names
        else pa.nulls(table.num_rows, column.type)
        for column in schema
    ]
    return pa.table(columns, schema=schema)


def _check_classes(plan: Plan, settings: PublishSettings) -> None:
    counts = {label: plan.label_counts[label] for label in _labels(settings, plan)}
    if not counts and settings.min_class_rows:
        raise EmptyClassError({"(no labelled row)": 0}, settings.min_class_rows)
    if any(count < settings.min_class_rows for count in counts.values()):
        raise EmptyClassError(counts, settings.min_class_rows)


def _labels(settings: PublishSettings, plan: Plan) -> list[str]:
    return list(settings.labels) or sorted(plan.label_counts)


def _splits(plan: Plan) -> dict[str, int]:
    return {split: plan.split_counts[split] for split in SPLITS}


def _dataset_record(publication: _Publication) -> dict[str, Any]:
    plan = publication.plan
    labels = _labels(publication.settings, plan)
    return {
        "version": publication.number,
        "publication": publication.key,
        "previous": None if publication.previous is None else publication.previous.number,
        "labels": labels,
        "label_counts": {label: plan.label_counts[label] for label in labels},
        "splits": _splits(plan),
        "new_documents": plan.new_documents,
        "changed_labels": plan.changed_labels,
        "dropped_documents": plan.dropped,
        "reviewed": False,
    }


def _record(version: Version) -> dict[str, Any]:
    assert version.manifest.dataset is not None
    return version.manifest.dataset


def _own_version(destination: str, corpora: Sequence[Corpus], publication: str, storage: Storage) -> Version | None:
    """The version that an attempt killed after its commit has made of the same corpora, if there is one."""
    oldest = _newest_moment(corpora) - _CLOCKS_DIFFER_BY
    for version in committed_versions(destination, storage):
        if datetime.fromisoformat(version.manifest.created_at) < oldest:
            return None
        if _record(version)["publication"] == publication:
            return version
    return None


def _reused(version: Version, storage: Storage, *, has_news: bool) -> PublishedDataset:
    write_card(version.uri, storage)
    manifest: Manifest = version.manifest
    splits = {split: int(rows) for split, rows in _record(version)["splits"].items()}
    return PublishedDataset(version.uri, version.number, manifest.digest, splits, reused=True, has_news=has_news)


def _newest_moment(corpora: Sequence[Corpus]) -> datetime:
    return max(datetime.fromisoformat(corpus.manifest.created_at) for corpus in corpora)

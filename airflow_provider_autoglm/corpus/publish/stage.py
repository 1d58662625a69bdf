"""One dataset version from labelled corpora and the version before it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.corpus.publish.card import write_card
from airflow_provider_autoglm.corpus.publish.difference import write_difference
from airflow_provider_autoglm.corpus.publish.plan import Plan, make_plan
from airflow_provider_autoglm.corpus.publish.record import labels_of, splits_of
from airflow_provider_autoglm.corpus.publish.schema import require_rows_to_publish
from airflow_provider_autoglm.corpus.publish.versions import Version, committed_versions, newest_version
from airflow_provider_autoglm.corpus.publish.writing import Publication, write_version
from airflow_provider_autoglm.corpus.result import ProgressCallback
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import EmptyClassError, EmptyDatasetError, LabelSetChangedError
from airflow_provider_autoglm.settings import PublishSettings

log = logging.getLogger(__name__)

_CLOCKS_DIFFER_BY = timedelta(days=1)


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
    :raises LabelSetChangedError: if ``settings.labels`` are others than the newest version's and the switch is not set.
    :raises SchemaChangedError: if columns differ from the newest version's and the switch is not set.
    :raises SplitLeakageError: if one cluster would lie in two splits.
    :raises IncompatibleSchemasError: if a column has types that do not fit together.
    :raises MissingColumnsError: if a corpus lacks ``doc_id``, ``text`` or ``label``.
    :raises UnusableColumnError: if one of these, or ``cluster_id``, does not hold strings.
    :raises StorageError: if the temporary folder, or the destination, cannot be written to.
    """
    storage = storage or Storage.local()
    corpora = open_sources(source, storage=storage)
    require_rows_to_publish(corpora)
    # The attempts are part of it: equal rows of another run are another publication.
    written = [(corpus.manifest.attempt, corpus.digest) for corpus in corpora]
    key = digest_of(written, settings.model_dump(mode="json"))
    while True:
        own = _own_version(destination, corpora, key, storage)
        if own is not None:
            return _reused(own, storage, has_news=True)
        previous = newest_version(destination, storage)
        if previous is not None and not settings.allow_label_change:
            _refuse_other_labels(previous, settings)
        with make_plan(corpora, previous, settings, now=_newest_moment(corpora), storage=storage) as plan:
            if previous is not None and not plan.has_news and labels_of(settings, plan) == previous.record["labels"]:
                log.info("publish: nothing new since version %d, it stays the newest", previous.number)
                return _reused(previous, storage, has_news=False)
            _check_classes(plan, settings)
            if previous is None and not plan.new_documents:
                raise EmptyDatasetError(destination)
            publication = Publication(destination, corpora, previous, plan, settings, key)
            try:
                result = write_version(publication, storage=storage, progress=progress, provenance=provenance)
            except FileExistsError:
                log.info("publish: another run took the version number, publishing on top of its version")
                continue
        _describe(result.uri, storage)
        return PublishedDataset(result.uri, publication.number, result.digest, splits_of(plan))


def _refuse_other_labels(previous: Version, settings: PublishSettings) -> None:
    """Without names in the settings the rows name the classes, and new rows may bring new ones."""
    before, now = set(previous.record["labels"]), set(settings.labels)
    if now and before != now:
        raise LabelSetChangedError(previous.number, sorted(now - before), sorted(before - now))


def _check_classes(plan: Plan, settings: PublishSettings) -> None:
    counts = {label: plan.label_counts[label] for label in labels_of(settings, plan)}
    if not counts and settings.min_class_rows:
        raise EmptyClassError({"(no labelled row)": 0}, settings.min_class_rows)
    if any(count < settings.min_class_rows for count in counts.values()):
        raise EmptyClassError(counts, settings.min_class_rows)


def _own_version(destination: str, corpora: Sequence[Corpus], key: str, storage: Storage) -> Version | None:
    """The version that an attempt killed after its commit has made of the same corpora, if there is one."""
    oldest = _newest_moment(corpora) - _CLOCKS_DIFFER_BY
    for version in committed_versions(destination, storage):
        if datetime.fromisoformat(version.manifest.created_at) < oldest:
            return None
        if version.record["publication"] == key:
            return version
    return None


def _reused(version: Version, storage: Storage, *, has_news: bool) -> PublishedDataset:
    _describe(version.uri, storage)
    splits = {split: int(rows) for split, rows in version.record["splits"].items()}
    digest = version.manifest.digest
    return PublishedDataset(version.uri, version.number, digest, splits, reused=True, has_news=has_news)


def _describe(uri: str, storage: Storage) -> None:
    """Write what tells of a committed version, which an attempt that was killed may have left out."""
    write_difference(uri, storage)
    write_card(uri, storage)


def _newest_moment(corpora: Sequence[Corpus]) -> datetime:
    return max(datetime.fromisoformat(corpus.manifest.created_at) for corpus in corpora)

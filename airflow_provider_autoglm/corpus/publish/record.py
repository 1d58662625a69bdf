"""What the manifest of a version says of it besides its files: the field ``dataset``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict

from airflow_provider_autoglm.corpus.manifest import Manifest
from airflow_provider_autoglm.corpus.publish.composition import Composition
from airflow_provider_autoglm.corpus.publish.plan import Plan
from airflow_provider_autoglm.corpus.publish.quality import Batch, is_reviewed
from airflow_provider_autoglm.corpus.publish.splits import SPLITS
from airflow_provider_autoglm.corpus.publish.versions import Version
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.settings import PublishSettings


class Automatic(BaseModel):
    """Automatically labelled rows, how many of them have a score, and the mean of these scores, 0 to 1."""

    model_config = ConfigDict(frozen=True)

    rows: int
    scored: int
    mean_score: float | None


class DatasetRecord(BaseModel):
    """One version. What versions of earlier releases do not tell is empty or None.

    ``publication`` is the digest of corpora and settings by which a retry knows its own version. ``class_rows`` are the
    rows of each label in each split. Counts of ``label_sources`` to ``languages`` are by value, the rest as ``others``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int
    publication: str
    previous: int | None = None
    content_digest: str = ""
    labels: tuple[str, ...]
    label_counts: Mapping[str, int]
    class_rows: Mapping[str, Mapping[str, int]] = {}
    splits: Mapping[str, int]
    new_documents: int
    changed_labels: int
    dropped_documents: int
    reviewed: bool = False
    reviews: tuple[Batch, ...] = ()
    automatic: Automatic | None = None
    label_sources: Mapping[str, int] = {}
    labelers: Mapping[str, int] = {}
    sources: Mapping[str, int] = {}
    hosts: Mapping[str, int] = {}
    languages: Mapping[str, int] = {}
    reasons: tuple[str, ...] = ()
    checks: tuple[int, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """That of a dataset version."""
        return cls.model_validate(manifest.dataset)


def labels_of(settings: PublishSettings, plan: Plan) -> list[str]:
    """The names of the classes in their order: those of the settings, else those that rows have."""
    return list(settings.labels) or sorted(plan.label_counts)


def splits_of(plan: Plan) -> dict[str, int]:
    """Rows of each split."""
    return {split: plan.split_counts[split] for split in SPLITS}


def record_of(
    plan: Plan,
    settings: PublishSettings,
    *,
    number: int,
    previous: Version | None,
    key: str,
    composition: Composition,
    batches: Sequence[Batch],
    content_digest: str,
    cause: Provenance,
) -> DatasetRecord:
    """The record of version ``number``."""
    labels = labels_of(settings, plan)
    confidence = composition.confidence
    return DatasetRecord(
        version=number,
        publication=key,
        previous=None if previous is None else previous.number,
        content_digest=content_digest,
        labels=tuple(labels),
        label_counts={label: plan.label_counts[label] for label in labels},
        class_rows={label: {split: plan.class_rows.get((label, split), 0) for split in SPLITS} for label in labels},
        splits=splits_of(plan),
        new_documents=plan.new_documents,
        changed_labels=plan.changed_labels,
        dropped_documents=plan.dropped,
        reviewed=is_reviewed(batches),
        reviews=tuple(batches),
        automatic=Automatic(rows=confidence.rows, scored=confidence.scored, mean_score=confidence.mean_score),
        label_sources=composition.most_frequent("label_source"),
        labelers=composition.most_frequent("labeler"),
        sources=composition.most_frequent("source"),
        hosts=composition.most_frequent("host"),
        languages=composition.most_frequent("lang"),
        reasons=cause.reasons,
        checks=cause.checks,
    )

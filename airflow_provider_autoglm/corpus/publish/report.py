"""What a publication did, from the manifest of its version and from what changed since the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.publish.difference import Difference, read_difference
from airflow_provider_autoglm.corpus.publish.record import DatasetRecord
from airflow_provider_autoglm.corpus.publish.wording import title_of
from airflow_provider_autoglm.corpus.report.manifests import counts_below, settings_of
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import PublishSettings


@dataclass(frozen=True)
class Report:
    """All of it; ``difference`` is None for the first version. There is no text of a document in it."""

    uri: str
    title: str
    pipeline: str
    created_at: str
    digest: str
    rows: int
    seconds: float
    settings: PublishSettings
    counters: Counters
    left_out: dict[str, int]
    record: DatasetRecord
    difference: Difference | None

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types; no text."""
        return {
            "uri": self.uri,
            "created_at": self.created_at,
            "digest": self.digest,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "settings": self.settings.model_dump(mode="json"),
            "counters": self.counters.model_dump(),
            "left_out": self.left_out,
            **self.record.model_dump(mode="json", exclude={"publication"}),
        }


def report_of(version: Corpus) -> Report:
    """Read the report of a committed version; its rows are not read."""
    manifest = version.manifest
    return Report(
        uri=version.uri,
        title=title_of(manifest),
        pipeline=manifest.pipeline,
        created_at=manifest.created_at,
        digest=manifest.digest,
        rows=manifest.rows,
        seconds=manifest.metrics.get("duration_s", 0.0),
        settings=settings_of(manifest, PublishSettings),
        counters=manifest.counters,
        left_out={
            **counts_below(manifest.metrics, "removed"),
            **counts_below(manifest.metrics, "rejected"),
        },
        record=DatasetRecord.of(manifest),
        difference=read_difference(version.uri, version.storage),
    )

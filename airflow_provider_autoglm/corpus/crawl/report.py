"""What a crawl brought, read again from its corpus: figures, distributions, and rows that were set aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa

from airflow_provider_autoglm.corpus.crawl.report_visits import Visits
from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.report.aside import SetAside, set_aside
from airflow_provider_autoglm.corpus.report.lengths import Lengths
from airflow_provider_autoglm.corpus.report.manifests import counts_below, settings_of
from airflow_provider_autoglm.corpus.report.tally import most_frequent
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import CrawlSettings
from airflow_provider_autoglm.settings.base import redact_userinfo

NOTES = {"status": "status", "final_url": "leads to", "canonical_url": "canonical", "problem": "problem"}
"""Columns that say why a row was set aside, and what the page calls them."""

_GONE = "gone"
_HOSTS_LISTED = 100
_CHARSETS_LISTED = 50
_Aside = Literal["rejected", "removed"]


@dataclass(frozen=True)
class Report:
    """All of it. ``not_visited`` are addresses that were found and not asked for, by the limit or trap.

    ``bytes`` is what was downloaded, None if no site was visited. ``seconds`` are those of crawling over all tries; of
    a corpus that was joined from parts those of the parts together.
    """

    uri: str
    pipeline: str
    created_at: str
    sources: tuple[str, ...]
    settings: CrawlSettings
    is_joined: bool
    counters: Counters
    bytes: int | None
    seconds: float
    unlinked: int
    not_visited: Mapping[str, int]
    visits: Visits
    lengths: Lengths
    rejected: tuple[SetAside, ...]
    removed: tuple[SetAside, ...]

    @property
    def gone(self) -> int:
        """Pages that an earlier crawl had and the server has no more."""
        return sum(entry.rows for entry in self.rejected if entry.reason == _GONE)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types; no text, and no address but hosts."""
        visits = self.visits
        return {
            "uri": self.uri,
            "created_at": self.created_at,
            "settings": self.settings.model_dump(mode="json"),
            **self.counters.model_dump(),
            "pages": visits.pages,
            "records": visits.records,
            "gone": self.gone,
            "unlinked": self.unlinked,
            "truncated": visits.truncated,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "statuses": dict(sorted(visits.statuses.items())),
            "depths": {str(depth): pages for depth, pages in sorted(visits.depths.items())},
            "charsets": most_frequent(visits.charsets, _CHARSETS_LISTED),
            "hosts": {
                host.host: {"kept": host.kept, "removed": host.removed, "rejected": host.rejected}
                for host in visits.hosts(_HOSTS_LISTED)
            },
            "lengths": self.lengths.to_dict(),
            "rejected_by_reason": {entry.reason: entry.rows for entry in self.rejected},
            "removed_by_reason": {entry.reason: entry.rows for entry in self.removed},
            "not_visited": dict(self.not_visited),
        }


def report_of(corpus: Corpus) -> Report:
    """Read the report from a corpus that :func:`~airflow_provider_autoglm.corpus.crawl.crawl` committed, or a join.

    In memory are the counts, three rows for each reason, and one row group.
    """
    visits = Visits()
    lengths = Lengths.of(_kept_pages(corpus, visits))
    for kind in get_args(_Aside):
        for table in corpus.iter_tables(visits.columns, kind=kind):
            visits.add(kind, table)
    manifest, metrics = corpus.manifest, corpus.manifest.metrics
    downloaded = metrics.get("bytes")
    return Report(
        uri=corpus.uri,
        pipeline=manifest.pipeline,
        created_at=manifest.created_at,
        sources=tuple(redact_userinfo(item.uri) for item in manifest.origins),
        settings=settings_of(manifest, CrawlSettings),
        is_joined=bool(manifest.parts),
        counters=manifest.counters,
        bytes=None if downloaded is None else int(downloaded),
        seconds=metrics.get("seconds/crawl", metrics.get("duration_s", 0.0)),
        unlinked=int(metrics.get("unlinked", 0)),
        not_visited=counts_below(metrics, "not_visited"),
        visits=visits,
        lengths=lengths,
        rejected=set_aside(corpus, "rejected", notes=tuple(NOTES)),
        removed=set_aside(corpus, "removed", notes=tuple(NOTES)),
    )


def _kept_pages(corpus: Corpus, visits: Visits) -> Iterator[pa.Table]:
    for table in corpus.iter_tables(["text", *visits.columns]):
        visits.add("shards", table)
        yield table

"""What a cleaning did, read again from its corpus and its sources: reasons, changes, lengths and languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.clean.masking import mask_personal_data
from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.report.aside import Example, SetAside, set_aside
from airflow_provider_autoglm.corpus.report.lengths import Lengths
from airflow_provider_autoglm.corpus.report.manifests import counts_below, settings_of, sources_of
from airflow_provider_autoglm.corpus.report.tally import count_values, most_frequent
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import CleanSettings

_LANGUAGES_LISTED = 200


@dataclass(frozen=True)
class Report:
    """All of it.

    ``before`` are the lengths of all texts as they came, None if the sources are not there any more; ``after`` those
    of the kept ones. ``languages`` are those of kept rows. A row that an earlier check rejects is not asked for its
    language: ``languages_rejected`` are those of rejected rows as far as they are known.
    """

    uri: str
    pipeline: str
    created_at: str
    settings: CleanSettings
    counters: Counters
    seconds: float
    rejected: tuple[SetAside, ...]
    changed: Mapping[str, int]
    masked: Mapping[str, int]
    before: Lengths | None
    after: Lengths
    languages: Mapping[str, int]
    languages_rejected: Mapping[str, int]

    @property
    def languages_before(self) -> dict[str, int]:
        """Languages of all rows that have one, kept or rejected."""
        return dict(Counter(self.languages) + Counter(self.languages_rejected))

    @property
    def of_unknown_language(self) -> int:
        """Rows that were rejected before they were asked for their language."""
        return self.counters.rejected - sum(self.languages_rejected.values())

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types; no text."""
        return {
            "uri": self.uri,
            "created_at": self.created_at,
            "settings": self.settings.model_dump(mode="json"),
            "rows_in": self.counters.rows_in,
            "rows_out": self.counters.rows_out,
            "rejected": self.counters.rejected,
            "seconds": round(self.seconds, 3),
            "rejected_by_reason": {entry.reason: entry.rows for entry in self.rejected},
            "changed": dict(self.changed),
            "masked": dict(self.masked),
            "lengths_before": None if self.before is None else self.before.to_dict(),
            "lengths_after": self.after.to_dict(),
            "languages": most_frequent(self.languages, _LANGUAGES_LISTED),
            "languages_rejected": most_frequent(self.languages_rejected, _LANGUAGES_LISTED),
            "of_unknown_language": self.of_unknown_language,
        }


def report_of(corpus: Corpus) -> Report:
    """Read the report from a corpus that :func:`~airflow_provider_autoglm.corpus.clean.clean` committed, or a join.

    Texts of the corpus and of its sources are read once, for their lengths. In memory are the counts, three rows for
    each reason, and one row group. What the cleaning masks is masked in the examples too.
    """
    manifest, metrics = corpus.manifest, corpus.manifest.metrics
    settings = settings_of(manifest, CleanSettings)
    languages: Counter[str] = Counter()
    after = Lengths.of(_counting_languages(corpus, languages))
    languages_rejected: Counter[str] = Counter()
    for table in corpus.iter_tables(["lang"], kind="rejected"):
        count_values(languages_rejected, table["lang"])
    sources = sources_of(corpus)
    return Report(
        uri=corpus.uri,
        pipeline=manifest.pipeline,
        created_at=manifest.created_at,
        settings=settings,
        counters=manifest.counters,
        seconds=metrics.get("duration_s", 0.0),
        rejected=tuple(_masked(entry, settings) for entry in set_aside(corpus, "rejected")),
        changed=counts_below(metrics, "changed"),
        masked=counts_below(metrics, "masked"),
        before=Lengths.of(_texts(sources)) if sources else None,
        after=after,
        languages=languages,
        languages_rejected=languages_rejected,
    )


def _texts(sources: Sequence[Corpus]) -> Iterator[pa.Table]:
    for source in sources:
        yield from source.iter_tables(["text"])


def _counting_languages(corpus: Corpus, languages: Counter[str]) -> Iterator[pa.Table]:
    for table in corpus.iter_tables(["text", "lang"]):
        count_values(languages, table["lang"])
        yield table


def _masked(entry: SetAside, settings: CleanSettings) -> SetAside:
    """Rejected rows keep their text as it came, but it is not copied from there unmasked."""
    return replace(entry, examples=tuple(_masked_example(example, settings) for example in entry.examples))


def _masked_example(example: Example, settings: CleanSettings) -> Example:
    document = example.document
    values = pa.array([document.text, document.title], pa.string())
    text, title = mask_personal_data(values, settings.mask)[0].to_pylist()
    return replace(example, document=replace(document, text=text, title=title))

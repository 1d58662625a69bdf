"""What a spot check found, read again from its corpus and its draws: how often people agreed with which label."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.manifest import ReviewRecord
from airflow_provider_autoglm.corpus.schema import REVIEWED_SAMPLE, REVIEWED_SUSPICIOUS
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import AutoGLMError
from airflow_provider_autoglm.labeling.review.draw import SAMPLE
from airflow_provider_autoglm.labeling.review.draw import STAGE as DRAW_STAGE

log = logging.getLogger(__name__)


@dataclass
class Checked:
    """The texts of the random sample or of the suspicious ones.

    ``asked`` counts them by the label they had (None: none), ``pairs`` the answered ones by that and the label that
    people gave (None: none of them).
    """

    asked: Counter[str | None] = field(default_factory=Counter)
    pairs: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)

    def right(self, label: str | None) -> int:
        """Texts of ``label`` to which people gave the same."""
        return self.pairs[label, label]

    def answered(self, label: str | None) -> int:
        """Texts of ``label`` that people answered."""
        return sum(count for (had, _), count in self.pairs.items() if had == label)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "asked": sum(self.asked.values()),
            "answered": sum(self.pairs.values()),
            "answers": [
                {"label": had, "by_people": given, "texts": count}
                for (had, given), count in sorted(self.pairs.items(), key=lambda entry: str(entry[0]))
            ],
        }


@dataclass(frozen=True)
class Report:
    """All of it. If the draws are gone, ``is_known`` is false, and ``sample`` and ``suspicious`` are empty."""

    uri: str
    pipeline: str
    created_at: str
    review: ReviewRecord
    sample: Checked
    suspicious: Checked
    is_known: bool

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types; no text of a document."""
        return {
            "uri": self.uri,
            "created_at": self.created_at,
            **self.review.model_dump(mode="json"),
            "sample": self.sample.to_dict() if self.is_known else None,
            "suspicious": self.suspicious.to_dict() if self.is_known else None,
        }


def report_of(corpus: Corpus) -> Report:
    """Read the report from a corpus that :func:`~airflow_provider_autoglm.labeling.review.decide` committed.

    In memory are the texts that were asked about, without their text, and one row group.
    """
    manifest = corpus.manifest
    assert manifest.review is not None, "decide records the review of what it commits"
    draws = list(_draws(corpus))
    asked = {row["doc_id"]: row for draw in draws for table in draw.iter_tables(_DRAWN) for row in table.to_pylist()}
    given = _given(corpus, asked)
    sample, suspicious = Checked(), Checked()
    for doc_id, row in asked.items():
        checked = sample if row["review_set"] == SAMPLE else suspicious
        checked.asked[row["label"]] += 1
        if doc_id in given:
            checked.pairs[row["label"], given[doc_id]] += 1
    return Report(
        uri=corpus.uri,
        pipeline=manifest.pipeline,
        created_at=manifest.created_at,
        review=manifest.review,
        sample=sample,
        suspicious=suspicious,
        is_known=bool(draws),
    )


_DRAWN = ("doc_id", "label", "review_set")


def _draws(corpus: Corpus) -> Iterator[Corpus]:
    """Of what the stage read, the draws; the answers are no corpora."""
    for item in corpus.manifest.inputs:
        try:
            found = Corpus.open(item.uri, storage=corpus.storage, verify=False)
        except AutoGLMError as error:
            log.info("%s: not a corpus that can be read (%s)", item.uri, type(error).__name__)
            continue
        if found.manifest.stage == DRAW_STAGE and found.digest == item.digest:
            yield found


def _given(corpus: Corpus, asked: Mapping[str, Any]) -> dict[str, str | None]:
    """The label that people gave each text that was asked about and answered."""
    labelers = pa.array([REVIEWED_SAMPLE, REVIEWED_SUSPICIOUS])
    wanted = pa.array(list(asked), pa.string())
    found: dict[str, str | None] = {}
    for table in corpus.iter_tables(["doc_id", "label", "labeler"]):
        is_answer = pc.and_(pc.is_in(table["labeler"], labelers), pc.is_in(table["doc_id"], wanted))
        rows = table.take(np.flatnonzero(np.asarray(is_answer)))
        found.update(zip(rows["doc_id"].to_pylist(), rows["label"].to_pylist(), strict=True))
    return found

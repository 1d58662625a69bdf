"""Labelled corpora whose truth is known, and a reviewer who knows it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.schema import DOCUMENT_SCHEMA, LABEL_COLUMNS
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.labeling import review
from airflow_provider_autoglm.labeling.review import Form, FormRow
from airflow_provider_autoglm.settings import LabelSettings, ReviewSettings

Row = dict[str, Any]
Reviewer = Callable[[FormRow], str | None]

SCHEMA = pa.schema([*DOCUMENT_SCHEMA, *LABEL_COLUMNS])
LABELS = LabelSettings.parse({"kind": "llm", "model": "any", "labels": [{"name": "a"}, {"name": "b"}]})


def review_settings(**changes: Any) -> ReviewSettings:
    return ReviewSettings.parse({"mode": "ask", "suspicious_texts": 0, **changes})


def row(number: int, label: str | None = "a", **columns: Any) -> Row:
    """One labelled document; ``columns`` change or add values."""
    return {
        "doc_id": hashlib.sha256(str(number).encode()).hexdigest()[:32],
        "url": f"https://example.org/{number}",
        "title": f"Page {number}",
        "text": f"This is text number {number}.",
        "label": label,
        "label_score": 0.75,
        "label_margin": 0.5,
        "uncertainty": 0.25,
        "labeler": "llm/any@0",
        "label_source": "auto",
        **columns,
    }


def rows(count: int, **columns: Any) -> list[Row]:
    """Labelled documents, half of them ``a`` and half ``b``."""
    return [row(number, "ab"[number % 2], **columns) for number in range(count)]


@dataclass
class Checks:
    """One corpus of labelled rows and the spot checks of it."""

    folder: Path
    written: int = field(default=0)

    def corpus(self, content: Sequence[Row], *, rows_of_a_shard: int = 100) -> str:
        """Commit labelled rows as the label stage would; the URI."""
        uri = self.uri("label")
        attempt = StageAttempt("label", [], uri, {})
        table = pa.Table.from_pylist(list(content), SCHEMA)
        for first in range(0, table.num_rows, rows_of_a_shard):
            attempt.count_in(min(rows_of_a_shard, table.num_rows - first))
            attempt.write(table.slice(first, rows_of_a_shard))
            attempt.finish_shards()
        return attempt.commit().uri

    def uri(self, name: str) -> str:
        """Where nothing lies yet."""
        self.written += 1
        return f"{self.folder.as_uri()}/{name}-{self.written}"

    def draw(
        self,
        source: str | Sequence[str],
        *,
        label: LabelSettings = LABELS,
        earlier: str | None = None,
        **settings: Any,
    ) -> StageResult:
        """Draw from ``source``."""
        return review.draw(source, self.uri("draw"), review_settings(**settings), label, earlier=earlier)

    def decide(self, source: Any, draws: Sequence[str], answers: Sequence[str], **settings: Any) -> review.ReviewResult:
        """Decide by ``answers``."""
        return review.decide(source, draws, answers, self.uri("review"), review_settings(**settings))


def drawn(uri: str) -> list[Row]:
    """The rows of a draw."""
    table = Corpus.open(uri).to_table()
    return [] if "review_set" not in table.column_names else table.to_pylist()


def by_id(uri: str) -> dict[str, Row]:
    """The rows of a corpus."""
    return {values["doc_id"]: values for values in Corpus.open(uri).to_table().to_pylist()}


def forms(draw_uri: str) -> list[Form]:
    """The forms of a draw."""
    return [review.open_form(uri) for uri in review.forms_of(draw_uri)]


def answer_all(draw_uri: str, reviewer: Reviewer) -> list[str]:
    """The URIs of what ``reviewer`` answers to all forms of a draw."""
    return [review.keep_answers(form, {row.field: reviewer(row) for row in form.rows}) for form in forms(draw_uri)]


def knowing(truth: Mapping[str, str | None]) -> Reviewer:
    """A reviewer who knows the label of each document; None is one that belongs to none of the labels."""
    return lambda asked: truth[asked.doc_id] or review.NONE_OF_THESE


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    """An empty folder of corpora."""
    return Checks(tmp_path)

"""What was crawled and what the gateway saw, all the way to a dataset version: clean, dedupe, label, publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.publish import PublishedDataset, publish
from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA, DOCUMENT_SCHEMA, LABEL_COLUMNS
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.labeling import label
from airflow_provider_autoglm.settings import CleanSettings, DedupeSettings, LabelSettings, PublishSettings
from tests.labeling.sentences import COOKING, FOOTBALL, LABELS, SPACE

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
NAMES = tuple(str(definition["name"]) for definition in LABELS)
CORRECTED = FOOTBALL[0]
"""A crawled text that people label otherwise than the machine."""
OUTSIDE = "Prune the roses in early spring and water the young hedge every week."
"""A text that people say is of none of the classes."""

Labelled = tuple[str, str | None]


TRAFFIC: tuple[Labelled, ...] = (
    *((text, "space" if number % 2 else None) for number, text in enumerate(SPACE)),
    (CORRECTED, "space"),
    (OUTSIDE, "gardening"),
)


@dataclass(frozen=True)
class Pipeline:
    """The stages as the DAG chains them, one folder a run."""

    folder: Path

    def crawl(self, run: str, texts: Sequence[str] = (*COOKING, *FOOTBALL), *, day: int = 0) -> str:
        """A crawled corpus of several shards."""
        pages = [
            {
                "url": f"https://example.com/{number}",
                "source": "site",
                "text": text,
                "fetched_at": MONDAY + timedelta(days=day),
                "final_url": f"https://example.com/{number}",
                "status": 200,
                "host": "example.com",
            }
            for number, text in enumerate(texts)
        ]
        tables = [
            pa.Table.from_pylist(pages[first : first + 10], schema=CRAWL_SCHEMA) for first in range(0, len(pages), 10)
        ]
        return write_corpus(f"{self.folder}/{run}/crawl", tables, stage="crawl", max_shard_bytes=1).uri

    def traffic(self, run: str, rows: Sequence[Labelled] = (), *, day: int = 0) -> str:
        """A corpus of requests; those with a label have it from feedback."""
        schema = pa.schema([*DOCUMENT_SCHEMA, *LABEL_COLUMNS])
        documents = [
            {
                "source": "traffic",
                "text": text,
                "fetched_at": MONDAY + timedelta(days=day),
                "label": given,
                "label_score": None if given is None else 1.0,
                "label_source": None if given is None else "feedback",
            }
            for text, given in rows
        ]
        tables = [pa.Table.from_pylist(documents, schema=schema)] if documents else []
        return write_corpus(f"{self.folder}/{run}/collect_traffic", tables, stage="collect_traffic").uri

    def publish(self, run: str, *sources: str) -> PublishedDataset:
        """Everything behind the sources."""
        folder = f"{self.folder}/{run}"
        cleaned = [
            clean(part["source"], part["destination"], CleanSettings(min_chars=20)).uri
            for part in split_corpus(sources, f"{folder}/clean")
        ]
        joined = join_corpora(cleaned, f"{folder}/clean", stage="clean").uri
        distinct = deduplicate(joined, f"{folder}/dedupe", DedupeSettings()).uri
        labelled = [
            label(part["source"], part["destination"], LabelSettings.parse({"labels": LABELS})).uri
            for part in split_corpus(distinct, f"{folder}/label")
        ]
        source = join_corpora(labelled, f"{folder}/label", stage="label").uri
        return publish(source, f"{self.folder}/datasets", PublishSettings(labels=NAMES, min_class_rows=0))

    def version(self, number: int) -> Corpus:
        """A dataset version."""
        return Corpus.open(f"{self.folder}/datasets/v{number}")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Version 1 of a crawl alone, version 2 of the same site and of traffic that brings a new subject."""
    made = Pipeline(tmp_path_factory.mktemp("pipeline"))
    first = made.publish("first", made.crawl("first"), made.traffic("first"))
    assert (first.version, first.has_news) == (1, True)
    second = made.publish("second", made.crawl("second", day=1), made.traffic("second", TRAFFIC, day=2))
    assert (second.version, second.has_news) == (2, True)
    return made


def test_traffic_adds_rows_and_no_columns(pipeline: Pipeline) -> None:
    before, after = pipeline.version(1), pipeline.version(2)

    assert before.rows == len(COOKING) + len(FOOTBALL)
    assert after.schemas() == before.schemas()
    assert [name for name in after.schemas()[0].names if name in LABEL_COLUMNS.names] == LABEL_COLUMNS.names
    assert set(after.to_table(["text"])["text"].to_pylist()) == {*COOKING, *FOOTBALL, *SPACE}
    assert after.rows == before.rows + len(SPACE)


def test_labels_from_feedback_pass_untouched_and_the_rest_of_the_traffic_is_labelled(pipeline: Pipeline) -> None:
    rows = {row["text"]: row for row in pipeline.version(2).to_table().to_pylist()}
    by_people = [rows[text] for text, given in TRAFFIC if given == "space"]
    by_machine = [rows[text] for text, given in TRAFFIC if given is None and text in SPACE]

    assert {(row["label"], row["label_source"], row["label_score"], row["labeler"]) for row in by_people} == {
        ("space", "feedback", 1.0, None)
    }
    assert {(row["source"], row["url"], row["status"]) for row in by_machine} == {("traffic", None, None)}
    assert {row["label_source"] for row in by_machine} == {"auto"}
    assert [row["label"] for row in by_machine].count("space") >= 5
    assert all(0 < row["label_score"] <= 1 and row["labeler"].startswith("embedding/") for row in by_machine)


def test_a_crawled_text_that_people_corrected_is_one_row_with_their_label_in_its_split(pipeline: Pipeline) -> None:
    def found(version: int, text: str) -> list[tuple[str, str, str, str]]:
        corpus = pipeline.version(version)
        return [
            (stored.shard.name.partition("-")[0], row["source"], row["label"], row["url"])
            for stored in corpus.shards
            for table in corpus.shard_tables(stored)
            for row in table.to_pylist()
            if row["text"] == text
        ]

    ((split, *before),) = found(1, CORRECTED)
    assert before == ["site", "football", f"https://example.com/{len(COOKING)}"]
    assert found(2, CORRECTED) == [(split, "traffic", "space", before[2])]
    manifest = pipeline.version(2).manifest
    assert manifest.metrics["removed/superseded"] == pipeline.version(1).rows
    assert manifest.dataset is not None
    assert (manifest.dataset["new_documents"], manifest.dataset["changed_labels"]) == (len(SPACE), 1)


def test_within_a_run_dedupe_keeps_the_row_that_people_labelled(pipeline: Pipeline) -> None:
    removed = Corpus.open(f"{pipeline.folder}/second/dedupe").to_table(kind="removed").to_pylist()

    assert [(row["text"], row["source"], row["reason"]) for row in removed] == [(CORRECTED, "site", "exact_duplicate")]


def test_a_label_from_feedback_outside_the_set_goes_to_rejected(pipeline: Pipeline) -> None:
    rejected = pipeline.version(2).to_table(kind="rejected").to_pylist()

    assert [(row["text"], row["label"], row["reason"]) for row in rejected] == [(OUTSIDE, "gardening", "unknown_label")]


def test_lineage_names_the_crawl_and_the_traffic(pipeline: Pipeline) -> None:
    origins = Corpus.open(f"{pipeline.folder}/second/clean").manifest.origins

    assert [item.uri.rpartition("/")[2] for item in origins] == ["crawl", "collect_traffic"]


@pytest.mark.parametrize(
    ("run", "pages", "requests"),
    [
        ("crawled and collected again", (*COOKING, *FOOTBALL), TRAFFIC),
        ("crawled again", (*COOKING, *FOOTBALL), ()),
        ("nothing at all", (), ()),
    ],
)
def test_the_same_again_is_the_same_version_without_news(
    pipeline: Pipeline, run: str, pages: Sequence[str], requests: Sequence[Labelled]
) -> None:
    again = pipeline.publish(run, pipeline.crawl(run, pages, day=7), pipeline.traffic(run, requests, day=2))

    assert (again.version, again.reused, again.has_news) == (2, True, False)

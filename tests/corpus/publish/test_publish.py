from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_autoglm.corpus.publish import PublishedDataset, publish
from airflow_provider_autoglm.corpus.publish.versions import committed_versions, newest_version
from airflow_provider_autoglm.corpus.result import Progress
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import (
    EmptyClassError,
    EmptyDatasetError,
    IncompatibleSchemasError,
    LabelSetChangedError,
    MissingColumnsError,
    SchemaChangedError,
    ShardDamagedError,
    StorageError,
    UnusableColumnError,
)
from airflow_provider_autoglm.settings import PublishSettings
from tests.corpus.conftest import at_once, documents, killed_after_shards
from tests.corpus.publish.conftest import Datasets, row, rows, write_table

NOW = datetime.now(UTC)


def code_of(sources: list[str], destination: str, progress: str = "None") -> str:
    return f"""
from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.settings import PublishSettings

def run():
    return publish({sources!r}, {destination!r}, PublishSettings(), progress={progress}).to_dict()
"""


def manifests_of(datasets: Datasets) -> list[str]:
    return sorted(f"{path.parent.name}/{path.name}" for path in (datasets.folder / "datasets").rglob("_manifest*"))


# Whole versions


def test_the_first_version_holds_all_labelled_rows(datasets: Datasets) -> None:
    published = datasets.publish(rows(0, 50))

    assert (published.version, published.reused, published.has_news) == (1, False, True)
    assert published.uri == f"{datasets.uri}/v1"
    found = datasets.rows(1)
    assert len(found) == 50
    counted = {split: sum(values["split"] == split for values in found.values()) for split in published.splits}
    assert published.splits == counted
    record = datasets.manifest(1).dataset
    assert record is not None
    assert record["label_counts"] == {"a": 25, "b": 25}
    assert PublishedDataset(**json.loads(json.dumps(published.to_dict()))) == published


def test_a_version_is_the_one_before_and_what_is_new(datasets: Datasets) -> None:
    datasets.publish(rows(0, 20))
    published = datasets.publish(rows(20, 30))

    assert published.version == 2
    assert set(datasets.rows(2)) == {values["doc_id"] for values in rows(0, 30)}
    assert len(datasets.rows(1)) == 20
    record = datasets.manifest(2).dataset
    assert record is not None
    assert (record["previous"], record["new_documents"], record["dropped_documents"]) == (1, 10, 0)
    counters = datasets.manifest(2).counters
    assert (counters.rows_in, counters.rows_out, counters.removed) == (30, 30, 0)
    assert [item.uri for item in datasets.manifest(2).inputs] == [datasets.corpora[1], f"{datasets.uri}/v1"]


def test_a_newer_row_replaces_the_older_of_the_same_document(datasets: Datasets) -> None:
    datasets.publish([row(1, "a", stars=1), row(2, "a", stars=1)])
    datasets.publish([row(1, "b", stars=5)])

    found = datasets.rows(2)
    assert {doc_id: (values["label"], values["stars"]) for doc_id, values in found.items()} == {
        "doc-0001": ("b", 5),
        "doc-0002": ("a", 1),
    }
    assert datasets.manifest(2).metrics["removed/superseded"] == 1
    assert datasets.aside(2, "removed") == {}


@pytest.mark.parametrize("people", ["human", "feedback"])
def test_labels_given_by_people_stay_over_newer_automatic_ones(datasets: Datasets, people: str) -> None:
    datasets.publish([row(1, "a", label_source=people, label_score=1.0, stars=1), row(2, "a")])
    datasets.publish([row(1, "b", stars=5), row(2, "b")])
    datasets.publish([row(1, None), row(2, "b"), row(3)])

    for version in (2, 3):
        first = datasets.rows(version)["doc-0001"]
        assert (first["label"], first["label_source"], first["label_score"]) == ("a", people, 1.0)
        assert datasets.rows(version)["doc-0002"]["label"] == "b"
    assert datasets.rows(2)["doc-0001"]["stars"] == 5
    record = datasets.manifest(2).dataset
    assert record is not None
    assert record["label_counts"] == {"a": 1, "b": 1}


def test_newer_labels_by_people_replace_older_ones(datasets: Datasets) -> None:
    datasets.publish([row(1, "a", label_source="human")])
    datasets.publish([row(1, "b", label_source="feedback")])

    assert datasets.rows(2)["doc-0001"]["label"] == "b"


def test_a_label_confirmed_by_people_is_news_and_stays(datasets: Datasets) -> None:
    datasets.publish([row(1, "a")])
    confirmed = datasets.publish([row(1, "a", label_source="human")])
    again = datasets.publish([row(1, "a", label_source="human"), row(1, "a")])
    datasets.publish([row(1, "b"), row(2, "b")])

    assert (confirmed.version, confirmed.has_news) == (2, True)
    assert (again.version, again.has_news) == (2, False)
    assert datasets.rows(3)["doc-0001"]["label"] == "a"


def test_an_edited_page_stays_in_the_split_of_its_earlier_texts(datasets: Datasets) -> None:
    def page(number: int, edition: int) -> dict[str, Any]:
        name = f"{edition}-{number}"
        url = f"https://example.com/{number}"
        text = f"This is edition {edition} of the page {number}."
        return row(number, "ab"[number % 2], doc_id=name, cluster_id=name, url=url, text=text)

    for edition in (1, 2, 3):
        datasets.publish([page(number, edition) for number in range(60)])

    splits: dict[str, set[str]] = {}
    for found in datasets.rows(3).values():
        splits.setdefault(found["url"], set()).add(found["split"])
    assert len(datasets.rows(3)) == 180
    assert {len(of_one_page) for of_one_page in splits.values()} == {1}
    assert {split for of_one_page in splits.values() for split in of_one_page} == {"train", "validation", "test"}


def test_an_address_that_many_documents_share_does_not_bind_them_together(datasets: Datasets) -> None:
    datasets.publish(rows(0, 60, url="https://example.com/all"))
    datasets.publish(rows(60, 200, url="https://example.com/all"))

    assert {found["split"] for found in list(datasets.rows(2).values())[60:]} == {"train", "validation", "test"}


def test_erased_documents_are_in_no_further_version(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10))
    published = datasets.publish(rows(2, 4), erase_doc_ids=["doc-0003", "doc-0005"])

    assert published.version == 2
    assert set(datasets.rows(1)) - set(datasets.rows(2)) == {"doc-0003", "doc-0005"}
    assert datasets.manifest(2).metrics["removed/erased"] == 3
    assert datasets.aside(2, "removed") == datasets.aside(2, "rejected") == {}
    folder = datasets.folder / "datasets" / "v2"
    assert not [path for path in folder.rglob("*.parquet") if b"text number 3." in path.read_bytes()]


def test_documents_older_than_the_window_are_left_out(datasets: Datasets) -> None:
    def fetched(days: int) -> datetime:
        return NOW - timedelta(days=days)

    datasets.publish([row(1, fetched_at=fetched(40)), row(2, fetched_at=fetched(1)), row(3, fetched_at=None)])
    published = datasets.publish([row(4, fetched_at=fetched(31)), row(5, fetched_at=fetched(29))], window_days=30)

    assert published.version == 2
    assert set(datasets.rows(2)) == {"doc-0002", "doc-0003", "doc-0005"}
    assert datasets.manifest(2).metrics["removed/expired"] == 2


def test_a_document_seen_again_starts_its_window_anew(datasets: Datasets) -> None:
    datasets.publish([row(1, fetched_at=NOW - timedelta(days=40)), row(2, fetched_at=NOW)])
    datasets.publish([row(1, fetched_at=NOW)], window_days=30)

    assert set(datasets.rows(2)) == {"doc-0001", "doc-0002"}


def test_rows_without_label_and_repeated_ones_are_put_aside(datasets: Datasets) -> None:
    datasets.publish([row(1), row(2, None), row(3, "a"), row(3, "b")])

    assert {doc_id: values["label"] for doc_id, values in datasets.rows(1).items()} == {
        "doc-0001": "a",
        "doc-0003": "a",
    }
    assert datasets.aside(1, "removed") == {"doc-0002": "abstained", "doc-0003": "duplicate_doc_id"}
    counters = datasets.manifest(1).counters
    assert (counters.rows_in, counters.rows_out, counters.removed) == (4, 2, 2)


def test_a_row_that_lost_its_label_does_not_take_the_older_one_away(datasets: Datasets) -> None:
    datasets.publish([row(1, "a")])
    published = datasets.publish([row(1, None), row(2, "a")])

    assert datasets.rows(published.version)["doc-0001"]["label"] == "a"


def test_rows_that_are_no_documents_or_of_no_known_label_are_rejected(datasets: Datasets) -> None:
    table = pa.Table.from_pylist([row(1), row(2), row(3), row(4, "zebra")])
    table = table.set_column(0, "doc_id", pa.array(["doc-0001", None, "doc-0003", "doc-0004"]))
    table = table.set_column(1, "text", pa.array(["one", "two", None, "four"]))
    published = datasets.publish(datasets.corpus(table), labels=["a"])

    assert set(datasets.rows(published.version)) == {"doc-0001"}
    corpus = Corpus.open(published.uri)
    assert sorted(corpus.to_table(kind="rejected")["reason"].to_pylist()) == [
        "missing_doc_id",
        "missing_text",
        "unknown_label",
    ]


def test_a_label_taken_out_of_the_settings_leaves_the_dataset(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10), labels=["a", "b"])
    published = datasets.publish([row(20, "a")], labels=["a"], allow_label_change=True)

    assert {values["label"] for values in datasets.rows(2).values()} == {"a"}
    assert published.version == 2
    assert datasets.manifest(2).metrics["removed/unknown_label"] == 5
    record = datasets.manifest(2).dataset
    assert record is not None
    assert (record["labels"], record["dropped_documents"]) == (["a"], 5)


def test_a_label_added_to_the_settings_is_a_new_version(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10), labels=["a", "b"])
    published = datasets.publish(rows(0, 10), labels=["a", "b", "c"], min_class_rows=0, allow_label_change=True)

    assert (published.version, published.has_news) == (2, True)
    record = datasets.manifest(2).dataset
    assert record is not None
    assert record["label_counts"] == {"a": 5, "b": 5, "c": 0}


@pytest.mark.parametrize(
    ("labels", "added", "removed"),
    [(["b", "a", "c"], ["c"], []), (["a"], [], ["b"]), (["c", "a"], ["c"], ["b"])],
)
def test_other_classes_than_those_of_the_version_before_are_refused_by_name(
    datasets: Datasets, labels: list[str], added: list[str], removed: list[str]
) -> None:
    datasets.publish(rows(0, 10), labels=["a", "b"])

    with pytest.raises(LabelSetChangedError, match="those of dataset version 1: ") as raised:
        datasets.publish(rows(10, 20), labels=labels, min_class_rows=0)
    assert (raised.value.added, raised.value.removed) == (added, removed)
    assert "publish.allow_label_change" in str(raised.value)
    for name in added:
        assert f"{name} added" in str(raised.value)
    for name in removed:
        assert f"{name} removed" in str(raised.value)
    assert manifests_of(datasets) == ["v1/_manifest.json"]


def test_the_order_of_the_classes_may_change_and_without_names_the_rows_name_them(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10), labels=["a", "b"])
    datasets.publish(rows(10, 20), labels=["b", "a"])
    datasets.publish([row(20, "c")])

    assert [datasets.record(version).labels for version in (1, 2, 3)] == [("a", "b"), ("b", "a"), ("a", "b", "c")]


def test_several_corpora_and_parts_of_one_are_published_together(datasets: Datasets) -> None:
    one, other = datasets.corpus(rows(0, 30)), datasets.corpus(rows(30, 35))
    published = datasets.publish(f"{one}#shards=1-2", other)

    assert set(datasets.rows(published.version)) == {values["doc_id"] for values in rows(10, 35)}


# Nothing new, retries and races


def test_nothing_new_is_the_same_version_without_news(datasets: Datasets) -> None:
    first = datasets.publish(rows(0, 20))
    again = datasets.publish(rows(5, 15))
    empty = datasets.publish([])

    for published in (again, empty):
        assert (published.version, published.reused, published.has_news) == (1, True, False)
        assert (published.digest, published.splits) == (first.digest, first.splits)
    assert manifests_of(datasets) == ["v1/_manifest.json"]


def test_the_same_rows_crawled_by_another_run_are_no_news(datasets: Datasets) -> None:
    datasets.publish(rows(0, 20))
    again = datasets.publish(rows(0, 20))

    assert (again.version, again.has_news) == (1, False)


def test_a_retry_after_the_commit_tells_the_news_again_without_a_new_version(datasets: Datasets) -> None:
    corpus = datasets.corpus(rows(0, 20))
    first = datasets.publish(corpus)
    (datasets.folder / "datasets" / "v1" / "README.md").unlink()

    retried = datasets.publish(corpus)

    assert (retried.version, retried.reused, retried.has_news) == (1, True, True)
    assert (retried.digest, retried.splits) == (first.digest, first.splits)
    assert (datasets.folder / "datasets" / "v1" / "README.md").exists()
    assert manifests_of(datasets) == ["v1/_manifest.json"]


def test_a_retry_finds_its_version_behind_a_newer_one(datasets: Datasets) -> None:
    mine, others = datasets.corpus(rows(0, 20)), datasets.corpus(rows(20, 30))
    datasets.publish(mine)
    datasets.publish(others)

    assert (datasets.publish(mine).version, datasets.publish(mine).has_news) == (1, True)
    assert newest_version(datasets.uri, Storage.local()) is not None
    assert [version.number for version in committed_versions(datasets.uri, Storage.local())] == [2, 1]


def test_a_retry_tells_the_news_on_a_machine_whose_clock_is_behind(datasets: Datasets) -> None:
    corpus = datasets.corpus(rows(0, 20))
    datasets.publish(corpus)
    manifest = datasets.folder / "corpus-0" / "_manifest.json"
    ahead = datetime.now(UTC) + timedelta(minutes=10)
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "created_at": ahead.isoformat()}))

    assert datasets.publish(corpus).has_news
    assert manifests_of(datasets) == ["v1/_manifest.json"]


def test_a_publication_killed_between_two_shards_is_done_again_and_nothing_is_twice(datasets: Datasets) -> None:
    corpus = datasets.corpus(rows(0, 2500), rows_of_a_shard=500)
    killed_after_shards(3, code_of([corpus], datasets.uri, "progress") + "run()")
    killed_files = set((datasets.folder / "datasets" / "v1" / "data").glob("*.parquet"))
    assert killed_files
    assert manifests_of(datasets) == []

    published = datasets.publish(corpus)

    assert (published.version, published.reused, published.has_news) == (1, False, True)
    assert len(datasets.rows(1)) == sum(published.splits.values()) == 2500
    named = {Path(stored.uri.removeprefix("file://")) for stored in Corpus.open(published.uri).shards}
    assert not named & killed_files


def test_two_publications_of_the_same_corpus_at_once_are_one_version(datasets: Datasets) -> None:
    corpus = datasets.corpus(rows(0, 100))
    code = code_of([corpus], datasets.uri) + "\ndef attempt(_):\n    return run()\n"

    ((one, other),) = at_once(code, code)

    assert manifests_of(datasets) == ["v1/_manifest.json"]
    assert {one["version"], other["version"]} == {1}
    assert (one["has_news"], other["has_news"]) == (True, True)
    assert sorted((one["reused"], other["reused"])) == [False, True]
    assert len(datasets.rows(1)) == 100


def test_two_publications_of_other_corpora_at_once_are_two_versions_without_loss(datasets: Datasets) -> None:
    corpora = [datasets.corpus(rows(0, 100)), datasets.corpus(rows(100, 200))]
    codes = [code_of([corpus], datasets.uri) + "\ndef attempt(_):\n    return run()\n" for corpus in corpora]

    (results,) = at_once(*codes)

    assert sorted(result["version"] for result in results) == [1, 2]
    assert manifests_of(datasets) == ["v1/_manifest.json", "v2/_manifest.json"]
    assert len(datasets.rows(1)) == 100
    assert len(datasets.rows(2)) == 200


def test_a_version_taken_while_another_is_written_is_built_upon(datasets: Datasets) -> None:
    mine, others = datasets.corpus(rows(0, 20)), datasets.corpus(rows(20, 30))

    def publish_others(_: Progress) -> None:
        datasets.publish(others)

    published = publish(mine, datasets.uri, PublishSettings(), progress=publish_others)

    assert published.version == 2
    assert len(datasets.rows(1)) == 10
    assert len(datasets.rows(2)) == 30


class Interrupting(LocalFileSystem):  # type: ignore[misc]
    """Local files; while the corpus is read a second time, something else happens first."""

    cachable = False

    def __init__(self, meanwhile: Callable[[], Any], shard: str, reads: int) -> None:
        super().__init__()
        self.meanwhile = meanwhile
        self.shard = shard
        self.reads_left = reads

    def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        if path == self.shard:
            self.reads_left -= 1
            if self.reads_left == 0:
                self.meanwhile()
        return super().open(path, *args, **kwargs)


@pytest.mark.parametrize("reads", [1, 2, 3, 4])
def test_a_version_taken_while_another_is_planned_is_built_upon(datasets: Datasets, reads: int) -> None:
    mine, others = datasets.corpus(rows(0, 5)), datasets.corpus(rows(20, 30))
    (stored,) = Corpus.open(mine).shards
    interrupting = Interrupting(lambda: datasets.publish(others), stored.uri.removeprefix("file://"), reads)

    published = publish(mine, datasets.uri, PublishSettings(), storage=Storage(interrupting, "file:///"))

    assert interrupting.reads_left <= 0
    assert published.version == 2
    assert manifests_of(datasets) == ["v1/_manifest.json", "v2/_manifest.json"]
    assert len(datasets.rows(1)) == 10
    assert len(datasets.rows(2)) == 15


def test_versions_are_ordered_by_number_and_other_folders_are_passed_over(datasets: Datasets) -> None:
    for number in range(10):
        datasets.publish([row(number)])
    for name in ("v11", "v007", "latest", "v-1"):
        (datasets.folder / "datasets" / name / "data").mkdir(parents=True)

    published = datasets.publish([row(50)])

    assert published.version == 11
    assert len(datasets.rows(11)) == 11
    assert newest_version(f"{datasets.uri}/nothing", Storage.local()) is None


# Refusals


def test_a_class_without_enough_rows_is_refused_with_all_counts(datasets: Datasets) -> None:
    labels = ["a", "b", "c"]
    with pytest.raises(EmptyClassError, match=r"too few rows for c 0; publish.min_class_rows = 1") as raised:
        datasets.publish(rows(0, 10), labels=labels)
    assert raised.value.counts == {"a": 5, "b": 5, "c": 0}
    assert manifests_of(datasets) == []

    with pytest.raises(EmptyClassError, match="too few rows for a 5, b 5, c 0"):
        datasets.publish(rows(0, 10), labels=labels, min_class_rows=6)
    assert datasets.publish(rows(0, 10), labels=labels, min_class_rows=0).version == 1


def test_a_first_version_without_any_row_is_refused(datasets: Datasets) -> None:
    with pytest.raises(EmptyClassError, match="no labelled row"):
        datasets.publish([])
    with pytest.raises(EmptyDatasetError, match=r"no labelled row for the first version in file://.*/datasets"):
        datasets.publish([row(1, None)], labels=["a", "b"], min_class_rows=0)

    assert datasets.publish(rows(0, 10), labels=["a", "b"]).version == 1
    assert not datasets.publish([], labels=["a", "b"], min_class_rows=0).has_news


def test_changed_columns_are_refused_until_the_switch_is_set(datasets: Datasets) -> None:
    datasets.publish([row(1, stars=1)])
    changed = datasets.corpus([row(2, stars=1.5, mood="fine")])

    with pytest.raises(SchemaChangedError, match=r"set publish\.allow_schema_change") as raised:
        datasets.publish(changed)
    assert raised.value.changes == ["mood added", "stars int64 → double"]
    assert manifests_of(datasets) == ["v1/_manifest.json"]

    published = datasets.publish(changed, allow_schema_change=True)
    found = datasets.rows(published.version)
    assert (found["doc-0001"]["mood"], found["doc-0001"]["stars"]) == (None, 1.0)
    assert (found["doc-0002"]["mood"], found["doc-0002"]["stars"]) == ("fine", 1.5)


def test_narrower_absent_and_null_columns_are_no_change(datasets: Datasets) -> None:
    datasets.publish([row(1, stars=1, mood="fine")])
    table = pa.Table.from_pylist([row(2)]).append_column("stars", pa.array([5], pa.int8()))
    datasets.publish(datasets.corpus(table.append_column("mood", pa.nulls(1))))

    second = datasets.rows(2)["doc-0002"]
    assert (second["stars"], second["mood"]) == (5, None)


def test_columns_that_do_not_fit_together_are_named(datasets: Datasets) -> None:
    datasets.publish([row(1, stars=1)])
    text = datasets.corpus([row(2, stars="five")])

    with pytest.raises(SchemaChangedError, match="stars int64 → string"):
        datasets.publish(text)
    with pytest.raises(IncompatibleSchemasError, match=r"stars.*int64 vs string"):
        datasets.publish(text, allow_schema_change=True)
    with pytest.raises(IncompatibleSchemasError, match="give the column one type"):
        publish([text, datasets.corpus([row(3, stars=1)])], f"{datasets.uri}-of-others", PublishSettings())


def test_a_column_that_must_not_be_null_may_be_absent_elsewhere(datasets: Datasets) -> None:
    schema = pa.schema([*pa.Table.from_pylist([row(1)]).schema, pa.field("stars", pa.int64(), nullable=False)])
    datasets.publish(datasets.corpus(pa.Table.from_pylist([row(1, stars=1)], schema=schema)), [row(2)])

    assert {values["stars"] for values in datasets.rows(1).values()} == {1, None}


def test_unlabelled_documents_are_refused(datasets: Datasets, tmp_path: Path) -> None:
    source = write_corpus(str(tmp_path / "unlabelled"), [documents(3)], stage="crawl").uri

    with pytest.raises(MissingColumnsError, match="missing columns label"):
        datasets.publish(source)


@pytest.mark.parametrize("column", ["label", "cluster_id"])
def test_labels_and_clusters_are_strings(datasets: Datasets, column: str) -> None:
    with pytest.raises(UnusableColumnError, match=f"column {column} of type int64 cannot be used as string"):
        datasets.publish([{**row(1), column: 3}])


def test_a_damaged_previous_version_is_not_built_upon(datasets: Datasets) -> None:
    datasets.publish(rows(0, 30))
    shard = next((datasets.folder / "datasets" / "v1" / "data").glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-1])

    with pytest.raises(ShardDamagedError, match=shard.name):
        datasets.publish(rows(30, 40))


@pytest.mark.parametrize("in_the_way", ["datasets", "datasets/v1", "datasets/v1/data"])
def test_an_unwritable_destination_is_named(datasets: Datasets, in_the_way: str) -> None:
    path = datasets.folder / in_the_way
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")

    with pytest.raises(StorageError, match=str(path)):
        datasets.publish(rows(0, 10))


def test_a_stage_of_another_kind_may_be_published(datasets: Datasets, tmp_path: Path) -> None:
    table = pa.table({"doc_id": ["x"], "text": ["one"], "label": ["a"]})
    published = datasets.publish(write_table(str(tmp_path / "bare"), table, rows_of_a_shard=1))

    (found,) = datasets.rows(published.version).values()
    assert (found["label"], found["label_source"], found["label_score"]) == ("a", None, None)


# Room for the plan


def test_a_temporary_folder_without_room_is_named(datasets: Datasets) -> None:
    corpus = datasets.corpus(rows(0, 2_000), rows_of_a_shard=1_000)
    code = f"""
import resource, signal
from airflow_provider_autoglm.corpus.publish import publish, rows
from airflow_provider_autoglm.exceptions import StorageError
from airflow_provider_autoglm.settings import PublishSettings

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
rows._CACHE_KIB = 64
try:
    publish({corpus!r}, {datasets.uri!r}, PublishSettings())
except StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "TMPDIR" in done.stdout
    assert manifests_of(datasets) == []

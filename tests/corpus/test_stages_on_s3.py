"""Every stage of a dataset with its corpora in a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pytest

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.cleanup import delete_expired_shards
from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.handover import filesystem_to_json
from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.publish.stage import PublishedDataset
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.labeling import label
from airflow_provider_autoglm.settings import (
    CleanSettings,
    CrawlSettings,
    DedupeSettings,
    LabelSettings,
    PublishSettings,
)
from demo.variable import demo_variable
from tests.conftest import Site
from tests.corpus.conftest import documents, killed_after_shards
from tests.s3_server import SECRET, S3Server

_CLEAN = """
from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.handover import storage_from_json
from airflow_provider_autoglm.settings import CleanSettings

storage = storage_from_json({storage!r}, "s3://")
clean({source!r}, {destination!r}, CleanSettings(), storage=storage, progress=progress)
"""


@dataclass(frozen=True)
class Bucket:
    """A bucket of a test's own."""

    storage: Storage
    url: str


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> Bucket:
    return Bucket(s3_server.storage(), f"s3://{s3_server.new_bucket()}")


@pytest.fixture(scope="module")
def published(bucket: Bucket, small_site: Site, compiled_kernels: None) -> PublishedDataset:
    """Version 1, through all stages."""
    variable = demo_variable(small_site.url, is_own_site=True)
    run, on_bucket = f"{bucket.url}/default/runs/manual__2026-11-22T10:00:00+00:00", {"storage": bucket.storage}
    labels: dict[str, Any] = {"labels": variable["labels"], "max_tokens": 64}
    crawled = crawl(
        variable["sources"],
        f"{run}/crawl",
        CrawlSettings.parse({**variable["crawl"], "pages_per_shard": 60}),
        **on_bucket,
    )
    parts = [
        clean(part["source"], part["destination"], CleanSettings(), **on_bucket).uri
        for part in split_corpus(crawled.uri, f"{run}/clean", **on_bucket)
    ]
    cleaned = join_corpora(parts, f"{run}/clean", stage="clean", **on_bucket)
    deduplicated = deduplicate(
        cleaned.uri, f"{run}/dedupe", DedupeSettings(), state_uri=f"{bucket.url}/default/state/dedupe", **on_bucket
    )
    labelled = label(deduplicated.uri, f"{run}/label", LabelSettings.parse(labels), **on_bucket)
    names = [each["name"] for each in variable["labels"]]
    settings = PublishSettings.parse({"labels": names, "min_class_rows": 0})
    return publish(labelled.uri, f"{bucket.url}/default/datasets", settings, **on_bucket)


def test_every_document_of_the_site_arrives(published: PublishedDataset, bucket: Bucket, small_site: Site) -> None:
    assert (published.uri, published.version) == (f"{bucket.url}/default/datasets/v1", 1)
    arrived = set(Corpus.open(published.uri, storage=bucket.storage).to_table()["url"].to_pylist())
    run = f"{bucket.url}/default/runs/manual__2026-11-22T10:00:00+00:00"
    for stage, kind in (("clean", "rejected"), ("dedupe", "removed")):
        left = Corpus.open(f"{run}/{stage}", storage=bucket.storage).to_table(kind=kind)
        arrived |= set(left["url"].to_pylist())
    assert set(small_site.truth) <= arrived


def test_a_copy_of_the_version_opens_with_datasets(published: PublishedDataset, bucket: Bucket, tmp_path: Path) -> None:
    bucket.storage.filesystem.get(published.uri, str(tmp_path / "v1"), recursive=True)
    opened = datasets.load_dataset(str(tmp_path / "v1"), cache_dir=str(tmp_path / "cache"))

    rows = {split: len(dataset) for split, dataset in opened.items()}
    assert rows == {split: count for split, count in published.splits.items() if count}


def test_no_secret_is_written_down(published: PublishedDataset, bucket: Bucket) -> None:
    written = bucket.storage.filesystem.find(bucket.url.removeprefix("s3://"))
    documents_of_ours = [path for path in written if path.endswith((".json", ".md"))]
    assert len(documents_of_ours) > 5
    for path in documents_of_ours:
        assert SECRET.encode() not in bucket.storage.filesystem.cat_file(path)


def test_a_stage_that_is_killed_goes_on_at_the_last_finished_shard(bucket: Bucket, s3_server: S3Server) -> None:
    source = write_corpus(
        f"{bucket.url}/killed/source",
        [documents(10, first=first) for first in range(0, 50, 10)],
        stage="crawl",
        max_shard_bytes=1,
        storage=bucket.storage,
    ).uri
    destination = f"{bucket.url}/killed/clean"
    handed = filesystem_to_json(bucket.storage)
    killed_after_shards(2, _CLEAN.format(storage=handed, source=source, destination=destination))
    shards = [uri for uri in bucket.storage.list(destination) if uri.endswith(".parquet")]
    assert len(shards) == 2

    s3_server.requests()
    result = clean(source, destination, CleanSettings(), storage=bucket.storage)

    assert sum(request.path.endswith(".parquet") for request in s3_server.requests() if request.method == "PUT") == 3
    assert (result.rows_in, result.rows_out) == (50, 50)
    corpus = Corpus.open(destination, storage=bucket.storage)
    assert {stored.uri for stored in corpus.shards} > set(shards)
    whole = clean(source, f"{bucket.url}/killed/at-once", CleanSettings(), storage=bucket.storage)
    assert whole.digest == result.digest


def test_the_cleanup_deletes_what_no_manifest_names_and_lists_each_folder_once(
    bucket: Bucket, s3_server: S3Server
) -> None:
    folder = f"{bucket.url}/cleaned"
    uri = write_corpus(f"{folder}/corpus", [documents(10)], stage="crawl", storage=bucket.storage).uri
    left = [
        f"{folder}/corpus/20260101T000000-deadbeef-00000.parquet",
        f"{folder}/corpus/.writing-0123456789abcdef",
        f"{folder}/killed/rejected/20260101T000000-deadbeef-00000.parquet",
    ]
    kept = [f"{folder}/corpus/notes.parquet", f"{folder}/corpus/_progress/0-1/00000.json"]
    for each in (*left, *kept):
        bucket.storage.replace(each, b"")
    assert list(delete_expired_shards(folder, bucket.storage)) == []
    s3_server.requests()

    assert sorted(delete_expired_shards(folder, bucket.storage, expires_after_s=-60)) == sorted(left)

    listings = [request.query for request in s3_server.requests() if "delimiter" in request.query]
    assert len([query for query in listings if "max-keys" not in query]) == 6
    assert [bucket.storage.exists(each) for each in (*left, *kept)] == [False] * 3 + [True] * 2
    assert Corpus.open(uri, storage=bucket.storage).rows == 10


def test_reading_a_corpus_takes_few_requests(bucket: Bucket, s3_server: S3Server) -> None:
    tables = [documents(1_000, first=first) for first in range(0, 20_000, 1_000)]
    uri = write_corpus(f"{bucket.url}/read", tables, stage="crawl", storage=bucket.storage).uri
    s3_server.requests()

    corpus = Corpus.open(uri, storage=bucket.storage)
    assert sum(table.num_rows for table in corpus.iter_tables()) == 20_000
    assert len(s3_server.requests()) <= 12

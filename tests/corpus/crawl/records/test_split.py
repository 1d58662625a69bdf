from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.records.split import split_sources
from airflow_provider_autoglm.corpus.parts import join_corpora
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import SettingsError, TooManyRejectedError
from airflow_provider_autoglm.settings import Source


def local(_: Source) -> Storage:
    return Storage.local()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Files of sizes 1, 2, … 6 hundred lines."""
    for number in range(1, 7):
        lines = [json.dumps({"text": f"text {line} of file {number}"}) for line in range(100 * number)]
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.jsonl").write_text("\n".join(lines))
    return str(tmp_path / "in")


def test_files_are_spread_by_size_and_each_host_is_one_part(folder: str) -> None:
    sources = [
        {"files": folder, "name": "tickets", "fields": {"text": "text"}},
        "https://a.org/one",
        "https://b.org/",
        {"sitemap": "https://a.org:8443/sitemap.xml"},
    ]

    parts = split_sources(sources, "/data/crawl/", storage_of=local, max_parts=5)

    assert [part["destination"] for part in parts] == [f"file:///data/crawl/part={n:03d}" for n in range(5)]
    assert [part["sources"] for part in parts[:2]] == [
        [{"url": "https://a.org/one"}, {"sitemap": "https://a.org:8443/sitemap.xml"}],
        [{"url": "https://b.org/"}],
    ]
    files = [[Path(source["files"]).stem for source in part["sources"]] for part in parts[2:]]
    assert sorted(files) == [["1", "6"], ["2", "5"], ["3", "4"]]
    assert parts[2]["sources"][0] == {
        "files": f"file://{folder}/1.jsonl",
        "name": "tickets",
        "format": "jsonl",
        "fields": {"text": "text"},
    }
    assert split_sources(sources, "/data/crawl", storage_of=local, max_parts=5) == parts


def test_fewer_parts_than_hosts_take_several_each(folder: str) -> None:
    sources = [f"https://{name}.org/" for name in "abc"]

    parts = split_sources([*sources, folder], "/data/crawl", storage_of=local, max_parts=2)

    assert sorted(len([s for s in part["sources"] if "url" in s]) for part in parts) == [1, 2]
    assert sum(len(part["sources"]) for part in parts) == 9


def test_a_folder_that_mixes_formats_stays_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\none,1\n")
    pq.write_table(pa.table({"text": ["two"], "n": [2]}), tmp_path / "b.parquet")

    parts = split_sources([str(tmp_path)], "/data/crawl", storage_of=local)

    assert [part["sources"] for part in parts] == [[{"files": str(tmp_path)}]]


def test_no_sources_are_refused() -> None:
    with pytest.raises(SettingsError, match="sources: at least one"):
        split_sources([], "/data/crawl", storage_of=local)


def test_mapped_parts_hold_the_documents_of_one_crawl(folder: str, tmp_path: Path) -> None:
    dataset = tmp_path / "hub"
    dataset.mkdir()
    for number in range(3):
        pq.write_table(pa.table({"text": [f"row {number}"]}), dataset / f"train-{number}.parquet")
    sources = [folder, {"dataset": str(dataset), "name": "hub"}]

    parts = split_sources(sources, str(tmp_path / "mapped"), storage_of=local, max_parts=4)
    uris = [crawl(part["sources"], part["destination"], {}).uri for part in parts]
    joined = Corpus.open(join_corpora(uris, str(tmp_path / "mapped"), stage="crawl").uri)

    whole = Corpus.open(crawl(sources, str(tmp_path / "whole"), {}).uri)
    columns = ["doc_id", "source", "text"]
    assert len(parts) == 4
    assert sorted(map(str, joined.to_table(columns).to_pylist())) == sorted(
        map(str, whole.to_table(columns).to_pylist())
    )
    assert joined.manifest.counters == whole.manifest.counters


def test_what_is_rejected_is_judged_over_all_parts(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text("\n".join(json.dumps({"text": f"text {n}"}) for n in range(10)))
    (tmp_path / "bad.jsonl").write_text("no json\n" * 4)
    settings = {"max_rejected_fraction": 0.3}
    parts = split_sources([f"{tmp_path}/*.jsonl"], str(tmp_path / "crawl"), storage_of=local)

    uris = [crawl(part["sources"], part["destination"], settings).uri for part in parts]

    assert join_corpora(uris, str(tmp_path / "crawl"), stage="crawl").rejected == 4
    with pytest.raises(TooManyRejectedError):
        join_corpora(uris[:1], str(tmp_path / "bad"), stage="crawl")

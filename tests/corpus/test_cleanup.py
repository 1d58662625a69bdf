from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.cleanup import ATTEMPT_EXPIRES_AFTER_S, delete_expired_shards
from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import DamagedManifestError
from airflow_provider_autoglm.settings import CleanSettings
from tests.corpus.conftest import WriteDocuments, documents

LONG_AGO = time.time() - ATTEMPT_EXPIRES_AFTER_S - 60
DEAD = "20260101T000000-deadbeef-00000.parquet"
SETTINGS = CleanSettings.parse({"min_chars": 1, "reject": [{"name": "sevens", "pattern": "7 and"}]})


def orphan(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(documents(1), path)
    return path


def age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (LONG_AGO, LONG_AGO))


def cleaned_up(folder: Path) -> list[str]:
    return sorted(delete_expired_shards(str(folder), Storage.local()))


def test_only_shards_without_name_and_older_than_a_week_are_deleted(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    source = write_documents(30)
    destination = tmp_path / "runs" / "clean"
    parts = [
        clean(part["source"], part["destination"], SETTINGS).uri for part in split_corpus(source, str(destination))
    ]
    join_corpora(parts, str(destination), stage="clean")
    age(*tmp_path.rglob("*.parquet"), *tmp_path.rglob("*.json"))
    old = [
        orphan(tmp_path / "source" / DEAD),
        orphan(destination / "part=001" / "rejected" / DEAD),
        orphan(tmp_path / "runs" / "killed" / DEAD),
        orphan(tmp_path / "runs" / "killed" / ".writing-0123456789abcdef"),
    ]
    age(*old)
    kept = [orphan(tmp_path / "source" / DEAD.replace("dead", "cafe")), tmp_path / "source" / "notes.txt"]
    kept[1].write_text("not ours")
    age(kept[1])

    assert cleaned_up(tmp_path) == sorted(f"file://{path}" for path in old)

    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)
    assert Corpus.open(source).rows == 30
    assert Corpus.open(str(destination)).to_table(kind="rejected").num_rows == 3
    assert cleaned_up(tmp_path) == []


def test_shards_of_a_recomputed_corpus_go_a_week_after_it_was_recomputed(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    uri = write_documents(30)
    age(*tmp_path.rglob("*.parquet"), *tmp_path.rglob("*.json"))
    reader = Corpus.open(uri)
    for rows in (20, 10):
        write_corpus(uri, [documents(rows)], stage="crawl", provenance=Provenance(force=True))

    assert cleaned_up(tmp_path) == []
    assert reader.to_table().num_rows == 30

    age(tmp_path / "source" / "_manifest.2.json")
    assert len(cleaned_up(tmp_path)) == 3

    age(*tmp_path.rglob("*.parquet"), *tmp_path.rglob("*.json"))
    assert len(cleaned_up(tmp_path)) == 1
    assert Corpus.open(uri).rows == 10


def test_nothing_is_deleted_beside_a_manifest_that_cannot_be_read(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    write_documents(30)
    (tmp_path / "source" / "_manifest.json").write_text("{")
    age(*tmp_path.rglob("*.parquet"))

    with pytest.raises(DamagedManifestError):
        cleaned_up(tmp_path)
    assert len(list(tmp_path.rglob("*.parquet"))) == 3


def test_parquet_files_that_somebody_put_there_are_never_deleted(tmp_path: Path) -> None:
    theirs = [orphan(tmp_path / "incoming" / name) for name in ("texts.parquet", "part-00000.parquet")]
    ours = [orphan(tmp_path / f"20260101T000000-deadbeef{lane}-00003.parquet") for lane in ("", "-web")]
    age(*theirs, *ours)

    assert cleaned_up(tmp_path) == sorted(path.as_uri() for path in ours)
    assert all(path.exists() for path in theirs)


def test_a_folder_that_is_not_there_is_clean(tmp_path: Path) -> None:
    assert cleaned_up(tmp_path / "nothing") == []


def test_another_age_may_be_asked_for(tmp_path: Path) -> None:
    uri = orphan(tmp_path / DEAD).as_uri()
    os.utime(tmp_path / DEAD, (time.time() - 20, time.time() - 20))

    assert list(delete_expired_shards(str(tmp_path), Storage.local(), expires_after_s=30)) == []
    assert list(delete_expired_shards(str(tmp_path), Storage.local(), expires_after_s=10)) == [uri]

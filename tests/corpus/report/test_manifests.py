"""What a report reads of a manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.report.manifests import counts_below, settings_of, sources_of
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.settings import CleanSettings

SETTINGS = CleanSettings(min_chars=3)


def source(folder: Path, texts: int = 4, *, force: bool = False) -> str:
    tables = [pa.table({"text": [f"text number {number}"]}) for number in range(texts)]
    provenance = Provenance(force=force)
    return write_corpus(f"{folder}/crawl", tables, stage="crawl", max_shard_bytes=1, provenance=provenance).uri


def cleaned(folder: Path, uri: str) -> Corpus:
    return Corpus.open(clean(uri, f"{folder}/clean", SETTINGS).uri)


def test_the_sources_of_a_stage_are_those_it_read(tmp_path: Path) -> None:
    uri = source(tmp_path)
    assert [corpus.uri for corpus in sources_of(cleaned(tmp_path, uri))] == [uri]


def test_the_sources_of_a_part_are_its_shards(tmp_path: Path) -> None:
    (part,) = sources_of(cleaned(tmp_path, f"{source(tmp_path)}#shards=1-2"))
    assert part.rows == 2


def test_the_sources_of_a_joined_corpus_are_the_whole_ones(tmp_path: Path) -> None:
    uri = source(tmp_path)
    parts = [
        clean(part["source"], part["destination"], SETTINGS).uri
        for part in split_corpus(uri, f"{tmp_path}/clean", max_parts=3)
    ]
    joined = Corpus.open(join_corpora(parts, f"{tmp_path}/clean", stage="clean").uri)
    assert [corpus.uri for corpus in sources_of(joined)] == [uri]

    without_one = Corpus.open(join_corpora(parts[1:], f"{tmp_path}/other", stage="clean").uri)
    assert sources_of(without_one) == (), "more was in the whole corpus than these parts read"


def test_sources_that_are_gone_or_were_made_anew_are_none(tmp_path: Path) -> None:
    corpus = cleaned(tmp_path, source(tmp_path))
    source(tmp_path, texts=5, force=True)
    assert sources_of(corpus) == ()
    shutil.rmtree(tmp_path / "crawl")
    assert sources_of(corpus) == ()


def test_settings_are_those_of_the_manifest_without_what_is_unknown_by_now(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, source(tmp_path)).manifest
    assert settings_of(manifest, CleanSettings) == SETTINGS
    later = manifest.model_copy(update={"settings": {**manifest.settings, "of_an_older_version": 1}})
    assert settings_of(later, CleanSettings) == SETTINGS


def test_counts_are_taken_by_name_the_largest_first() -> None:
    metrics = {"changed/a": 2.0, "changed/b": 7.0, "changed/c": 0.0, "changed_too": 9.0, "masked/a": 1.0}
    assert list(counts_below(metrics, "changed").items()) == [("b", 7), ("a", 2)]

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.manifest import Input
from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus, stage_folder, whole_corpus
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import (
    CorpusNotCommittedError,
    PartChangedError,
    SettingsError,
    ShardDamagedError,
    TooManyRejectedError,
)
from airflow_provider_autoglm.settings import CleanSettings
from tests.corpus.conftest import WriteDocuments, documents

SETTINGS = CleanSettings.parse({"min_chars": 1, "reject": [{"name": "sevens", "pattern": "7 and"}]})


def clean_in_parts(source: str, destination: str, *, max_parts: int = 64) -> list[str]:
    parts = split_corpus(source, destination, max_parts=max_parts)
    return [clean(part["source"], part["destination"], SETTINGS).uri for part in parts]


def rows_of_parts(parts: Sequence[dict[str, str]]) -> list[int]:
    return [Corpus.open(part["source"]).rows for part in parts]


@pytest.mark.parametrize(
    ("shards", "max_parts", "parts"), [(1, 64, 1), (7, 64, 7), (7, 3, 3), (64, 64, 64), (130, 64, 64)]
)
def test_parts_are_even_and_cover_everything_once(
    write_documents: WriteDocuments, shards: int, max_parts: int, parts: int
) -> None:
    uri = write_documents(shards, rows_of_a_shard=1)
    split = split_corpus(uri, "/data/clean/", max_parts=max_parts)

    assert len(split) == parts
    assert split == split_corpus(f"{uri}/", "file:///data/clean", max_parts=max_parts)
    assert [part["destination"] for part in split] == [
        f"file:///data/clean/part={number:03d}" for number in range(parts)
    ]
    rows = rows_of_parts(split)
    assert sum(rows) == shards
    assert max(rows) - min(rows) <= 1
    urls = [url for part in split for url in Corpus.open(part["source"]).to_table(["url"])["url"].to_pylist()]
    assert urls == Corpus.open(uri).to_table(["url"])["url"].to_pylist()


def test_splitting_writes_nothing(write_documents: WriteDocuments, tmp_path: Path) -> None:
    uri = write_documents(20)
    before = sorted(tmp_path.rglob("*"))
    split_corpus(uri, str(tmp_path / "clean"))

    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_corpus_is_one_part(tmp_path: Path) -> None:
    uri = write_corpus(str(tmp_path / "empty"), [], stage="crawl").uri

    assert split_corpus(uri, "/data/clean") == [{"source": uri, "destination": "file:///data/clean/part=000"}]
    joined = join_corpora(clean_in_parts(uri, str(tmp_path / "clean")), str(tmp_path / "clean"), stage="clean")
    assert (joined.rows_in, Corpus.open(joined.uri).to_table().num_rows) == (0, 0)


@pytest.mark.parametrize(
    ("shards", "max_parts", "parts"),
    [
        ((3, 2), 64, [(0, 1), (0, 1), (0, 1), (1, 1), (1, 1)]),
        ((6, 2), 4, [(0, 2), (0, 2), (0, 2), (1, 2)]),
        ((9, 1), 2, [(0, 9), (1, 1)]),
        ((1, 9), 3, [(0, 1), (1, 4), (1, 5)]),
        ((4, 4), 3, [(0, 2), (0, 2), (1, 4)]),
        ((0, 2), 64, [(1, 1), (1, 1)]),
        ((2, 0, 1), 64, [(0, 1), (0, 1), (2, 1)]),
        ((0, 0), 64, [(0, 0)]),
    ],
)
def test_several_corpora_share_the_parts_by_their_shards(
    write_documents: WriteDocuments, shards: Sequence[int], max_parts: int, parts: list[tuple[int, int]]
) -> None:
    uris = [write_documents(count, rows_of_a_shard=1, name=f"source-{n}") for n, count in enumerate(shards)]

    split = split_corpus(uris, "/data/clean", max_parts=max_parts)

    assert split == split_corpus(tuple(uris), "/data/clean/", max_parts=max_parts)
    found = [(uris.index(whole_corpus(part["source"])), Corpus.open(part["source"]).rows) for part in split]
    assert found == parts
    assert [part["destination"] for part in split] == [
        f"file:///data/clean/part={number:03d}" for number in range(len(parts))
    ]


def test_a_list_of_one_corpus_is_split_like_the_corpus(write_documents: WriteDocuments) -> None:
    uri = write_documents(50)
    assert split_corpus([uri], "/data/clean") == split_corpus(uri, "/data/clean")


def test_more_corpora_than_parts_are_refused(write_documents: WriteDocuments) -> None:
    uris = [write_documents(1, name=name) for name in ("crawl", "traffic")]

    with pytest.raises(SettingsError, match="max_parts = 1: 2 corpora need at least one part each"):
        split_corpus(uris, "/data/clean", max_parts=1)
    with pytest.raises(SettingsError, match="name at least one corpus"):
        split_corpus([], "/data/clean")


def test_the_parts_of_several_corpora_are_joined_with_the_lineage_of_all(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    crawl = write_documents(40, name="crawl")
    labelled = documents(7, first=40).append_column("label", pa.array(["a"] * 7))
    traffic = write_documents(labelled, name="traffic")
    destination = str(tmp_path / "clean")
    parts = split_corpus([crawl, traffic], destination, max_parts=3)

    cleaned = [clean(part["source"], part["destination"], SETTINGS).uri for part in parts]
    joined = join_corpora(cleaned, destination, stage="clean")

    assert (joined.rows_in, joined.rows_out + joined.rejected) == (47, 47)
    assert Corpus.open(joined.uri).manifest.origins == tuple(
        Input(uri=uri, digest=Corpus.open(uri).digest) for uri in (crawl, traffic)
    )
    assert Corpus.open(joined.uri).to_table(["label"])["label"].to_pylist().count("a") == joined.rows_out - 36
    assert join_corpora(cleaned, destination, stage="clean").reused


def test_a_stage_over_parts_gives_what_it_gives_over_the_whole(write_documents: WriteDocuments, tmp_path: Path) -> None:
    uri = write_documents(100)
    whole = clean(uri, str(tmp_path / "whole"), SETTINGS)

    destination = str(tmp_path / "mapped")
    joined = join_corpora(clean_in_parts(uri, destination, max_parts=3), destination, stage="clean")

    assert (joined.rows_in, joined.rows_out, joined.rejected) == (whole.rows_in, whole.rows_out, whole.rejected)
    assert joined.metrics["rejected/sevens"] == whole.metrics["rejected/sevens"] == 10
    one, other = Corpus.open(whole.uri), Corpus.open(joined.uri)
    assert other.to_table() == one.to_table()
    assert other.to_table(kind="rejected") == one.to_table(kind="rejected")
    assert [stored.shard.sha256 for stored in other.shards] == [stored.shard.sha256 for stored in one.shards]
    assert other.manifest.origins == one.manifest.inputs == (Input(uri=uri, digest=Corpus.open(uri).digest),)
    assert other.manifest.settings == one.manifest.settings
    assert split_corpus(joined.uri, "/data/label", max_parts=2)[1]["source"].endswith("#shards=5-9")


def test_a_joined_corpus_can_be_split_and_joined_again(write_documents: WriteDocuments, tmp_path: Path) -> None:
    first = str(tmp_path / "first")
    joined = join_corpora(clean_in_parts(write_documents(60), first), first, stage="clean")
    second = str(tmp_path / "second")
    again = join_corpora(clean_in_parts(joined.uri, second, max_parts=4), second, stage="clean")

    assert Corpus.open(again.uri).to_table() == Corpus.open(joined.uri).to_table()
    assert Corpus.open(again.uri).manifest.origins == (Input(uri=joined.uri, digest=joined.digest),)


def test_what_is_rejected_is_judged_over_all_parts(tmp_path: Path) -> None:
    """Short texts of one source must not stop the stage of a large one."""
    for name, text, count in (("crawl", "a text that is long enough", 30), ("traffic", "short", 10)):
        texts = [f"{text} {number}" for number in range(count)]
        write_corpus(str(tmp_path / name), [pa.table({"text": texts})], stage=name)
    parts = split_corpus([str(tmp_path / "crawl"), str(tmp_path / "traffic")], str(tmp_path / "clean"))

    def joined(allowed: float) -> StageResult:
        settings = CleanSettings(min_chars=20, max_rejected_fraction=allowed)
        cleaned = [clean(part["source"], part["destination"], settings).uri for part in parts]
        return join_corpora(cleaned, str(tmp_path / "clean"), stage="clean")

    assert joined(0.25).rejected == 10
    with pytest.raises(TooManyRejectedError, match="10 of 40 rows"):
        joined(0.2)


def test_joining_again_is_reused(write_documents: WriteDocuments, tmp_path: Path) -> None:
    destination = str(tmp_path / "clean")
    parts = clean_in_parts(write_documents(30), destination)
    first = join_corpora(parts, destination, stage="clean")
    again = join_corpora(parts, destination, stage="clean")

    assert (first.reused, again.reused) == (False, True)
    assert again.digest == first.digest
    assert not (tmp_path / "clean" / "_manifest.2.json").exists()


def test_a_part_that_was_written_again_is_noticed_and_joining_again_repairs_it(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    destination = str(tmp_path / "clean")
    parts = clean_in_parts(write_documents(30), destination)
    joined = join_corpora(parts, destination, stage="clean")
    write_corpus(parts[1], [documents(3, first=50)], stage="clean", provenance=Provenance(force=True))

    with pytest.raises(PartChangedError, match="run the join task again") as raised:
        Corpus.open(joined.uri)
    assert raised.value.uri == parts[1]

    assert not join_corpora(parts, destination, stage="clean").reused
    assert Corpus.open(joined.uri).rows == Corpus.open(joined.uri).to_table().num_rows


def test_a_missing_part_and_damage_in_a_part_are_named(write_documents: WriteDocuments, tmp_path: Path) -> None:
    destination = str(tmp_path / "clean")
    parts = clean_in_parts(write_documents(30), destination)
    with pytest.raises(CorpusNotCommittedError, match="part=009"):
        join_corpora([*parts, f"{destination}/part=009"], destination, stage="clean")

    joined = join_corpora(parts, destination, stage="clean")
    shard = next((tmp_path / "clean" / "part=001").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ShardDamagedError, match=rf"shard {shard.name} .*part=001\)"):
        Corpus.open(joined.uri)


def test_parts_may_lie_elsewhere(write_documents: WriteDocuments, tmp_path: Path) -> None:
    parts = [write_documents(10, name="one"), write_documents(documents(5, first=10), name="other")]
    joined = join_corpora(parts, str(tmp_path / "joined"), stage="crawl")

    assert [part.uri for part in Corpus.open(joined.uri).manifest.parts] == parts
    assert Corpus.open(joined.uri).to_table(["url"]) == pa.concat_tables(
        [Corpus.open(part).to_table(["url"]) for part in parts]
    )


def test_joining_nothing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="name at least one corpus"):
        join_corpora([], str(tmp_path / "joined"), stage="clean")


def test_a_part_knows_its_stage_and_its_source() -> None:
    assert stage_folder("/data/run/clean/part=003") == "file:///data/run/clean"
    assert stage_folder("file:///data/run/clean") == "file:///data/run/clean"
    assert whole_corpus("/data/run/crawl#shards=3-4") == "file:///data/run/crawl"

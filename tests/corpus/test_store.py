from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from airflow_provider_autoglm.corpus.manifest import Counters, Input, Manifest
from airflow_provider_autoglm.corpus.result import Progress, StageResult
from airflow_provider_autoglm.corpus.schema import DOCUMENT_SCHEMA
from airflow_provider_autoglm.corpus.shards import ROWS_OF_A_GROUP
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus, open_sources, write_corpus
from airflow_provider_autoglm.exceptions import (
    CorpusError,
    CorpusExistsError,
    CorpusNotCommittedError,
    DamagedManifestError,
    InvalidFragmentError,
    MissingColumnsError,
    ShardDamagedError,
    ShardMissingError,
    StorageError,
)
from tests.corpus.conftest import WriteDocuments, at_once, documents, strings_of

FORCE = Provenance(force=True)


def folder_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def shard_files(uri: str) -> list[Path]:
    return sorted(folder_of(uri).glob("*.parquet"))


def attempt_of(
    uri: str, *, settings: dict[str, int] | None = None, provenance: Provenance | None = None
) -> StageAttempt:
    inputs = [Input(uri="file:///in", digest="d" * 32)]
    return StageAttempt("test", inputs, uri, settings or {}, provenance=provenance)


def commit_rows(attempt: StageAttempt, *texts: str) -> StageResult:
    table = pa.table({"doc_id": texts, "text": texts})
    attempt.count_in(table.num_rows)
    attempt.write(table)
    return attempt.commit()


def texts_of(uri: str) -> list[str]:
    texts: list[str] = Corpus.open(uri).to_table(["text"])["text"].to_pylist()
    return texts


# Writing and reading


def test_what_is_written_is_read_back(write_documents: WriteDocuments) -> None:
    corpus = Corpus.open(write_documents(95))

    assert corpus.rows == corpus.manifest.rows == 95
    assert len(corpus.shards) == 10
    table = corpus.to_table()
    assert table.schema == DOCUMENT_SCHEMA
    assert table["text"].to_pylist() == documents(95)["text"].to_pylist()
    assert len(set(table["doc_id"].to_pylist())) == 95


def test_a_corpus_is_read_one_row_group_at_a_time(tmp_path: Path) -> None:
    rows = 2 * ROWS_OF_A_GROUP + 500
    result = write_corpus(str(tmp_path / "one"), [documents(rows)], stage="crawl")
    corpus = Corpus.open(result.uri)

    assert len(corpus.shards) == 1
    assert [table.num_rows for table in corpus.iter_tables()] == [ROWS_OF_A_GROUP, ROWS_OF_A_GROUP, 500]
    assert [table.column_names for table in corpus.iter_tables(["text", "absent"])] == [["text"]] * 3


def test_a_shard_ends_at_its_size(tmp_path: Path) -> None:
    tables = (documents(10, first=10 * number) for number in range(10))
    result = write_corpus(str(tmp_path / "small"), tables, stage="crawl", max_shard_bytes=3 * documents(10).nbytes)

    shards = [stored.shard.rows for stored in Corpus.open(result.uri).shards]
    assert sum(shards) == 100
    assert all(10 < rows < 40 for rows in shards[:-1])


def test_unknown_columns_travel_through_and_are_null_where_absent(tmp_path: Path) -> None:
    with_stars = documents(2).append_column("stars", pa.array([[5], [1, 2]]))
    result = write_corpus(str(tmp_path / "mixed"), [with_stars, documents(1, first=2)], stage="crawl")
    corpus = Corpus.open(result.uri)

    assert corpus.to_table()["stars"].to_pylist() == [[5], [1, 2], None]
    assert [schema.names[-1] for schema in corpus.schemas()] == ["stars", "fetched_at"]


def test_an_empty_corpus_has_the_document_columns(tmp_path: Path) -> None:
    result = write_corpus(str(tmp_path / "empty"), [], stage="crawl")
    corpus = Corpus.open(result.uri)

    assert corpus.to_table().schema == DOCUMENT_SCHEMA
    assert corpus.to_table(["text", "absent"]).column_names == ["text"]
    assert (result.rows_in, corpus.rows) == (0, 0)


def test_rows_of_a_parquet_file_that_are_no_documents_are_quarantined(tmp_path: Path) -> None:
    text = strings_of([b"good", None, b"", b"lone \xed\xa0\x80 surrogate"])
    pq.write_table(pa.table({"text": text, "number": [0, 1, 2, 3]}), tmp_path / "texts.parquet")

    result = write_corpus(str(tmp_path / "corpus"), [pq.read_table(tmp_path / "texts.parquet")], stage="crawl")

    assert (result.rows_in, result.rows_out, result.rejected) == (4, 1, 3)
    assert {name: count for name, count in result.metrics.items() if name.startswith("rejected/")} == {
        "rejected/missing_text": 1,
        "rejected/empty_text": 1,
        "rejected/invalid_utf8": 1,
    }
    rejected = Corpus.open(result.uri).to_table(["number", "reason", "stage"], kind="rejected")
    assert rejected["number"].to_pylist() == [1, 2, 3]
    assert set(rejected["stage"].to_pylist()) == {"crawl"}


def test_a_table_without_text_is_refused_and_nothing_is_committed(tmp_path: Path) -> None:
    with pytest.raises(MissingColumnsError, match=r"missing columns text; found url"):
        write_corpus(str(tmp_path / "corpus"), [documents(3).select(["url"])], stage="crawl")

    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(str(tmp_path / "corpus"))


def test_the_result_is_json_and_progress_is_told(tmp_path: Path) -> None:
    told: list[Progress] = []
    tables = [documents(10, first=10 * number) for number in range(3)]
    result = write_corpus(str(tmp_path / "corpus"), tables, stage="crawl", progress=told.append)

    assert [progress.rows_done for progress in told] == [10, 20, 30]
    assert StageResult(**json.loads(json.dumps(result.to_dict()))) == result


def test_progress_tells_rate_and_time_left() -> None:
    assert str(Progress("clean", 50, 100, 10.0)) == "clean: 50/100 rows, 5 rows/s, 10 s left"
    assert str(Progress("crawl", 50, None, 10.0)) == "crawl: 50 rows, 5 rows/s"
    assert str(Progress("clean", 0, 100, 0.0)) == "clean: 0/100 rows, 0 rows/s"


def test_an_unwritable_destination_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    for destination in (tmp_path / "file", tmp_path / "file" / "corpus"):
        with pytest.raises(StorageError, match=str(destination)):
            write_corpus(str(destination), [documents(1)], stage="crawl")
        with pytest.raises(StorageError, match=str(destination)):
            write_corpus(str(destination), [documents(1)], stage="crawl", provenance=FORCE)


def test_a_full_disk_is_a_storage_error_that_names_the_shard(tmp_path: Path) -> None:
    attempt = attempt_of(str(tmp_path / "corpus"))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / f"{attempt.attempt_id}-00000.parquet").symlink_to("/dev/full")

    with pytest.raises(StorageError, match=f"cannot write .*{attempt.attempt_id}-00000.parquet.*No space left"):
        commit_rows(attempt, "one")


def test_a_full_disk_is_noticed_in_the_middle_of_a_shard_too(tmp_path: Path) -> None:
    attempt = attempt_of(str(tmp_path / "corpus"))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / f"{attempt.attempt_id}-00000.parquet").symlink_to("/dev/full")
    noise = pa.array([os.urandom(1000) for _ in range(ROWS_OF_A_GROUP)])

    with pytest.raises(StorageError, match="No space left"):
        attempt.write(pa.table({"noise": noise}))


# Damage


def test_an_uncommitted_corpus_is_refused_and_a_retry_may_help(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotCommittedError, match=r"_manifest.json is absent") as raised:
        Corpus.open(str(tmp_path / "nothing"))

    assert raised.value.retry_can_help


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (lambda text: text[: len(text) // 2], "_manifest.json: Invalid JSON"),
        (lambda _: "", "_manifest.json: Invalid JSON"),
        (lambda _: "[]", "_manifest.json: Input should be an object"),
        (lambda text: text.replace('"rows"', '"lines"'), "rows"),
        (lambda text: text.replace('"rows_out": 100', '"rows_out": 99'), "rows are lost or doubled"),
        (lambda text: text.replace('"format_version": 1', '"format_version": 2'), "format_version: "),
    ],
)
def test_a_damaged_manifest_is_refused(
    write_documents: WriteDocuments, damage: Callable[[str], str], where: str
) -> None:
    uri = write_documents(100)
    manifest = folder_of(uri) / "_manifest.json"
    manifest.write_text(damage(manifest.read_text()))

    with pytest.raises(DamagedManifestError, match=where) as raised:
        Corpus.open(uri)
    assert not raised.value.retry_can_help
    assert raised.value.uri == uri


def test_forcing_is_the_way_out_of_a_damaged_manifest(write_documents: WriteDocuments) -> None:
    uri = write_documents(20)
    (folder_of(uri) / "_manifest.json").write_text("{")
    with pytest.raises(DamagedManifestError):
        write_corpus(uri, [documents(20)], stage="crawl")

    write_corpus(uri, [documents(20)], stage="crawl", provenance=FORCE)

    assert Corpus.open(uri).rows == 20


def _flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "error", "detail"),
    [
        (Path.unlink, ShardMissingError, "is missing"),
        (lambda path: os.truncate(path, 100), ShardDamagedError, "100 bytes instead of"),
        (_flip_a_byte, ShardDamagedError, "its content was altered"),
    ],
)
def test_a_damaged_shard_is_named(
    write_documents: WriteDocuments, damage: Callable[[Path], None], error: type[CorpusError], detail: str
) -> None:
    uri = write_documents(100)
    victim = shard_files(uri)[3]
    damage(victim)

    with pytest.raises(error, match=rf"shard {victim.name} .*{detail}.* \({uri}\)"):
        Corpus.open(uri)
    with pytest.raises(error):
        Corpus.open(f"{uri}#shards=3-3")
    assert Corpus.open(f"{uri}#shards=4-9").rows == 60


def test_damage_after_opening_is_named_too(write_documents: WriteDocuments) -> None:
    uri = write_documents(30)
    corpus = Corpus.open(uri, verify=False)
    first, second, third = shard_files(uri)
    first.unlink()
    second.write_bytes(b"no Parquet at all")
    third.unlink()
    third.mkdir()

    with pytest.raises(ShardMissingError):
        list(corpus.shard_tables(corpus.shards[0]))
    with pytest.raises(ShardDamagedError):
        list(corpus.shard_tables(corpus.shards[1]))
    with pytest.raises(StorageError, match="cannot read"):
        list(corpus.shard_tables(corpus.shards[2]))


def test_shards_that_no_manifest_names_are_never_read(write_documents: WriteDocuments) -> None:
    uri = write_documents(20)
    pq.write_table(documents(5), folder_of(uri) / "20260101T000000-dead-00000.parquet")
    (folder_of(uri) / "rejected").mkdir()
    pq.write_table(documents(5), folder_of(uri) / "rejected" / "20260101T000000-dead-00000.parquet")

    assert Corpus.open(uri).to_table().num_rows == 20
    assert Corpus.open(uri).to_table(kind="rejected").num_rows == 0


# Fragments


def test_a_fragment_names_a_run_of_shards(write_documents: WriteDocuments) -> None:
    uri = write_documents(95)
    whole, some = Corpus.open(uri), Corpus.open(f"{uri}#shards=8-9")

    assert some.rows == 15
    assert some.to_table()["url"].to_pylist() == [f"https://example.org/{number}" for number in range(80, 95)]
    assert Corpus.open(f"{uri}#shards=0-9").to_table() == whole.to_table()
    assert some.as_input().origin == whole.as_input().origin == Input(uri=uri, digest=whole.digest)
    assert some.digest != whole.digest


@pytest.mark.parametrize(
    "fragment", ["shards=0-10", "shards=3-2", "shards=3", "shards=-1-2", "rows=1-2", "x#shards=0-1"]
)
def test_a_fragment_that_does_not_fit_is_refused(write_documents: WriteDocuments, fragment: str) -> None:
    uri = write_documents(100)

    with pytest.raises(InvalidFragmentError, match=r"expected '#shards=first-last'"):
        Corpus.open(f"{uri}#{fragment}")


def test_sources_are_one_uri_or_several(write_documents: WriteDocuments) -> None:
    one, other = write_documents(10, name="one"), write_documents(20, name="other")

    assert [corpus.rows for corpus in open_sources(one)] == [10]
    assert [corpus.rows for corpus in open_sources([one, other])] == [10, 20]


# Commit: once, idempotent, and counted


def test_the_same_documents_again_are_reused(write_documents: WriteDocuments, tmp_path: Path) -> None:
    uri = write_documents(50)
    manifest = (folder_of(uri) / "_manifest.json").read_bytes()

    again = write_corpus(
        uri, [documents(10, first=10 * number) for number in range(5)], stage="crawl", max_shard_bytes=1
    )

    assert again.reused
    assert again.rows_out == 50
    assert (folder_of(uri) / "_manifest.json").read_bytes() == manifest
    elsewhere = write_documents(50, name="elsewhere")
    assert Corpus.open(elsewhere).digest == again.digest


def test_other_documents_at_a_taken_destination_are_refused(write_documents: WriteDocuments) -> None:
    uri = write_documents(50)

    for source in ("documents", "another"):
        with pytest.raises(CorpusExistsError, match="force=True"):
            write_corpus(uri, [documents(3)], stage="crawl", source=source)
    assert Corpus.open(uri).rows == 50

    forced = write_corpus(uri, [documents(3)], stage="crawl", provenance=FORCE)
    assert not forced.reused
    assert Corpus.open(uri).rows == 3


def test_an_attempt_finds_what_was_made_of_the_same_inputs_and_settings(tmp_path: Path) -> None:
    uri = str(tmp_path / "corpus")
    first = commit_rows(attempt_of(uri), "one")
    again = attempt_of(uri)

    assert again.committed is not None
    assert again.reused_result().reused
    assert again.reused_result().digest == first.digest


def test_changed_settings_supersede_and_the_newest_is_read(tmp_path: Path) -> None:
    uri = str(tmp_path / "corpus")
    commit_rows(attempt_of(uri, settings={"limit": 1}), "old")
    reader = Corpus.open(uri)
    changed = attempt_of(uri, settings={"limit": 2})
    assert changed.committed is None

    commit_rows(changed, "new")

    assert texts_of(uri) == ["new"]
    assert reader.to_table()["text"].to_pylist() == ["old"]
    assert (tmp_path / "corpus" / "_manifest.json").exists()
    assert (tmp_path / "corpus" / "_manifest.2.json").exists()


def test_settings_that_change_back_are_computed_again(tmp_path: Path) -> None:
    uri = str(tmp_path / "corpus")
    for limit, text in ((1, "first"), (2, "second"), (1, "third")):
        commit_rows(attempt_of(uri, settings={"limit": limit}), text)

    assert texts_of(uri) == ["third"]


def test_forcing_recomputes_what_is_committed(tmp_path: Path) -> None:
    uri = str(tmp_path / "corpus")
    commit_rows(attempt_of(uri), "old")
    forced = attempt_of(uri, provenance=FORCE)

    assert forced.committed is None
    assert not commit_rows(forced, "new").reused
    assert texts_of(uri) == ["new"]


def test_of_two_attempts_at_the_same_the_second_takes_the_corpus_of_the_first(tmp_path: Path) -> None:
    uri = str(tmp_path / "corpus")
    first, second = attempt_of(uri), attempt_of(uri)
    winner = commit_rows(first, "winner")
    loser = commit_rows(second, "loser")

    assert (winner.reused, loser.reused) == (False, True)
    assert loser.digest == winner.digest
    assert texts_of(uri) == ["winner"]


def test_of_two_attempts_with_other_settings_the_last_supersedes(tmp_path: Path) -> None:
    uri = str(tmp_path / "corpus")
    first, second = attempt_of(uri, settings={"limit": 1}), attempt_of(uri, settings={"limit": 2})
    commit_rows(first, "first")
    commit_rows(second, "second")

    assert texts_of(uri) == ["second"]


def test_an_attempt_that_meets_its_own_manifest_has_won(tmp_path: Path) -> None:
    attempt = attempt_of(str(tmp_path / "corpus"))
    commit_rows(attempt, "one")

    # A put that was answered too late and sent again meets its own object.
    assert not attempt.commit().reused


def test_a_dataset_version_is_never_superseded(tmp_path: Path) -> None:
    uri = str(tmp_path / "v1")
    early = attempt_of(uri)
    commit_rows(attempt_of(uri), "published")
    late = attempt_of(uri, settings={"limit": 1})

    for attempt in (early, late):
        with pytest.raises(FileExistsError):
            attempt.commit(dataset={"version": 1})
    assert texts_of(uri) == ["published"]


def test_two_processes_that_commit_at_once_have_one_winner(tmp_path: Path) -> None:
    code = f"""
import os
import numpy as np
import pyarrow as pa
from airflow_provider_autoglm.corpus.manifest import Input
from airflow_provider_autoglm.corpus.stage import StageAttempt

def written(number):
    stage = StageAttempt("test", [Input(uri="in", digest="d")], f"{tmp_path}/{{number}}", {{}})
    stage.count_in(1)
    stage.write(pa.table({{"process": [os.getpid()]}}))
    return stage

stages = [written(number) for number in range(60)]

def attempt(number):
    return stages[number].commit().to_dict()
"""
    rounds = at_once(code, code, rounds=60)

    for number, results in enumerate(rounds):
        assert sorted(result["reused"] for result in results) == [False, True]
        assert len({result["digest"] for result in results}) == 1
        assert Corpus.open(f"{tmp_path}/{number}").digest == results[0]["digest"]
    assert not list(tmp_path.rglob(".writing-*"))
    assert len(list(tmp_path.rglob("_manifest*"))) == len(rounds)


def test_two_processes_that_bring_other_documents_at_once_never_lose_any_silently(tmp_path: Path) -> None:
    code = """
import numpy as np
import pyarrow as pa
from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.exceptions import CorpusExistsError

def attempt(number):
    try:
        write_corpus(f"{folder}/{{number}}", [pa.table({{"text": ["{text}"]}})], stage="crawl")
        return True
    except CorpusExistsError:
        return False
"""
    rounds = at_once(*(code.format(folder=tmp_path, text=text) for text in ("one", "two")), rounds=20)

    for number, (one, two) in enumerate(rounds):
        assert (one, two) in [(True, False), (False, True)]
        assert texts_of(f"{tmp_path}/{number}") == ["one" if one else "two"]


def test_a_commit_that_lost_rows_is_refused(tmp_path: Path) -> None:
    attempt = attempt_of(str(tmp_path / "corpus"))
    attempt.count_in(3)
    attempt.write(pa.table({"text": ["one"]}))
    attempt.count_removed("duplicate", 1)

    with pytest.raises(ValidationError, match="rows are lost or doubled"):
        attempt.commit()
    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(str(tmp_path / "corpus"))


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    attempt = attempt_of(str(tmp_path / "corpus"))
    attempt.count_in(10)
    attempt.write(pa.table({"text": ["one"]}))
    attempt.reject(pa.table({"text": ["bad", "worse"], "reason": ["ugly", "ugly"]}))
    attempt.reject(pa.table({"text": pa.array([], pa.string()), "reason": pa.array([], pa.string())}))
    attempt.remove(pa.table({"text": ["twin"], "reason": ["duplicate"]}))
    attempt.count_removed("superseded", 2)
    attempt.count_unchanged(4)
    result = attempt.commit(metrics={"rate": 0.5})

    assert (result.rows_out, result.rejected, result.removed, result.unchanged) == (1, 2, 3, 4)
    assert (
        result.metrics.items()
        >= {
            "rejected/ugly": 2,
            "removed/duplicate": 1,
            "removed/superseded": 2,
            "rate": 0.5,
        }.items()
    )
    corpus = Corpus.open(result.uri)
    assert corpus.to_table(["text"], kind="rejected")["text"].to_pylist() == ["bad", "worse"]
    assert corpus.to_table(["text"], kind="removed")["text"].to_pylist() == ["twin"]


def test_counters_add_up() -> None:
    one = Counters(rows_in=5, rows_out=3, rejected=2)
    assert one + Counters(rows_in=2, removed=1, unchanged=1) == Counters(
        rows_in=7, rows_out=3, rejected=2, removed=1, unchanged=1
    )


def test_the_manifest_holds_the_whole_of_the_effective_settings(tmp_path: Path) -> None:
    attempt = StageAttempt("test", [], str(tmp_path / "corpus"), {"window_days": None, "depth": {"limit": None}})
    attempt.commit()

    manifest: Manifest = Corpus.open(str(tmp_path / "corpus")).manifest
    assert manifest.settings == {"window_days": None, "depth": {"limit": None}}


# Some columns, some rows


def test_some_columns_of_a_shard_are_read_at_once(tmp_path: Path) -> None:
    rows = 2 * ROWS_OF_A_GROUP + 500
    corpus = Corpus.open(write_corpus(str(tmp_path / "one"), [documents(rows)], stage="crawl").uri)
    (shard,) = corpus.shards

    table = corpus.shard_columns(shard, ["title", "absent", "text"])

    assert set(table.column_names) == {"title", "text"}
    assert table["title"].to_pylist() == documents(rows)["title"].to_pylist()
    assert corpus.shard_columns(shard, ["absent"]).column_names == []


@pytest.mark.parametrize(
    "rows",
    [
        [0],
        [2 * ROWS_OF_A_GROUP + 499],
        [ROWS_OF_A_GROUP - 1, ROWS_OF_A_GROUP],
        [3, 4, ROWS_OF_A_GROUP + 1, 2 * ROWS_OF_A_GROUP],
        [5, 2 * ROWS_OF_A_GROUP + 6],
        list(range(2 * ROWS_OF_A_GROUP + 500)),
    ],
)
def test_rows_of_a_shard_are_found_by_their_numbers_in_every_row_group(tmp_path: Path, rows: list[int]) -> None:
    table = documents(2 * ROWS_OF_A_GROUP + 500)
    corpus = Corpus.open(write_corpus(str(tmp_path / "one"), [table], stage="crawl").uri)

    found = corpus.shard_rows(corpus.shards[0], np.array(rows))

    assert found.equals(corpus.to_table().take(rows))
    assert found["url"].to_pylist() == [f"https://example.org/{number}" for number in rows]


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_shard_that_is_lost_after_the_corpus_was_opened_is_named(
    write_documents: WriteDocuments, is_missing: bool
) -> None:
    corpus = Corpus.open(write_documents(30))
    lost = shard_files(corpus.uri)[1]
    if is_missing:
        lost.unlink()
    else:
        os.truncate(lost, 10)
    error = ShardMissingError if is_missing else ShardDamagedError

    with pytest.raises(error, match=lost.name):
        corpus.shard_columns(corpus.shards[1], ["text"])
    with pytest.raises(error, match=lost.name):
        corpus.shard_rows(corpus.shards[1], np.array([0]))
    assert corpus.shard_rows(corpus.shards[2], np.array([0])).num_rows == 1

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.documents import Admitted
from airflow_provider_autoglm.corpus.map_stage import Transform, run_map_stage
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.store import Corpus, Kind
from airflow_provider_autoglm.exceptions import DamagedManifestError, MissingColumnsError, ShardDamagedError
from airflow_provider_autoglm.settings import CleanSettings
from tests.corpus.conftest import WriteDocuments, at_once, documents, killed_after_shards

SETTINGS = CleanSettings.parse({"min_chars": 1, "reject": [{"name": "sevens", "pattern": "7 and"}]})


def code_of(source: str, destination: str, progress: str = "None") -> str:
    return f"""
from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.settings import CleanSettings

def run():
    settings = CleanSettings.model_validate_json({SETTINGS.model_dump_json()!r})
    return clean({source!r}, {destination!r}, settings, progress={progress}).to_dict()
"""


def nothing_to_transform(_: pa.Table) -> Admitted:
    raise AssertionError("there is nothing to do")


def nothing_left_to_prepare() -> Transform:
    raise AssertionError("there is nothing to do")


def test_a_stage_killed_between_two_shards_goes_on_where_it_stopped(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    source = write_documents(100)
    undisturbed = clean(source, str(tmp_path / "undisturbed"), SETTINGS)
    destination = str(tmp_path / "killed")

    killed_after_shards(4, code_of(source, destination, "progress") + "run()")
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("*.parquet")}
    assert not (tmp_path / "killed" / "_manifest.json").exists()
    assert len(list((tmp_path / "killed").glob("*.parquet"))) == 4

    retried = clean(source, destination, SETTINGS)

    assert (retried.rows_in, retried.rows_out, retried.rejected) == (100, 90, 10)
    assert retried.digest == undisturbed.digest
    one, other = Corpus.open(undisturbed.uri), Corpus.open(retried.uri)
    for kind in ("shards", "rejected"):
        assert [stored.shard.sha256 for stored in other.stored(kind)] == [
            stored.shard.sha256 for stored in one.stored(kind)
        ]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(list((tmp_path / "killed").glob("*.parquet"))) == 10
    assert {name: count for name, count in retried.metrics.items() if name.startswith("rejected/")} == {
        "rejected/sevens": 10
    }


def test_two_attempts_at_once_commit_one_corpus(write_documents: WriteDocuments, tmp_path: Path) -> None:
    source, destination = write_documents(60), str(tmp_path / "cleaned")
    code = code_of(source, destination) + "\ndef attempt(_):\n    return run()\n"

    ((one, other),) = at_once(code, code)

    assert one["digest"] == other["digest"] == clean(source, str(tmp_path / "alone"), SETTINGS).digest
    assert sorted(path.name for path in (tmp_path / "cleaned").glob("_manifest*")) == ["_manifest.json"]
    assert Corpus.open(destination).rows == 60 - 6
    assert not list((tmp_path / "cleaned").rglob(".writing-*"))


def test_the_same_work_again_is_reused_and_nothing_is_loaded(write_documents: WriteDocuments, tmp_path: Path) -> None:
    source = write_documents(20)
    first = clean(source, str(tmp_path / "cleaned"), SETTINGS)
    before = sorted(tmp_path.rglob("*"))

    again = run_map_stage(
        "clean", source, str(tmp_path / "cleaned"), SETTINGS, nothing_left_to_prepare, max_rejected_fraction=0
    )

    assert again.reused
    assert again.digest == first.digest
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_documents_from_another_place_are_the_same_work(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    clean(write_documents(20, name="here"), str(tmp_path / "cleaned"), SETTINGS)

    assert clean(write_documents(20, name="there"), str(tmp_path / "cleaned"), SETTINGS).reused


def test_other_inputs_settings_or_force_are_other_work(write_documents: WriteDocuments, tmp_path: Path) -> None:
    source, destination = write_documents(20), str(tmp_path / "cleaned")
    other_settings = SETTINGS.model_copy(update={"min_chars": 2})

    runs: list[StageResult] = [
        clean(source, destination, SETTINGS),
        clean(source, destination, other_settings),
        clean([source, write_documents(5, name="more")], destination, other_settings),
        clean(source, destination, SETTINGS),
        clean(source, destination, SETTINGS, provenance=Provenance(force=True)),
    ]

    assert [run.reused for run in runs] == [False] * 5
    assert [run.rows_in for run in runs] == [20, 20, 25, 20, 20]
    assert len(list((tmp_path / "cleaned").glob("_manifest*"))) == 5


def test_several_sources_stay_in_order(write_documents: WriteDocuments, tmp_path: Path) -> None:
    sources = [write_documents(documents(15, first=10 * number), name=f"source-{number}") for number in (8, 2)]
    result = clean(sources, str(tmp_path / "cleaned"), SETTINGS)
    corpus = Corpus.open(result.uri)

    kept = [number for number in (*range(80, 95), *range(20, 35)) if number % 10 != 7]
    assert corpus.to_table(["url"])["url"].to_pylist() == [f"https://example.org/{number}" for number in kept]
    assert [item.uri for item in corpus.manifest.inputs] == sources


def killed(source: str, folder: Path) -> None:
    killed_after_shards(2, code_of(source, str(folder), "progress") + "run()")


def test_a_retry_after_the_cleanup_does_the_deleted_shards_again(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    source = write_documents(40)
    killed(source, tmp_path / "cleaned")
    for shard in (tmp_path / "cleaned").rglob("*.parquet"):
        shard.unlink()

    result = clean(source, str(tmp_path / "cleaned"), SETTINGS)

    assert Corpus.open(result.uri).to_table().num_rows == result.rows_out == 40 - 4


def test_an_unreadable_progress_record_is_done_again(write_documents: WriteDocuments, tmp_path: Path) -> None:
    source = write_documents(40)
    killed(source, tmp_path / "cleaned")
    for record in (tmp_path / "cleaned" / "_progress").rglob("*.json"):
        record.write_text(record.read_text()[:20])

    result = clean(source, str(tmp_path / "cleaned"), SETTINGS)

    assert Corpus.open(result.uri).to_table().num_rows == result.rows_out == 40 - 4


def test_a_corpus_that_lacks_a_column_is_refused(write_documents: WriteDocuments, tmp_path: Path) -> None:
    with pytest.raises(MissingColumnsError, match="missing columns topic"):
        run_map_stage(
            "topics",
            write_documents(10),
            str(tmp_path / "topics"),
            SETTINGS,
            lambda: nothing_to_transform,
            max_rejected_fraction=0,
            columns=["topic"],
        )


def test_a_damaged_source_is_refused_before_anything_is_written(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    source = write_documents(30)
    shard = sorted((tmp_path / "source").glob("*.parquet"))[2]
    shard.write_bytes(shard.read_bytes()[:-10])

    with pytest.raises(ShardDamagedError):
        clean(source, str(tmp_path / "cleaned"), SETTINGS)
    assert not (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("kind", ["shards", "rejected"])
def test_a_corpus_that_was_damaged_after_its_commit_is_computed_again(
    write_documents: WriteDocuments, tmp_path: Path, kind: Kind
) -> None:
    source, destination = write_documents(30), str(tmp_path / "clean")
    first = clean(source, destination, SETTINGS)
    damaged = Path(Corpus.open(destination).stored(kind)[0].uri.removeprefix("file://"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)

    again = clean(source, destination, SETTINGS)

    assert not again.reused
    assert again.digest == first.digest
    assert Corpus.open(destination).to_table(kind=kind).num_rows > 0
    assert clean(source, destination, SETTINGS).reused


def test_a_corpus_whose_manifest_cannot_be_read_is_computed_again(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    source, destination = write_documents(30), str(tmp_path / "clean")
    first = clean(source, destination, SETTINGS)
    (tmp_path / "clean" / "_manifest.json").write_text("{")
    with pytest.raises(DamagedManifestError, match="clear the task that wrote it"):
        Corpus.open(destination)

    assert clean(source, destination, SETTINGS).digest == first.digest
    assert Corpus.open(destination).rows == first.rows_out

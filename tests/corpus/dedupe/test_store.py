"""Documents of earlier runs: who sees whom, what a kill leaves behind, and what damage is called."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.dedupe.facts import look_at
from airflow_provider_autoglm.corpus.dedupe.prints import prints_of
from airflow_provider_autoglm.corpus.dedupe.store import (
    NOTHING_STORED,
    SKETCH,
    DocumentStore,
    sketches_of,
    stored_rows,
)
from airflow_provider_autoglm.corpus.result import Progress, ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import ShardDamagedError, ShardMissingError, TooManyRemovedError
from airflow_provider_autoglm.settings import DedupeSettings
from tests.corpus.dedupe.runs import (
    Row,
    decisions,
    document,
    han_text_of,
    ids,
    jaccard,
    kept_rows,
    removed_rows,
    text_of,
    write_shards,
)

_START = datetime(2026, 3, 1, tzinfo=UTC)
_RULE = DedupeSettings(max_removed_fraction=1)


def _day(number: int) -> datetime:
    return _START + timedelta(days=number)


class Pipeline:
    """Runs over one store, each with documents of its own."""

    def __init__(self, folder: Path | str, storage: Storage | None = None) -> None:
        self.state = f"{folder}/state"
        self.storage = storage
        self._folder = folder

    def source(self, name: str, *shards: Sequence[Row]) -> str:
        return write_shards(f"{self._folder}/{name}/clean", shards, storage=self.storage)

    def run(
        self,
        name: str,
        *rows: Row,
        day: int,
        settings: DedupeSettings = _RULE,
        progress: ProgressCallback | None = None,
        **options: Any,
    ) -> StageResult:
        """Deduplicate ``rows`` as the run ``name`` of a day."""
        return deduplicate(
            self.source(name, rows),
            f"{self._folder}/{name}/dedupe",
            settings,
            state_uri=self.state,
            as_of=_day(day),
            storage=self.storage,
            progress=progress,
            **options,
        )

    def stored(self, *, day: int, settings: DedupeSettings = _RULE) -> list[str]:
        """What a new run of that day would see, in order."""
        store = DocumentStore.open(
            self.state, f"{self._folder}/new/dedupe", settings, as_of=_day(day), storage=self.storage
        )
        return [name for corpus in store.earlier for name in corpus.to_table()["doc_id"].to_pylist()]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def _some(prefix: str, *seeds: object, changed: Sequence[int] = ()) -> list[Row]:
    return [document(f"{prefix}{number}", text_of(seed, changed=changed)) for number, seed in enumerate(seeds)]


# What the documents of earlier runs do


def test_a_document_of_an_earlier_run_keeps_out_its_near_duplicates_even_longer_ones(pipeline: Pipeline) -> None:
    pipeline.run("one", *_some("a", 1, 2), day=0)
    longer = text_of(1, changed=[3]) + " and more"
    result = pipeline.run("two", document("b", longer), document("c", text_of(3)), day=1)
    assert ids(result) == ["c"]
    gone = removed_rows(result)["b"]
    assert (gone["kept_id"], gone["reason"], gone["cluster_id"]) == ("a0", "near_duplicate", "a0")
    assert gone["jaccard"] == pytest.approx(jaccard(longer, text_of(1)))
    assert pipeline.stored(day=2) == ["a0", "a1", "c"], "what was removed is not stored"


def test_a_copy_of_a_stored_text_at_another_url_is_an_exact_duplicate(pipeline: Pipeline) -> None:
    pipeline.run("one", *_some("a", 1), day=0)
    result = pipeline.run("two", document("b", f"  {text_of(1)}\n"), day=1)
    assert decisions(result) == {"b": ("a0", 0, 1.0, "exact_duplicate", "a0")}


@pytest.mark.parametrize("method", ["simhash", "minhash", "both"])
def test_a_document_that_comes_again_is_kept_once_and_keeps_its_cluster(pipeline: Pipeline, method: str) -> None:
    rule = DedupeSettings(method=method, max_removed_fraction=1)  # type: ignore[arg-type]
    pipeline.run("one", *_some("a", 1, 2), day=0, settings=rule)
    result = pipeline.run("two", *_some("a", 1), *_some("a", 1), document("b", text_of(1)), day=1, settings=rule)
    assert ids(result) == ["a0"]
    assert [(row["doc_id"], row["kept_id"]) for row in removed_rows(result).values()] == [("a0", "a0"), ("b", "a0")]
    assert result.removed == 2


def test_known_documents_are_kept_even_if_they_are_near_each_other(pipeline: Pipeline) -> None:
    pipeline.run("one", *_some("a", 1), day=1)
    pipeline.run("two", *_some("b", 1, changed=[3]), day=1)
    result = pipeline.run("three", *_some("a", 1), *_some("b", 1, changed=[3]), day=2)
    assert (ids(result), result.removed) == (["a0", "b0"], 0)


@pytest.mark.parametrize("label_source", ["human", "feedback"])
def test_rows_labelled_by_people_stay_whatever_was_stored(pipeline: Pipeline, label_source: str) -> None:
    pipeline.run("one", *_some("a", 1, 2), day=0)
    copy = document("b", text_of(1), label_source=label_source)
    near = document("c", text_of(2, changed=[4]), label_source=label_source)
    result = pipeline.run("two", copy, near, document("d", text_of(2, changed=[5]), label_source=None), day=1)
    assert ids(result) == ["b", "c"]
    assert removed_rows(result)["d"]["kept_id"] in {"a1", "c"}


def test_the_cluster_of_a_stored_document_is_inherited_over_runs(pipeline: Pipeline) -> None:
    first = pipeline.run("one", document("m", text_of(1) + " longer"), document("a", text_of(1, changed=[2])), day=0)
    assert [(row["doc_id"], row["cluster_id"]) for row in kept_rows(first)] == [("m", "a")]
    labelled = document("z", text_of(1) + " longest", label_source="human")
    second = pipeline.run("two", labelled, day=1)
    assert [(row["doc_id"], row["cluster_id"]) for row in kept_rows(second)] == [("z", "a")]
    third = pipeline.run("three", document("0", text_of(1) + " long"), day=2)
    assert {row["cluster_id"] for row in removed_rows(third).values()} == {"a"}


def test_what_was_never_published_keeps_nothing_out(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run("one", *_some("a", 1, 2), day=0)
    version = write_shards(tmp_path / "v1", [_some("a", 1)])
    again = [*_some("b", 1, changed=[3]), *_some("c", 2, changed=[3])]
    some = pipeline.run("two", *again, day=1, published=version)
    assert (ids(some), set(removed_rows(some))) == (["c0"], {"b0"})
    none = pipeline.run("three", *again, day=1, published=[])
    assert ids(none) == ["b0", "c0"]
    both = write_shards(tmp_path / "v2", [_some("a", 1, 2)[1:]])
    assert ids(pipeline.run("four", *again, day=1, published=[version, both])) == []


def test_without_across_runs_nothing_is_seen_but_later_runs_see_what_was_kept(pipeline: Pipeline) -> None:
    pipeline.run("one", *_some("a", 1), day=0)
    alone = DedupeSettings(across_runs=False)
    assert ids(pipeline.run("two", *_some("b", 1), day=1, settings=alone)) == ["b0"]
    assert pipeline.stored(day=2) == ["a0", "b0"]


def test_each_part_holds_all_that_its_run_kept_whatever_others_hold(pipeline: Pipeline) -> None:
    pipeline.run("one", *_some("a", 1, 2), day=0)
    pipeline.run("two", *_some("a", 1, 2), day=10)
    pipeline.run("one", *_some("a", 3), day=0)
    assert sorted(pipeline.stored(day=11)) == ["a0", "a0", "a1"]
    assert sorted(pipeline.stored(day=11, settings=DedupeSettings(window_days=5))) == ["a0", "a1"]


@pytest.mark.parametrize("method", ["simhash", "both"])
def test_the_same_documents_again_are_judged_as_the_first_time_however_long_they_are(
    pipeline: Pipeline, method: str
) -> None:
    rule = DedupeSettings(method=method, similarity=0.75, max_removed_fraction=1)  # type: ignore[arg-type]
    rows = [
        document(f"{seed:02d}-{changed}", text_of(seed, words=120, changed=[120 * n // 48 for n in range(changed)]))
        for seed in range(30)
        for changed in (0, 40, 44, 48)
    ]
    first = pipeline.run("one", *rows, day=0, settings=rule)
    again = pipeline.run("two", *rows, day=1, settings=rule)
    similarities = [row["jaccard"] for row in removed_rows(first).values()]
    assert min(similarities) < 0.55, "some are near the threshold, where a sketch would err"
    assert ids(again) == ids(first)


def test_what_goes_for_a_document_that_comes_again_does_not_count_as_gone_for_an_earlier_run(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.run("one", *_some("a", 1), day=0)
    copies = [document(f"c{number}", text_of(1) + " ." * number) for number in range(3)]
    with pytest.raises(TooManyRemovedError):
        pipeline.run("two", *_some("a", 1), *copies, day=1, settings=DedupeSettings(max_removed_fraction=0.5))
    result = pipeline.run("three", *copies, day=1, settings=DedupeSettings(max_removed_fraction=0.5))
    assert (result.removed, result.metrics["removed_for_earlier_runs"]) == (3, 3)
    assert "3 of 3 rows go, 3 of these for documents of earlier runs" in caplog.text


def test_short_chinese_texts_are_found_by_minhash_across_runs(pipeline: Pipeline) -> None:
    rule = DedupeSettings(method="minhash", max_removed_fraction=1)
    originals = [document(f"a{n}", han_text_of(n, characters=60)) for n in range(20)]
    edited = [document(f"b{n}", han_text_of(n, characters=60, changed=[30])) for n in range(20)]
    pipeline.run("one", *originals, day=0, settings=rule)
    result = pipeline.run("two", *edited, day=1, settings=rule)
    assert {name: row["kept_id"] for name, row in removed_rows(result).items()} == {f"b{n}": f"a{n}" for n in range(20)}


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        ("simhash", "both", {"b0"}),
        ("simhash", "minhash", set()),
        ("minhash", "simhash", {"b0"}),
        ("both", "both", {"b0"}),
    ],
)
def test_parts_of_another_method_are_compared_by_what_they_hold(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture, stored: str, asked: str, expected: set[str]
) -> None:
    rules = [DedupeSettings(method=method, max_removed_fraction=1) for method in (stored, asked)]  # type: ignore[arg-type]
    pipeline.run("one", *_some("a", 1), day=0, settings=rules[0])
    with caplog.at_level(logging.WARNING):
        result = pipeline.run(
            "two", *_some("b", 1, 2, changed=[3]), document("c", text_of(1)), day=1, settings=rules[1]
        )
    assert set(removed_rows(result)) == expected | {"c"}, "copies are found by what every part holds"
    assert ("were stored without MinHash" in caplog.text) == (stored == "simhash")


def test_a_store_of_parts_with_and_without_minhash_is_read_whole(pipeline: Pipeline) -> None:
    both = DedupeSettings(method="both", max_removed_fraction=1)
    pipeline.run("one", *_some("a", 1), day=0)
    pipeline.run("two", *_some("b", 2), day=1, settings=both)
    result = pipeline.run("three", *_some("c", 1, 2, 3), day=2, settings=both)
    assert {name: row["kept_id"] for name, row in removed_rows(result).items()} == {"c0": "a0", "c1": "b0"}


@pytest.mark.parametrize("method", ["simhash", "minhash", "both"])
def test_nothing_new_after_a_stored_run_is_an_empty_corpus(pipeline: Pipeline, method: str) -> None:
    rule = DedupeSettings(method=method)  # type: ignore[arg-type]
    pipeline.run("one", *_some("a", 1), day=0, settings=rule)
    result = deduplicate(
        pipeline.source("two"), f"{pipeline.state}/../two", rule, state_uri=pipeline.state, as_of=_day(1)
    )
    assert (result.rows_in, result.rows_out) == (0, 0)
    assert pipeline.stored(day=2) == ["a0"]


# Which runs are seen


def test_a_backfill_never_sees_later_runs(pipeline: Pipeline) -> None:
    pipeline.run("late", *_some("a", 1), day=5)
    assert ids(pipeline.run("backfill", *_some("b", 1, changed=[3]), day=2)) == ["b0"]
    assert ids(pipeline.run("later", *_some("c", 1, changed=[3]), day=6)) == []
    assert pipeline.stored(day=7) == ["b0", "a0"], "by the time that they are of, not by when they were written"


def test_two_runs_of_the_same_time_do_not_see_each_other_in_either_order(pipeline: Pipeline) -> None:
    pipeline.run("one", *_some("a", 1), day=1)
    assert ids(pipeline.run("two", *_some("b", 1), day=1)) == ["b0"]
    assert sorted(pipeline.stored(day=2)) == ["a0", "b0"]


def test_documents_older_than_the_window_are_forgotten(pipeline: Pipeline) -> None:
    rule = DedupeSettings(window_days=7, max_removed_fraction=1)
    pipeline.run("one", *_some("a", 1), day=0)
    assert pipeline.stored(day=7, settings=rule) == ["a0"]
    assert pipeline.stored(day=8, settings=rule) == []
    assert ids(pipeline.run("two", *_some("b", 1), day=8, settings=rule)) == ["b0"]
    assert ids(pipeline.run("three", *_some("c", 1), day=8)) == [], "who has no window remembers"


def test_a_run_without_a_time_is_of_now_and_keeps_it_when_it_is_run_again(pipeline: Pipeline, tmp_path: Path) -> None:
    source = pipeline.source("one", _some("a", 1))
    for force in range(2):
        settings = DedupeSettings(similarity=0.85 + force / 10)
        deduplicate(source, str(tmp_path / "out"), settings, state_uri=pipeline.state)
        store = DocumentStore.open(pipeline.state, str(tmp_path / "out"), settings)
        (folder,) = Path(pipeline.state).iterdir()
        assert store.own_uri == folder.as_uri()
        assert store.earlier == ()


def test_what_else_lies_beside_the_parts_is_passed_over(pipeline: Pipeline) -> None:
    pipeline.run("one", *_some("a", 1), day=0)
    (Path(pipeline.state) / "notes").mkdir()
    begun = Path(pipeline.state) / "20260302T000000000000Z-0123456789abcdef"
    begun.mkdir()
    (begun / "20260302T000000-00000000-00000.parquet").write_bytes(b"half")
    assert pipeline.stored(day=5) == ["a0"]
    assert ids(pipeline.run("two", *_some("b", 1, 2), day=5)) == ["b1"]


def test_the_guard_asks_how_much_is_lost_of_what_is_new(pipeline: Pipeline) -> None:
    """A crawl that brings the documents of an earlier one at other addresses is no sign of wrong settings."""
    careful = DedupeSettings(max_removed_fraction=0.3)
    pipeline.run("one", *_some("a", *range(8)), day=0)
    again = _some("b", *range(8))
    assert pipeline.run("two", *again, *_some("c", 8, 9), day=1, settings=careful).removed == 8
    twice = _some("d", *range(10, 15)) + _some("e", *range(10, 15))
    with pytest.raises(TooManyRemovedError, match=r"max_removed_fraction = 0\.3"):
        pipeline.run("three", *twice, day=2, settings=careful)
    assert len(pipeline.stored(day=3)) == 10


# Retries and kills


def test_a_retry_takes_the_place_of_its_own_part(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run("one", *_some("a", 1), day=0)
    pipeline.run("two", *_some("b", 2, 3), day=1)
    changed = write_shards(tmp_path / "changed", [[*_some("c", 2, changed=[3]), *_some("d", 4)]])
    result = deduplicate(changed, str(tmp_path / "two" / "dedupe"), _RULE, state_uri=pipeline.state, as_of=_day(1))
    assert ids(result) == ["c0", "d0"], "it does not see what it stored itself"
    assert pipeline.stored(day=2) == ["a0", "c0", "d0"]
    again = pipeline.run("one", *_some("a", 1), day=0)
    assert again.reused
    assert pipeline.stored(day=2) == ["a0", "c0", "d0"]
    assert ids(pipeline.run("two", *_some("e", 2, 4), day=3)) == ["e0", "e1"], "nor if it is of another time now"
    assert pipeline.stored(day=2) == ["a0", "c0", "d0"]
    assert pipeline.stored(day=4) == ["a0", "e0", "e1"]


_KILLED_AT_A_MANIFEST = """
import os, signal, sys
from datetime import datetime
from fsspec.implementations.local import LocalFileSystem
from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.settings import DedupeSettings

source, destination, state, as_of, folder, when = sys.argv[1:]

class MortalStorage(Storage):
    def create(self, uri, data):
        if when == "before" and folder in uri:
            os.kill(os.getpid(), signal.SIGKILL)
        super().create(uri, data)
        if when == "after" and folder in uri:
            os.kill(os.getpid(), signal.SIGKILL)

deduplicate(source, destination, DedupeSettings(max_removed_fraction=1), state_uri=state,
            as_of=datetime.fromisoformat(as_of), storage=MortalStorage(LocalFileSystem(), "file:///"))
"""


@pytest.mark.parametrize(
    ("folder", "when", "part_is_there", "corpus_is_there"),
    [
        ("/state/", "before", False, False),
        ("/state/", "after", True, False),
        ("/dedupe/", "before", True, False),
        ("/dedupe/", "after", True, True),
    ],
)
def test_a_killed_run_that_is_tried_again_loses_and_doubles_nothing(
    tmp_path: Path, folder: str, when: str, part_is_there: bool, corpus_is_there: bool
) -> None:
    rows = [*_some("b", *range(8)), *_some("c", *range(4), changed=[2])]
    killed, untouched = Pipeline(tmp_path / "killed"), Pipeline(tmp_path / "untouched")
    for pipeline in (killed, untouched):
        pipeline.run("one", *_some("a", 0, 1), day=0)
    source = killed.source("two", rows)
    arguments = [source, f"{tmp_path}/killed/two/dedupe", killed.state, _day(1).isoformat(), folder, when]
    child = subprocess.run(
        [sys.executable, "-c", _KILLED_AT_A_MANIFEST, *arguments], check=False, capture_output=True, text=True
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert len(killed.stored(day=2)) == (8 if part_is_there else 2)
    assert (tmp_path / "killed/two/dedupe/_manifest.json").exists() == corpus_is_there

    retried, expected = (pipeline.run("two", *rows, day=1) for pipeline in (killed, untouched))

    assert retried.reused == corpus_is_there
    assert retried.digest == expected.digest
    assert kept_rows(retried) == kept_rows(expected)
    assert removed_rows(retried) == removed_rows(expected)
    assert killed.stored(day=2) == untouched.stored(day=2) == ["a0", "a1", *(f"b{n}" for n in range(2, 8))]
    later = [pipeline.run("three", *_some("d", *range(9)), day=2) for pipeline in (killed, untouched)]
    assert decisions(later[0]) == decisions(later[1])
    assert ids(later[0]) == ["d8"]


def test_two_attempts_at_once_leave_one_part_and_one_corpus(pipeline: Pipeline) -> None:
    pipeline.source("two", _some("b", *range(6)))
    both_are_writing = threading.Barrier(2)

    def wait_for_the_other(_: Progress) -> None:
        both_are_writing.wait(timeout=60)

    def attempt(_: int) -> StageResult:
        return pipeline.run("two", *_some("b", *range(6)), day=1, progress=wait_for_the_other)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(attempt, range(2)))
    assert sorted(result.reused for result in results) == [False, True]
    assert results[0].digest == results[1].digest
    (part,) = Path(pipeline.state).iterdir()
    assert [path.name for path in part.glob("_manifest*")] == ["_manifest.json"]
    assert pipeline.stored(day=2) == [f"b{n}" for n in range(6)]


# Damage


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), ShardDamagedError),
        (lambda path: os.truncate(path, 0), ShardDamagedError),
        (lambda path: path.unlink(), ShardMissingError),
    ],
    ids=["truncated", "empty", "missing"],
)
def test_a_damaged_part_is_named_and_nothing_is_committed(
    pipeline: Pipeline, tmp_path: Path, damage: Callable[[Path], None], error: type[Exception]
) -> None:
    pipeline.run("one", *_some("a", 1, 2), day=0)
    (shard,) = Path(pipeline.state).rglob("*.parquet")
    damage(shard)
    with pytest.raises(error, match=shard.name):
        pipeline.run("two", *_some("b", 1), day=1)
    assert not (tmp_path / "two/dedupe/_manifest.json").exists()


# Where it lies, and what lies there


def test_the_store_works_on_storage_that_is_no_file_system(request: pytest.FixtureRequest) -> None:
    files = MemoryFileSystem()
    folder = f"memory://{request.node.name}"
    request.addfinalizer(lambda: files.rm(f"/{request.node.name}", recursive=True))
    storage = Storage(files, "memory://")
    pipeline = Pipeline(folder, storage)
    pipeline.run("one", *_some("a", 1, 2), day=0)
    result = pipeline.run("two", *_some("b", 1, 3, changed=[3]), day=1)
    assert ids(result, storage=storage) == ["b1"]
    assert removed_rows(result, storage=storage)["b0"]["kept_id"] == "a0"
    assert pipeline.stored(day=2) == ["a0", "a1", "b1"]


def test_a_stored_row_holds_the_smallest_hashes_of_its_text() -> None:
    texts = ["", "ab", text_of(1, words=12), text_of(2, words=400)]
    kept = pa.table({"doc_id": list("abcd"), "cluster_id": list("wxyz"), "text": texts})
    prints, look = prints_of(texts, _RULE), look_at(kept, _RULE)
    stored = stored_rows(kept, prints, look)
    sets = look.sets
    sizes = np.diff(sets.bounds).tolist()
    assert stored["set_size"].to_pylist() == sizes
    assert sizes[0] == 0
    assert sizes[2] < SKETCH < sizes[3]
    for number, sketch in enumerate(stored["sketch"].to_pylist()):
        whole = sets.values[sets.bounds[number] : sets.bounds[number + 1]].tolist()
        assert sketch == sorted(whole)[:SKETCH]
    assert {(field.name, field.type) for field in stored.schema} == {
        (field.name, field.type) for field in NOTHING_STORED.schema
    }
    taken = sketches_of(stored.slice(1, 2))
    assert [taken.values[start:end].tolist() for start, end in zip(taken.bounds, taken.bounds[1:], strict=False)] == [
        stored["sketch"][1].as_py(),
        stored["sketch"][2].as_py(),
    ]


@pytest.mark.parametrize("method", ["simhash", "minhash", "both"])
def test_copies_in_another_unicode_form_are_exact_duplicates_in_a_run_and_over_runs(
    pipeline: Pipeline, method: str
) -> None:
    rule = DedupeSettings(method=method, max_removed_fraction=1)  # type: ignore[arg-type]
    text = "Tiếng Việt là ngôn ngữ của người Việt và là ngôn ngữ chính thức tại Việt Nam"
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    assert composed != decomposed
    first = pipeline.run("one", document("a", composed), document("b", decomposed), day=0, settings=rule)
    assert decisions(first) == {"b": ("a", 0, 1.0, "exact_duplicate", "a")}
    second = pipeline.run("two", document("c", decomposed), day=1, settings=rule)
    assert decisions(second) == {"c": ("a", 0, 1.0, "exact_duplicate", "a")}


@pytest.mark.parametrize("prints_at_once", [5, 15, 1_000_000])
def test_shards_of_a_part_are_searched_some_at_a_time(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prints_at_once: int
) -> None:
    monkeypatch.setattr("airflow_provider_autoglm.corpus.dedupe.store._PRINTS_AT_ONCE", prints_at_once)
    shards = [_some(f"a{shard}-", *range(10 * shard, 10 * shard + 10)) for shard in range(3)]
    source = write_shards(tmp_path / "in", shards)
    deduplicate(source, str(tmp_path / "out"), _RULE, state_uri=pipeline.state, as_of=_day(0))
    result = pipeline.run("two", *_some("b", *range(0, 30, 3), changed=[1]), day=1)
    assert {name: row["kept_id"] for name, row in removed_rows(result).items()} == {
        f"b{n}": f"a{3 * n // 10}-{3 * n % 10}" for n in range(10)
    }
    assert Corpus.open(result.uri).rows == 0

"""A small corpus through the contestants, each in its own process, as the benchmark runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airflow_provider_autoglm.corpus import compile_cache
from benchmarks.dedupe.child import ContestantError, measure
from benchmarks.dedupe.corpora import Prepared, prepare
from benchmarks.dedupe.documents import SHORT, stretches
from benchmarks.dedupe.speed import fingerprint_table, is_as_brute_force, pair_table
from benchmarks.dedupe.stage import PEERS, stage_tables

CACHE = Path(compile_cache.cache_directory()).parent


@pytest.fixture(scope="module")
def corpus(files: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("corpus"), SHORT, list(stretches(files, SHORT)), 300)


def test_fingerprints_equal_the_package_and_pairs_equal_faiss_and_brute_force(corpus: Prepared, tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    (row,) = fingerprint_table([corpus], [50], folder=tmp_path, cache=CACHE).rows
    assert (row["compared"], row["different"]) == (50, 0)
    (row,) = pair_table(corpus, folder=tmp_path, cache=CACHE, with_faiss=True).rows
    assert row["prints"] == 300
    assert row["as faiss"] is True
    assert row["as brute force"] is True


def test_a_missing_or_a_wrong_pair_is_not_as_brute_force() -> None:
    prints = np.array([0, 1, 2**64 - 1], np.uint64)
    assert is_as_brute_force(prints, np.array([[0], [1]]))
    assert not is_as_brute_force(prints, np.empty((2, 0), np.int64))
    assert not is_as_brute_force(prints, np.array([[0, 0], [1, 2]]))


def test_the_stage_and_a_peer_are_judged_by_the_same_truth(corpus: Prepared, tmp_path: Path) -> None:
    pytest.importorskip("rensa")
    table, recall = stage_tables(corpus, PEERS[:1], folder=tmp_path, cache=CACHE)
    assert [row[""] for row in table.rows] == ["ours, simhash", "ours, minhash", "ours, both", "rensa"]
    assert all(float(str(row["recall"])) > 0.8 for row in table.rows)
    assert all(float(str(row["precision"])) > 0.9 for row in table.rows)
    assert all(row["unlike"] == 0 for row in table.rows[:3])
    assert [row["layout"] for row in recall.rows] == [1.0] * 4


def test_a_contestant_that_fails_is_told_with_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(ContestantError, match=r"simhash_package\.fingerprint ended with 1:(.|\n)*nowhere"):
        measure("simhash_package", "fingerprint", cache=CACHE, source=str(tmp_path / "nowhere"), output="", most=1)

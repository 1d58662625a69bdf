"""De-duplication over workers comes to what one task comes to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.dedupe import deduplicate, sharded
from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash64
from airflow_provider_autoglm.corpus.dedupe.prints import prints_schema
from airflow_provider_autoglm.corpus.parts import split_corpus
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import (
    CorpusNotCommittedError,
    MissingColumnsError,
    SettingsError,
    TooManyRemovedError,
)
from airflow_provider_autoglm.settings import DedupeSettings
from tests.corpus.dedupe.runs import Row, counted, document, han_text_of, kept_rows, text_of, write_shards

Method = Literal["simhash", "minhash", "both"]

_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_MANY = 1_200


def _many_documents() -> list[Row]:
    """Texts with near and exact copies, those of a family far from each other."""
    texts = [text_of(n % 500, changed=range(n // 500)) if n % 3 else han_text_of(n % 200) for n in range(_MANY)]
    rows = [document(f"{n * 7 % _MANY:04d}", text) for n, text in enumerate(texts)]
    rows[700] = document("rejected", None)
    return rows


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = _many_documents()
    return write_shards(tmp_path_factory.mktemp("sharded") / "in", [rows[n : n + 130] for n in range(0, _MANY, 130)])


def _rule(method: Method = "both") -> DedupeSettings:
    return DedupeSettings(method=method, max_removed_fraction=1)


def _searched(
    source: str | Sequence[str], folder: Path, rule: DedupeSettings, *, parts: int, shares: int
) -> tuple[list[str], list[str]]:
    """The prints of all parts in order, and what every share of the search found."""
    split = split_corpus(source, str(folder / "prints"), max_parts=parts)
    prints = [sharded.fingerprint(part["source"], part["destination"], rule).uri for part in split]
    found = [sharded.search(prints, f"{folder}/found{n}", rule, (n, shares)).uri for n in range(shares)]
    return prints, found


def _assert_same(one: StageResult, other: StageResult) -> None:
    for kind in ("shards", "removed", "rejected"):
        assert Corpus.open(one.uri).to_table(kind=kind).equals(Corpus.open(other.uri).to_table(kind=kind))
    assert one.digest == other.digest
    assert counted(one) == counted(other)


@pytest.mark.parametrize("method", ["simhash", "minhash", "both"])
@pytest.mark.parametrize(("parts", "shares"), [(1, 1), (3, 7), (10, 2)])
def test_parts_and_shares_give_the_rows_of_one_task(
    tmp_path: Path, source: str, method: Method, parts: int, shares: int
) -> None:
    prints, found = _searched(source, tmp_path, _rule(method), parts=parts, shares=shares)
    assert len(prints) == parts
    result = sharded.resolve(source, str(tmp_path / "out"), _rule(method), prints=prints, found=found)
    whole = deduplicate(source, str(tmp_path / "whole"), _rule(method))
    assert whole.removed > 300
    _assert_same(result, whole)


def test_with_a_store_the_part_of_the_run_is_the_same_too(tmp_path: Path, source: str) -> None:
    earlier = write_shards(tmp_path / "earlier", [[document(f"e{n}", text_of(n)) for n in range(0, 400, 40)]])
    stored = []
    results = []
    for name in ("whole", "shares"):
        state = str(tmp_path / name / "state")
        deduplicate(earlier, f"{tmp_path}/{name}/earlier", _rule(), state_uri=state, as_of=_DAY)
        later = _DAY + timedelta(days=1)
        destination = f"{tmp_path}/{name}/out"
        if name == "whole":
            results.append(deduplicate(source, destination, _rule(), state_uri=state, as_of=later))
        else:
            prints, found = _searched(source, tmp_path, _rule(), parts=4, shares=3)
            results.append(
                sharded.resolve(source, destination, _rule(), prints=prints, found=found, state_uri=state, as_of=later)
            )
        (part,) = [path for path in (tmp_path / name / "state").iterdir() if "20260102" in path.name]
        stored.append(Corpus.open(str(part)).to_table())
    _assert_same(*results)
    removed = Corpus.open(results[0].uri).to_table(kind="removed")["kept_id"].to_pylist()
    assert any(str(kept_id).startswith("e") for kept_id in removed)
    assert stored[0].equals(stored[1])
    for column in ("doc_id", "simhash", "cluster_id"):
        assert stored[0][column].to_pylist() == [row[column] for row in kept_rows(results[0])]


def test_several_sources_are_one_heap(tmp_path: Path, source: str) -> None:
    other = write_shards(tmp_path / "other", [[document("zz", text_of(1)), document("zy", text_of("new"))]])
    prints, found = _searched([source, other], tmp_path, _rule(), parts=5, shares=2)
    result = sharded.resolve([source, other], str(tmp_path / "out"), _rule(), prints=prints, found=found)
    _assert_same(result, deduplicate([source, other], str(tmp_path / "whole"), _rule()))


def test_a_share_finds_no_more_than_the_whole_search_and_all_together_find_that(tmp_path: Path, source: str) -> None:
    prints, found = _searched(source, tmp_path, _rule(), parts=2, shares=5)
    whole = sharded.search(prints, str(tmp_path / "whole"), _rule(), (0, 1))
    expected = set(Corpus.open(whole.uri).to_table()["document"].to_pylist())
    shares = [set(Corpus.open(uri).to_table()["document"].to_pylist()) for uri in found]
    assert set().union(*shares) == expected
    assert len(expected) < _MANY - 1


def test_the_prints_of_a_part_are_a_row_a_document(tmp_path: Path, source: str) -> None:
    result = sharded.fingerprint(f"{source}#shards=5-5", str(tmp_path / "prints"), _rule())
    assert (result.rows_in, result.rows_out) == (129, 129), "without the row that has no text"
    table = Corpus.open(result.uri).to_table()
    assert table.schema == prints_schema(_rule())
    texts = [str(row["text"]) for row in _many_documents()[650:780] if row["text"]]
    assert table["simhash"].to_pylist() == simhash64(texts).tolist()


def test_prints_of_other_documents_are_refused(tmp_path: Path, source: str) -> None:
    other = write_shards(tmp_path / "other", [[document(f"{n}", text_of(n)) for n in range(_MANY)]])
    for prints, found in (
        _searched(other, tmp_path / "x", _rule(), parts=2, shares=1),
        _searched([source, other], tmp_path / "y", _rule(), parts=2, shares=1),
    ):
        with pytest.raises(SettingsError, match="prints: they are not those of all shards of source, in order"):
            sharded.resolve(source, str(tmp_path / "out"), _rule(), prints=prints, found=found)


@pytest.mark.parametrize("share", [(4, 4), (-1, 4), (0, 0)])
def test_a_share_that_is_none_is_refused(tmp_path: Path, source: str, share: tuple[int, int]) -> None:
    prints, _ = _searched(source, tmp_path, _rule(), parts=2, shares=1)
    with pytest.raises(SettingsError, match="the number must be from 0 to below the count"):
        sharded.search(prints, str(tmp_path / "none"), _rule(), share)


def test_an_empty_corpus_is_resolved(tmp_path: Path) -> None:
    source = write_shards(tmp_path / "in", [])
    prints, found = _searched(source, tmp_path, _rule(), parts=4, shares=2)
    assert len(prints) == 1
    result = sharded.resolve(source, str(tmp_path / "out"), _rule(), prints=prints, found=found)
    assert (result.rows_in, result.rows_out) == (0, 0)


def test_every_step_run_again_is_reused_and_another_share_is_not(tmp_path: Path, source: str) -> None:
    for is_second in (False, True):
        prints, found = _searched(source, tmp_path, _rule(), parts=2, shares=2)
        result = sharded.resolve(source, str(tmp_path / "out"), _rule(), prints=prints, found=found)
        assert result.reused == is_second
    assert sharded.fingerprint(f"{source}#shards=0-4", f"{tmp_path}/prints/part=000", _rule()).reused
    assert sharded.search(prints, f"{tmp_path}/found1", _rule(), (1, 2)).reused
    assert not sharded.search(prints, f"{tmp_path}/found1", _rule(), (0, 2)).reused
    assert not sharded.search(prints, f"{tmp_path}/found1", _rule("minhash"), (0, 2)).reused


def test_what_one_task_refuses_is_refused_here_too(tmp_path: Path) -> None:
    source = write_shards(tmp_path / "in", [[document(f"d{n}", text_of(1)) for n in range(4)]])
    with pytest.raises(MissingColumnsError, match="missing columns fetched_at"):
        sharded.fingerprint(source, str(tmp_path / "prints"), DedupeSettings(keep="earliest"))
    rule = DedupeSettings(max_removed_fraction=0.5)
    prints, found = _searched(source, tmp_path, rule, parts=1, shares=1)
    with pytest.raises(TooManyRemovedError, match=r"3 of 4 rows"):
        sharded.resolve(source, str(tmp_path / "out"), rule, prints=prints, found=found)
    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(str(tmp_path / "out"))


def test_a_search_commits_numbers(tmp_path: Path, source: str) -> None:
    prints, _ = _searched(source, tmp_path, _rule(), parts=1, shares=1)
    table = Corpus.open(str(tmp_path / "found0")).to_table()
    assert table.schema == pa.schema([("document", pa.int64())])
    numbers = table["document"].to_numpy()
    assert (np.diff(numbers) > 0).all()
    assert Corpus.open(prints[0]).rows > numbers.max()


def test_what_is_not_of_one_search_in_these_prints_is_refused(tmp_path: Path, source: str) -> None:
    prints, found = _searched(source, tmp_path, _rule(), parts=3, shares=3)
    other = sharded.search(prints, str(tmp_path / "other"), _rule(), (0, 2)).uri

    def refused(
        *, prints: Sequence[str] = prints, found: Sequence[str] = found, rule: DedupeSettings | None = None
    ) -> str:
        with pytest.raises(SettingsError) as caught:
            sharded.resolve(source, str(tmp_path / "out"), rule or _rule(), prints=prints, found=found)
        return str(caught.value)

    assert "are not all of one search" in refused(found=found[:2])
    assert "are not all of one search" in refused(found=[*found, found[0]])
    assert "are not all of one search" in refused(found=[other, *found[1:]])
    assert "are not all of one search" in refused(found=[found[0], prints[0], found[2]])
    assert "in other prints than these, or in another order" in refused(prints=prints[::-1])
    assert "in other prints than these, or in another order" in refused(prints=prints[:2])
    assert "made with other settings" in refused(rule=_rule("simhash"))
    assert not (tmp_path / "out").exists()
    shuffled = sharded.resolve(source, str(tmp_path / "out"), _rule(), prints=prints, found=found[::-1])
    _assert_same(shuffled, deduplicate(source, str(tmp_path / "whole"), _rule()))

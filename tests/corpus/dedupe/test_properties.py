"""What holds for every heap of documents, however it lies on storage and whoever does the work."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe import deduplicate, sharded
from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash64
from airflow_provider_autoglm.corpus.dedupe.minhash import band_keys
from airflow_provider_autoglm.corpus.dedupe.shingles import sets_of
from airflow_provider_autoglm.corpus.dedupe.store import SKETCH
from airflow_provider_autoglm.corpus.dedupe.tokens import tokenise
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.schema import normalise_text
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import DedupeSettings
from tests.corpus.dedupe.runs import (
    Row,
    counted,
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

Method = Literal["simhash", "minhash", "both"]

_FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_FIRST_RUN = datetime(2026, 1, 1, tzinfo=UTC)
_ODD = ["", ".", "...", "a", "中", "😀", "😀 😀", "abc", "_" * 160, "a" * 300, "e\u0301te\u0301", "\u00e9t\u00e9"]
_positions = st.lists(st.integers(0, 19), max_size=4)
_texts = st.one_of(
    st.builds(lambda seed, changed: text_of(seed, changed=changed, words=20), st.integers(0, 2), _positions),
    st.builds(lambda seed, changed: han_text_of(seed, changed=changed), st.integers(0, 1), _positions),
    st.builds(lambda seed: text_of(seed, words=20) + " " + "_" * 160, st.integers(0, 3)),
    st.sampled_from(_ODD),
)
_heaps = st.lists(
    st.tuples(_texts, st.sampled_from([None, None, None, None, "auto", "human"])), min_size=2, max_size=14
).map(lambda drawn: [_row(number, text, source) for number, (text, source) in enumerate(drawn)])
_methods: st.SearchStrategy[Method] = st.sampled_from(["simhash", "minhash", "both"])
_rules = st.builds(
    lambda method, similarity, min_jaccard: DedupeSettings(
        method=method, similarity=similarity, min_jaccard=min_jaccard, max_removed_fraction=1
    ),
    _methods,
    st.sampled_from([0.75, 0.85, 1]),
    st.sampled_from([0, 0.5, 0.8, 1]),
)


def _row(number: int, text: str, label_source: str | None) -> Row:
    return document(f"{number * 7 % 16:02d}", text, label_source=label_source, order=number)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("properties")


def _folder(folders: Path) -> Path:
    """One that no other example has."""
    return folders / f"{len(list(folders.iterdir())):04d}"


def _cut(rows: Sequence[Row], generator: random.Random) -> list[Sequence[Row]]:
    """The rows in one to four shards."""
    cuts = sorted(generator.sample(range(1, len(rows)), min(generator.randint(0, 3), len(rows) - 1)))
    return [rows[start:end] for start, end in pairwise([0, *cuts, len(rows)])]


@_FEW
@given(rows=_heaps, rule=_rules, generator=st.randoms(use_true_random=False))
def test_order_shards_and_sources_do_not_change_the_decision(
    folders: Path, rows: list[Row], rule: DedupeSettings, generator: random.Random
) -> None:
    folder = _folder(folders)
    one = deduplicate(write_shards(folder / "in", [rows]), str(folder / "out"), rule)
    shuffled = generator.sample(rows, len(rows))
    sources = [
        write_shards(folder / f"in{number}", _cut(part, generator))
        for number, part in enumerate(_cut(shuffled, generator))
    ]
    other = deduplicate(sources, str(folder / "other"), rule)
    assert decisions(other) == decisions(one)
    assert {row["doc_id"]: row for row in kept_rows(other)} == {row["doc_id"]: row for row in kept_rows(one)}
    assert counted(other) == counted(one)


@_FEW
@given(rows=_heaps, rule=_rules)
def test_nothing_goes_from_what_was_kept(folders: Path, rows: list[Row], rule: DedupeSettings) -> None:
    folder = _folder(folders)
    first = deduplicate(write_shards(folder / "in", [rows]), str(folder / "out"), rule)
    again = deduplicate(first.uri, str(folder / "again"), rule)
    assert decisions(again) == {}
    assert ids(again) == ids(first)


@_FEW
@given(rows=_heaps, rule=_rules)
def test_what_goes_is_similar_to_what_is_kept_for_it(folders: Path, rows: list[Row], rule: DedupeSettings) -> None:
    folder = _folder(folders)
    result = deduplicate(write_shards(folder / "in", [rows]), str(folder / "out"), rule)
    texts = {str(row["doc_id"]): normalise_text(str(row["text"])) for row in rows}
    assert set(ids(result)) | set(removed_rows(result)) == set(texts)
    for name, gone in removed_rows(result).items():
        assert gone["kept_id"] in ids(result)
        text, kept = texts[name], texts[gone["kept_id"]]
        if gone["reason"] == "exact_duplicate":
            assert text == kept
            continue
        exact = jaccard(text, kept)
        assert gone["jaccard"] == pytest.approx(exact)
        assert exact >= rule.min_jaccard
        assert _are_candidates(text, kept, rule)


def _are_candidates(one: str, other: str, rule: DedupeSettings) -> bool:
    prints = simhash64([one, other])
    hamming = int(np.bitwise_count(prints[0] ^ prints[1]))
    tokens = tokenise([one, other])
    keys = band_keys(tokens.codes, tokens.bounds)
    by_simhash = rule.method != "minhash" and hamming <= rule.max_hamming
    return by_simhash or (rule.method != "simhash" and bool((keys[0] == keys[1]).any()))


@_FEW
@given(rows=_heaps, rule=_rules, shares=st.integers(1, 7), generator=st.randoms(use_true_random=False))
def test_workers_come_to_the_rows_of_one_task(
    folders: Path, rows: list[Row], rule: DedupeSettings, shares: int, generator: random.Random
) -> None:
    folder = _folder(folders)
    shards = _cut([*rows, document("rejected", None, label_source=None, order=-1)], generator)
    source = write_shards(folder / "in", shards)
    whole = deduplicate(source, str(folder / "whole"), rule)
    together = _by_workers(source, folder, rule, parts=generator.randint(1, len(shards)), shares=shares)
    assert together.digest == whole.digest
    for kind in ("shards", "removed", "rejected"):
        one, other = (Corpus.open(result.uri).to_table(kind=kind) for result in (whole, together))
        assert other.equals(one)
    assert counted(together) == counted(whole)


def _by_workers(source: str, folder: Path, rule: DedupeSettings, *, parts: int, shares: int) -> StageResult:
    count = len(Corpus.open(source).shards)
    bounds = [count * part // parts for part in range(parts + 1)]
    prints = [
        sharded.fingerprint(
            f"{source}#shards={bounds[part]}-{bounds[part + 1] - 1}", f"{folder}/prints{part}", rule
        ).uri
        for part in range(parts)
    ]
    found = [sharded.search(prints, f"{folder}/found{number}", rule, (number, shares)).uri for number in range(shares)]
    return sharded.resolve(source, f"{folder}/together", rule, prints=prints, found=found)


def _is_stored_whole(row: Row) -> bool:
    """Of a longer text the store has a sketch, and similarity is estimated."""
    return bool(sets_of([str(row["text"])]).bounds[-1] <= SKETCH)


@_FEW
@given(rows=_heaps, rule=_rules, first=st.integers(1, 13))
def test_two_runs_over_a_store_remove_what_one_run_of_both_would(
    folders: Path, rows: list[Row], rule: DedupeSettings, first: int
) -> None:
    """With documents of the first run kept before others, and texts that the store has the whole sets of."""
    folder = _folder(folders)
    rows = [{**row, "age": -row["order"]} for row in rows if row["label_source"] != "human" and _is_stored_whole(row)]
    rule = rule.model_copy(update={"keep": "column", "keep_column": "age"})
    removed: dict[str, tuple[object, ...]] = {}
    for day, part in enumerate((rows[:first], rows[first:])):
        source = write_shards(folder / f"in{day}", [part] if part else [])
        result = deduplicate(
            source,
            str(folder / f"out{day}"),
            rule,
            state_uri=str(folder / "state"),
            as_of=_FIRST_RUN + timedelta(days=day),
        )
        removed |= {name: said[:4] for name, said in decisions(result).items()}
    at_once = deduplicate(write_shards(folder / "in", [rows] if rows else []), str(folder / "out"), rule)
    assert removed == {name: said[:4] for name, said in decisions(at_once).items()}

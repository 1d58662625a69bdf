"""The figures, histograms and pairs that are read again from a committed corpus."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.dedupe.report import Report, report_of
from airflow_provider_autoglm.corpus.parts import join_corpora
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.settings import DedupeSettings

Row = Mapping[str, Any]

_ROW = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("lang", pa.string()),
        ("simhash", pa.uint64()),
        ("cluster_id", pa.string()),
        ("source", pa.string()),
    ]
)
_REMOVED_ROW = pa.schema(
    [*_ROW, ("kept_id", pa.string()), ("hamming", pa.uint8()), ("jaccard", pa.float32()), ("reason", pa.string())]
)


def kept_row(doc_id: str, text: str = "", *, cluster: str = "", **columns: object) -> Row:
    """A row that stays, in the cluster of its own unless another is named."""
    text = text or f"text of {doc_id}"
    return {
        "doc_id": doc_id,
        "url": f"https://site.example/{doc_id}",
        "text": text,
        "simhash": crc32(text.encode()),
        "cluster_id": cluster or doc_id,
        **columns,
    }


def near_row(doc_id: str, kept_id: str, text: str = "", *, hamming: int = 5, jaccard: float = 0.75, **more: Any) -> Row:
    """A near duplicate, in the cluster of what is kept."""
    row = {**kept_row(doc_id, text, cluster=kept_id), "kept_id": kept_id, "hamming": hamming, "jaccard": jaccard}
    return {**row, "reason": "near_duplicate", **more}


def copy_row(doc_id: str, kept_id: str, text: str = "") -> Row:
    """An exact copy of what is kept."""
    return {
        **near_row(doc_id, kept_id, text or f"text of {kept_id}", hamming=0, jaccard=1),
        "reason": "exact_duplicate",
    }


def committed(
    uri: Path, kept: Sequence[Row], removed: Sequence[Row], *, stage_settings: Mapping[str, Any] | None = None
) -> Corpus:
    """A corpus as the stage commits it, in small shards."""
    attempt = StageAttempt("dedupe", [], str(uri), stage_settings or DedupeSettings().model_dump(mode="json"))
    attempt.count_in(len(kept) + len(removed))
    attempt.limit_shards(1)
    for row in kept:
        attempt.write(pa.Table.from_pylist([row], _ROW))
    for place in range(0, len(removed), 7):
        attempt.remove(pa.Table.from_pylist(list(removed[place : place + 7]), _REMOVED_ROW))
        attempt.finish_shards()
    attempt.commit(metrics={"candidates": 12, "verified_pairs": 7, "clusters": 3})
    return Corpus.open(str(uri))


def chosen(report: Report) -> list[str]:
    """The removed documents of the pairs, in order."""
    return [pair.removed.doc_id for pair in report.pairs]


def test_distances_are_counted_of_near_duplicates_alone_up_to_the_threshold(tmp_path: Path) -> None:
    removed = [near_row("b", "a", hamming=3), near_row("c", "a", hamming=3), near_row("d", "a", hamming=9)]
    report = report_of(committed(tmp_path, [kept_row("a")], [*removed, copy_row("e", "a")]))
    assert report.histograms.hamming == (0, 0, 0, 2, 0, 0, 0, 0, 0, 1)
    assert (report.near_duplicates, report.exact_duplicates) == (3, 1)


def test_distances_beyond_the_threshold_lengthen_the_histogram(tmp_path: Path) -> None:
    report = report_of(committed(tmp_path, [kept_row("a")], [near_row("b", "a", hamming=17)]))
    assert report.histograms.hamming == (*[0] * 17, 1)


def test_a_cluster_is_as_large_as_what_is_kept_and_removed_of_it_and_single_documents_are_none(tmp_path: Path) -> None:
    kept = [kept_row("a"), kept_row("a2", cluster="a"), kept_row("b"), kept_row("alone"), kept_row("alone2")]
    removed = [near_row("c", "a"), near_row("d", "a2", cluster_id="a"), copy_row("e", "b")]
    report = report_of(committed(tmp_path, kept, removed))
    assert report.histograms.cluster_sizes == {2: 1, 4: 1}
    assert report.clusters == 2
    assert report.kept_earlier == 0


def test_what_an_earlier_run_keeps_is_named_counted_and_part_of_its_cluster(tmp_path: Path) -> None:
    removed = [near_row("b", "earlier"), near_row("c", "earlier", jaccard=0.8), near_row("d", "a", jaccard=0.9)]
    report = report_of(committed(tmp_path, [kept_row("a")], removed))
    assert report.kept_earlier == 2
    assert report.histograms.cluster_sizes == {2: 1, 3: 1}
    assert [(pair.kept_id, pair.kept is None) for pair in report.pairs] == [
        ("a", False),
        ("earlier", True),
        ("earlier", True),
    ], "a text that can be compared tells more"


def test_the_least_similar_pairs_come_first_and_copies_last(tmp_path: Path) -> None:
    removed = [
        copy_row("copy", "a"),
        near_row("z", "a", jaccard=0.5),
        near_row("y", "a", jaccard=1.0),
        near_row("b", "a", jaccard=0.625),
        near_row("c", "a", jaccard=0.5),
    ]
    report = report_of(committed(tmp_path, [kept_row("a")], removed))
    assert chosen(report) == ["c", "z", "b", "y", "copy"]
    pair = report.pairs[0]
    assert (pair.removed.text, pair.kept and pair.kept.text) == ("text of c", "text of a")
    assert (pair.removed.url, pair.jaccard, pair.hamming) == ("https://site.example/c", 0.5, 5)
    assert [pair.is_exact for pair in report.pairs] == [False] * 4 + [True]


def test_copies_of_one_removed_text_are_one_pair(tmp_path: Path) -> None:
    removed = [near_row(f"m{number}", "a", "the same") for number in reversed(range(30))]
    removed += [copy_row(f"x{number}", "a") for number in range(30)]
    removed += [near_row("other", "b", "the same")]
    report = report_of(committed(tmp_path, [kept_row("a"), kept_row("b")], removed))
    assert chosen(report) == ["m0", "other", "x0"]


_REMOVED = st.lists(
    st.tuples(
        st.integers(0, 40), st.sampled_from(["a", "b", "earlier"]), st.sampled_from([0.5, 0.75, 1.0]), st.booleans()
    ),
    max_size=40,
    unique_by=lambda row: row[0],
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=_REMOVED, limit=st.integers(1, 6), seed=st.randoms(use_true_random=False))
def test_the_choice_is_that_of_sorting_all_whatever_the_order_of_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], limit: int, seed: random.Random
) -> None:
    removed = [
        copy_row(f"{number:02d}", kept_id)
        if is_copy
        else near_row(f"{number:02d}", kept_id, f"text {number % 5}", jaccard=jaccard + number % 5 / 64)
        for number, kept_id, jaccard, is_copy in rows
    ]
    seed.shuffle(removed)
    ordered = sorted(
        removed,
        key=lambda row: (
            row["reason"] == "exact_duplicate",
            row["kept_id"] == "earlier",
            row["jaccard"],
            row["doc_id"],
        ),
    )
    first_of_text = {(row["kept_id"], row["simhash"]): row["doc_id"] for row in reversed(ordered)}
    expected = [row["doc_id"] for row in ordered if row["doc_id"] in set(first_of_text.values())][:limit]
    corpus = committed(tmp_path_factory.mktemp("corpus"), [kept_row(name) for name in "ab"], removed)
    assert chosen(report_of(corpus, pairs=limit)) == expected


def test_texts_are_found_again_in_shards_of_many_row_groups(tmp_path: Path) -> None:
    kept = [kept_row(f"k{number}") for number in range(3_000)]
    removed = [near_row(f"r{number}", f"k{number}", jaccard=0.5 + number / 8_000) for number in range(2_999, -1, -1)]
    attempt = StageAttempt("dedupe", [], str(tmp_path), {})
    attempt.count_in(6_000)
    attempt.write(pa.Table.from_pylist(kept, _ROW))
    attempt.remove(pa.Table.from_pylist(removed, _REMOVED_ROW))
    attempt.commit()
    corpus = Corpus.open(str(tmp_path))
    assert len(list(corpus.iter_tables(["doc_id"]))) > 1
    report = report_of(corpus)
    assert chosen(report) == [f"r{number}" for number in range(20)]
    assert [(pair.removed.text, pair.kept and pair.kept.text) for pair in report.pairs[18:]] == [
        ("text of r18", "text of k18"),
        ("text of r19", "text of k19"),
    ]


def test_an_empty_corpus_has_an_empty_report(tmp_path: Path) -> None:
    report = report_of(committed(tmp_path, [], []))
    assert (report.rows_in, report.clusters, report.pairs) == (0, 0, ())
    assert report.histograms.hamming == (0,) * 10
    assert report.histograms.cluster_sizes == {}


def test_documents_without_title_address_or_language_are_shown_by_their_ids(tmp_path: Path) -> None:
    attempt = StageAttempt("dedupe", [], str(tmp_path), {})
    attempt.count_in(2)
    columns = ["doc_id", "text", "simhash", "cluster_id"]
    attempt.write(pa.Table.from_pylist([kept_row("a")], _ROW).select(columns))
    removed = pa.Table.from_pylist([near_row("b", "a")], _REMOVED_ROW)
    attempt.remove(removed.select([*columns, "kept_id", "hamming", "jaccard", "reason"]))
    attempt.commit()
    (pair,) = report_of(Corpus.open(str(tmp_path))).pairs
    assert (pair.removed.doc_id, pair.removed.url, pair.removed.title, pair.removed.lang) == ("b", None, None, None)


def test_a_password_in_an_address_is_not_shown(tmp_path: Path) -> None:
    removed = [near_row("b", "a", url="https://me:marked-secret@site.example/b")]
    (pair,) = report_of(committed(tmp_path, [kept_row("a")], removed)).pairs
    assert pair.removed.url == "https://***@site.example/b"


def test_texts_of_the_traffic_are_withheld_on_either_side(tmp_path: Path) -> None:
    kept = [kept_row("a", source="traffic"), kept_row("c", source="crawl")]
    removed = [near_row("b", "a", source="crawl"), near_row("d", "c", source="traffic")]
    pairs = {pair.removed.doc_id: pair for pair in report_of(committed(tmp_path, kept, removed)).pairs}
    assert pairs["b"].removed.text == "text of b"
    assert pairs["d"].kept is not None
    assert pairs["d"].kept.text == "text of c"
    assert pairs["b"].kept is not None
    assert {pairs["b"].kept.text, pairs["d"].removed.text} == {
        "(a text of the traffic: not copied here, where nobody would erase it)"
    }


def test_the_report_of_joined_parts_is_that_of_their_rows(tmp_path: Path) -> None:
    parts = [
        committed(tmp_path / f"part={number:03d}", [kept_row(f"a{number}")], [near_row(f"b{number}", f"a{number}")]).uri
        for number in range(3)
    ]
    report = report_of(Corpus.open(join_corpora(parts, str(tmp_path), stage="dedupe").uri))
    assert (report.rows_in, report.rows_out, report.near_duplicates, report.clusters) == (6, 3, 3, 3)
    assert (report.candidates, report.verified_pairs) == (None, None)
    assert chosen(report) == ["b0", "b1", "b2"]
    assert all(pair.kept is not None for pair in report.pairs)


def test_settings_of_the_stage_are_told_and_what_is_none_is_passed_over(tmp_path: Path) -> None:
    stage_settings = {**DedupeSettings(similarity=0.9, keep="earliest").model_dump(mode="json"), "state": "file:///x"}
    report = report_of(committed(tmp_path, [], [], stage_settings=stage_settings))
    assert report.settings == DedupeSettings(similarity=0.9, keep="earliest")
    assert len(report.histograms.hamming) == report.settings.max_hamming + 1 == 7


def test_the_report_of_a_real_run_adds_up_and_is_the_same_each_time(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(80)]
    texts = [" ".join([*words, "end"])] * 2
    texts += [" ".join([*words[:place], "other", *words[place + 1 :]]) for place in (10, 40)]
    texts += [" ".join(f"unlike{number * 7}" for number in range(80))]
    rows = {"url": [f"https://site.example/{number}" for number in range(len(texts))], "text": texts}
    source = write_corpus(str(tmp_path / "in"), [pa.table(rows)], stage="clean")
    result = deduplicate(source.uri, str(tmp_path / "out"), DedupeSettings())
    report = report_of(Corpus.open(result.uri))
    assert (report.rows_in, report.rows_out, report.exact_duplicates, report.near_duplicates) == (5, 2, 1, 2)
    assert report.clusters == result.metrics["clusters"] == 1
    assert report.histograms.cluster_sizes == {4: 1}
    assert sum(report.histograms.hamming) == 2
    assert {pair.kept and pair.kept.text for pair in report.pairs} == {texts[0]}
    assert report == report_of(Corpus.open(result.uri))


def test_the_numbers_are_json_without_a_word_of_the_texts(tmp_path: Path) -> None:
    removed = [near_row("b", "a", "marked secret text", hamming=2), copy_row("c", "a")]
    report = report_of(committed(tmp_path, [kept_row("a", "marked secret text too")], removed))
    written = json.dumps(report.to_dict())
    assert "marked" not in written
    numbers = json.loads(written)
    assert (numbers["rows_in"], numbers["rows_out"], numbers["rejected"]) == (3, 1, 0)
    assert (numbers["near_duplicates"], numbers["exact_duplicates"], numbers["kept_earlier"]) == (1, 1, 0)
    assert (numbers["candidates"], numbers["verified_pairs"], numbers["clusters"]) == (12, 7, 1)
    assert numbers["hamming"] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert numbers["cluster_sizes"] == {"3": 1}
    assert numbers["max_hamming"] == 9
    assert numbers["pairs"][0] == {"doc_id": "b", "kept_id": "a", "is_exact": False, "hamming": 2, "jaccard": 0.75}

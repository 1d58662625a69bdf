"""The stage: what goes, what stays, for whom, and that nothing is lost on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pyarrow as pa
import pytest
from simhash import Simhash

from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.result import Progress, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import (
    CorpusNotCommittedError,
    MissingColumnsError,
    SettingsError,
    ShardDamagedError,
    TooManyRemovedError,
    UnusableColumnError,
)
from airflow_provider_autoglm.settings import DedupeSettings

Row = Mapping[str, Any]

_GENEROUS = DedupeSettings(max_removed_fraction=1.0)


def _sentence(seed: object, words: int = 60) -> list[str]:
    generator = random.Random(str(seed))
    return ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=generator.randint(3, 9))) for _ in range(words)]


def _text(seed: object, *, changed: Iterable[int] = (), words: int = 60) -> str:
    """Made-up words; the ones at ``changed`` are others."""
    made_up = _sentence(seed, words)
    for position in changed:
        made_up[position] = f"{made_up[position]}x"[1:] + "qz"
    return " ".join(made_up)


def _document(doc_id: str, text: str | None, **columns: object) -> Row:
    return {"doc_id": doc_id, "url": f"https://site.example/{doc_id}", "text": text, **columns}


def _write(uri: Path, *shards: list[Row]) -> str:
    """A corpus with one shard a list, as an earlier stage would have committed it."""
    attempt = StageAttempt("clean", [], str(uri), {})
    for number, rows in enumerate(shards):
        table = pa.Table.from_pylist(rows)
        writer = attempt.writer(f"{number:05d}-")
        writer.write(table)
        writer.end_shard()
        attempt.adopt("", writer.shards)
    attempt.commit()
    return str(uri)


def _rows(result: StageResult) -> dict[str, dict[str, Any]]:
    return {row["doc_id"]: row for row in Corpus.open(result.uri).to_table().to_pylist()}


def _removed(result: StageResult) -> dict[str, dict[str, Any]]:
    return {row["doc_id"]: row for row in Corpus.open(result.uri).to_table(kind="removed").to_pylist()}


def _corpus_of_three_shards(uri: Path) -> str:
    shards = [[_document(f"{shard}{row:02d}", _text((shard, row))) for row in range(20)] for shard in range(3)]
    shards[1].append(_document("copy", _text((0, 3))))
    shards[2].insert(0, _document("near", _text((0, 4), changed=[7])))
    return _write(uri, *shards)


def test_texts_that_read_the_same_are_exact_duplicates_of_the_smallest_doc_id(tmp_path: Path) -> None:
    text = _text("one")
    rows = [_document("b", text), _document("a", f"  {text.replace(' ', '  ')}\n"), _document("c", _text("two"))]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)
    assert list(_rows(result)) == ["a", "c"]
    gone = _removed(result)["b"]
    assert (gone["kept_id"], gone["reason"], gone["hamming"], gone["jaccard"]) == ("a", "exact_duplicate", 0, 1.0)
    assert (gone["cluster_id"], gone["stage"], gone["url"]) == ("a", "dedupe", "https://site.example/b")
    assert result.metrics["removed/exact_duplicate"] == 1


def test_a_near_duplicate_goes_and_says_for_whom_and_how_near_it_was(tmp_path: Path) -> None:
    original, near = _text("one") + " longer", _text("one", changed=[5])
    rows = [_document("z", original), _document("a", near), _document("m", _text("two"))]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)
    assert list(_rows(result)) == ["z", "m"], "the longer text is kept, whatever its doc_id"
    gone = _removed(result)["a"]
    assert (gone["kept_id"], gone["reason"], gone["cluster_id"]) == ("z", "near_duplicate", "a")
    assert gone["hamming"] == Simhash(original).distance(Simhash(near))
    assert gone["jaccard"] == pytest.approx(_jaccard(original, near))
    assert _rows(result)["z"]["cluster_id"] == "a"
    assert {name: result.metrics[name] for name in ("candidates", "verified_pairs", "clusters")} == {
        "candidates": 1,
        "verified_pairs": 1,
        "clusters": 1,
    }


def _jaccard(a: str, b: str) -> float:
    sets = [
        {text[start : start + 4] for start in range(len(text) - 3)} for text in (a.replace(" ", ""), b.replace(" ", ""))
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def _chain() -> list[Row]:
    """A ~ B ~ C, where A and C are too far apart; A is the longest, C the shortest."""
    words = _sentence("chain", 120)
    a, b = list(words), list(words)
    c = list(words)
    for position in range(0, 30, 2):
        b[position] = _sentence(("b", position), 1)[0]
        c[position] = b[position]
    for position in range(41, 71, 2):
        c[position] = _sentence(("c", position), 1)[0]
    texts = {"A": " ".join(a), "B": " ".join(b), "C": " ".join(c)}
    longest = max(map(len, texts.values())) + 20
    # Punctuation is nothing to SimHash and makes the length, which is the order of keeping.
    return [
        _document(name, text + " " + "." * (longest - 5 * n - len(text)))
        for n, (name, text) in enumerate(texts.items())
    ]


def test_of_a_chain_only_what_is_similar_to_a_kept_document_goes(tmp_path: Path) -> None:
    rows = _chain()
    a, b, c = (str(row["text"]).replace(".", "") for row in rows)
    threshold = (min(_jaccard(a, b), _jaccard(b, c)) + _jaccard(a, c)) / 2
    assert _jaccard(a, c) < threshold < min(_jaccard(a, b), _jaccard(b, c))
    settings = DedupeSettings(similarity=0.75, min_jaccard=threshold, max_removed_fraction=1)
    assert max(Simhash(a).distance(Simhash(b)), Simhash(b).distance(Simhash(c))) <= settings.max_hamming
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), settings)
    assert list(_rows(result)) == ["A", "C"]
    assert _removed(result)["B"]["kept_id"] == "A"
    assert {row["cluster_id"] for row in (_rows(result) | _removed(result)).values()} == {"A"}
    assert result.metrics["clusters"] == 1


def test_a_copy_of_a_near_duplicate_names_a_document_that_is_kept(tmp_path: Path) -> None:
    near = _text("one", changed=[5])
    rows = [_document("a", near), _document("b", near + " "), _document("c", _text("one") + " longer")]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)
    assert list(_rows(result)) == ["c"]
    assert {row["kept_id"] for row in _removed(result).values()} == {"c"}
    assert {row["reason"] for row in _removed(result).values()} == {"near_duplicate"}
    assert _rows(result)["c"]["cluster_id"] == "a"


def test_the_same_documents_in_another_order_lead_to_the_same_decision(tmp_path: Path) -> None:
    rows = [_document(f"{n:03d}", _text(n // 4, changed=range(0, 9 * (n % 4), 9))) for n in range(120)] + _chain()
    decisions = []
    for attempt in range(4):
        random.Random(attempt).shuffle(rows)
        cut = 30 * (attempt + 1)
        source = _write(tmp_path / f"in{attempt}", rows[:cut], rows[cut:])
        result = deduplicate(source, str(tmp_path / f"out{attempt}"), _GENEROUS)
        clusters = {name: row["cluster_id"] for name, row in (_rows(result) | _removed(result)).items()}
        kept_ids = {name: (row["kept_id"], row["jaccard"]) for name, row in _removed(result).items()}
        decisions.append((set(_rows(result)), clusters, kept_ids, result.metrics["verified_pairs"]))
    assert len(decisions[0][2]) > 40
    assert decisions == [decisions[0]] * len(decisions)


@pytest.mark.parametrize("label_source", ["human", "feedback"])
def test_a_row_labelled_by_people_is_kept_before_longer_ones(tmp_path: Path, label_source: str) -> None:
    rows = [
        _document("a", _text("one") + " longer by some words", label_source=None),
        _document("b", _text("one") + " longer", label_source="auto"),
        _document("c", _text("one"), label_source=label_source),
    ]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)
    assert list(_rows(result)) == ["c"]
    assert {row["kept_id"] for row in _removed(result).values()} == {"c"}


def test_unrelated_texts_that_one_rule_of_underscores_makes_alike_both_stay(tmp_path: Path) -> None:
    rule = "_" * 400
    texts = [f"{rule} {_text(n)}" for n in range(12)]
    result = deduplicate(
        _write(tmp_path / "in", [_document(f"{n:02d}", text) for n, text in enumerate(texts)]),
        str(tmp_path / "out"),
        _GENEROUS,
    )
    assert result.metrics["candidates"] == 12 * 11 / 2, "they all have one print"
    assert (result.rows_out, result.removed, result.metrics["verified_pairs"]) == (12, 0, 0)
    assert len({row["cluster_id"] for row in _rows(result).values()}) == 12


def test_texts_without_a_word_are_similar_to_nothing_but_their_copies(tmp_path: Path) -> None:
    rows = [_document("a", "..."), _document("b", "!?"), _document("c", "!?"), _document("d", ""), _document("e", "")]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)
    assert list(_rows(result)) == ["a", "b", "d"]


def test_rows_stay_in_order_and_shards_where_they_were_and_unknown_columns_untouched(tmp_path: Path) -> None:
    result = deduplicate(_corpus_of_three_shards(tmp_path / "in"), str(tmp_path / "out"), _GENEROUS)
    corpus = Corpus.open(result.uri)
    source = Corpus.open(str(tmp_path / "in"))
    assert [stored.shard.rows for stored in corpus.shards] == [19, 20, 21]
    gone = {"copy", "004"}
    names = [name for name in source.to_table()["doc_id"].to_pylist() if name not in gone]
    table = corpus.to_table()
    assert table["doc_id"].to_pylist() == names
    assert table.column_names == ["doc_id", "url", "text", "simhash", "cluster_id"]
    assert table.schema.field("simhash").type == pa.uint64()
    assert table["simhash"].to_pylist() == [Simhash(text).value for text in table["text"].to_pylist()]
    removed = corpus.to_table(kind="removed")
    assert removed.column_names[-7:] == ["simhash", "cluster_id", "kept_id", "hamming", "jaccard", "reason", "stage"]
    assert (removed.schema.field("hamming").type, removed.schema.field("jaccard").type) == (pa.uint8(), pa.float32())


def test_several_sources_are_one_heap_of_documents(tmp_path: Path) -> None:
    first = _write(tmp_path / "crawl", [_document("b", _text("one"), depth=1)])
    second = _write(tmp_path / "traffic", [_document("a", _text("one")), _document("c", _text("two"))])
    result = deduplicate([first, second], str(tmp_path / "out"), _GENEROUS)
    assert list(_rows(result)) == ["a", "c"]
    assert _removed(result)["b"]["depth"] == 1


def test_fingerprints_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    rows = [_document("a", _text("one"), simhash=1, cluster_id="old", note="kept")]
    (row,) = _rows(deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)).values()
    assert (row["simhash"], row["cluster_id"], row["note"]) == (Simhash(_text("one")).value, "a", "kept")


def test_rows_without_text_or_doc_id_are_quarantined(tmp_path: Path) -> None:
    rows = [_document("a", _text(1)), _document("b", None), {**_document("c", _text(2)), "doc_id": None}]
    rows += [_document("d", _text(1)), _document("e", _text(3))]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)
    assert list(_rows(result)) == ["a", "e"]
    assert (result.rows_in, result.rows_out, result.rejected, result.removed) == (5, 2, 2, 1)
    rejected = Corpus.open(result.uri).to_table(kind="rejected").to_pylist()
    assert [(row["reason"], row["stage"]) for row in rejected] == [("missing_text", "dedupe")] * 2
    assert result.metrics["rejected/missing_text"] == 2


def test_more_removals_than_allowed_stop_the_stage_and_commit_nothing(tmp_path: Path) -> None:
    rows = [_document(f"{n}", _text("one")) for n in range(3)] + [_document("x", _text("two"))]
    source = _write(tmp_path / "in", rows)
    with pytest.raises(TooManyRemovedError, match=r"2 of 4 rows.*max_removed_fraction = 0.4"):
        deduplicate(source, str(tmp_path / "out"), DedupeSettings(max_removed_fraction=0.4))
    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(str(tmp_path / "out"))
    assert deduplicate(source, str(tmp_path / "out"), DedupeSettings(max_removed_fraction=0.5)).removed == 2


def test_an_empty_corpus_stays_an_empty_corpus(tmp_path: Path) -> None:
    source = write_corpus(str(tmp_path / "in"), [], stage="crawl")
    result = deduplicate(source.uri, str(tmp_path / "out"), DedupeSettings())
    assert (result.rows_in, result.rows_out, result.metrics["clusters"]) == (0, 0, 0)
    assert Corpus.open(result.uri).rows == 0


def test_a_corpus_of_rejects_alone_has_no_documents(tmp_path: Path) -> None:
    result = deduplicate(_write(tmp_path / "in", [_document("a", None)]), str(tmp_path / "out"), DedupeSettings())
    assert (result.rows_out, result.rejected) == (0, 1)


@pytest.mark.parametrize("missing", ["doc_id", "text"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    row = {key: value for key, value in _document("a", "text").items() if key != missing}
    with pytest.raises(MissingColumnsError, match=f"missing columns {missing}; found"):
        deduplicate(_write(tmp_path / "in", [row]), str(tmp_path / "out"), DedupeSettings())


def test_the_stage_run_again_is_reused_and_other_settings_are_not(tmp_path: Path) -> None:
    source = _corpus_of_three_shards(tmp_path / "in")
    first = deduplicate(source, str(tmp_path / "out"), DedupeSettings())
    again = deduplicate(source, str(tmp_path / "out"), DedupeSettings())
    assert not first.reused
    assert (again.reused, again.digest) == (True, first.digest)
    assert not deduplicate(source, str(tmp_path / "out"), DedupeSettings(), provenance=Provenance(force=True)).reused
    assert not deduplicate(source, str(tmp_path / "out"), DedupeSettings(similarity=0.95)).reused


_KILL_ITSELF_AFTER_A_SHARD = """
import os, signal, sys
from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.settings import DedupeSettings
deduplicate(sys.argv[1], sys.argv[2], DedupeSettings(), progress=lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_stage_killed_between_two_shards_comes_to_the_same_rows_when_retried(tmp_path: Path) -> None:
    source = _corpus_of_three_shards(tmp_path / "in")
    command = [sys.executable, "-c", _KILL_ITSELF_AFTER_A_SHARD, source, str(tmp_path / "killed")]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    killed = subprocess.run(command, check=False, capture_output=True, env={**os.environ, "TMPDIR": str(scratch)})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list((tmp_path / "killed").glob("*.parquet"))) == 1, "it died after its first shard"
    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(str(tmp_path / "killed"))
    retried = deduplicate(source, str(tmp_path / "killed"), DedupeSettings())
    fresh = deduplicate(source, str(tmp_path / "fresh"), DedupeSettings())
    assert retried.digest == fresh.digest
    for kind in ("shards", "removed"):
        shards = [
            [corpus.storage.read(stored.uri) for stored in corpus.stored(kind)]
            for corpus in (Corpus.open(retried.uri), Corpus.open(fresh.uri))
        ]
        assert shards[0] == shards[1]
    assert not list(scratch.iterdir()), "the sets of 4-grams are not left behind"


def test_of_two_attempts_at_once_one_commits_and_the_other_takes_its_corpus(tmp_path: Path) -> None:
    source = _corpus_of_three_shards(tmp_path / "in")
    both_are_writing = threading.Barrier(2)

    def wait_in_the_first_shard(progress: Progress) -> None:
        if progress.rows_done <= 21:
            both_are_writing.wait(timeout=60)

    def attempt(_: int) -> StageResult:
        return deduplicate(source, str(tmp_path / "out"), DedupeSettings(), progress=wait_in_the_first_shard)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(attempt, range(2)))
    assert sorted(result.reused for result in results) == [False, True]
    assert results[0].digest == results[1].digest
    assert [path.name for path in (tmp_path / "out").glob("_manifest*")] == ["_manifest.json"]
    assert Corpus.open(results[0].uri).rows == 60


def test_progress_counts_every_row_of_every_shard(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    deduplicate(
        _corpus_of_three_shards(tmp_path / "in"),
        str(tmp_path / "out"),
        DedupeSettings(),
        progress=lambda progress: seen.append((progress.rows_done, progress.rows_total)),
    )
    assert seen == [(20, 62), (41, 62), (62, 62)]


_ARABIC = (
    "العربية لغة رسمية في كل دول الوطن العربي إضافة إلى كونها لغة رسمية في تشاد وإريتريا وهي إحدى اللغات الرسمية الست"
)
_CHINESE = (
    "自然语言处理是人工智能和语言学领域的分支学科此领域探讨如何处理及运用自然语言自然语言认知则是指让电脑懂人类的语言"
)
_RUSSIAN = "Русский язык является одним из восточнославянских языков и национальным языком русского народа во всём мире"


@pytest.mark.parametrize("method", ["simhash", "minhash", "both"])
@pytest.mark.parametrize("text", [_ARABIC, _CHINESE, _RUSSIAN], ids=["Arabic", "Chinese", "Russian"])
def test_near_duplicates_are_found_in_every_script(tmp_path: Path, method: str, text: str) -> None:
    rows = [_document("a", text), _document("b", f"{text[:-1]}."), _document("c", text[::-1])]
    settings = DedupeSettings(method=method, max_removed_fraction=1)  # type: ignore[arg-type]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), settings)
    assert list(_rows(result)) == ["a", "c"]
    assert _removed(result)["b"]["kept_id"] == "a"


def test_minhash_finds_short_chinese_texts_that_simhash_misses(tmp_path: Path) -> None:
    generator = random.Random(3)
    characters = [chr(code) for code in range(0x4E00, 0x4E00 + 2_000)]
    rows = []
    for number in range(40):
        text = generator.choices(characters, k=50)
        rows.append(_document(f"a{number:02d}", "".join(text)))
        text[25] = "龙"
        rows.append(_document(f"b{number:02d}", "".join(text)))
    source = _write(tmp_path / "in", rows)
    removed = {
        method: deduplicate(source, str(tmp_path / method), DedupeSettings(method=method)).removed
        for method in ("simhash", "minhash", "both")
    }
    assert removed["minhash"] == 40
    assert removed["simhash"] < 40
    assert removed["both"] == 40


@pytest.mark.parametrize("method", ["simhash", "minhash", "both"])
def test_texts_of_a_character_or_an_emoji_are_duplicates_of_themselves_alone(tmp_path: Path, method: str) -> None:
    texts = ["a", "b", "中", "文", "😀", "😀😀", "👩‍🚀", "", "abc", "abcd", "a"]
    rows = [_document(f"{number:02d}", text) for number, text in enumerate(texts)]
    settings = DedupeSettings(method=method)  # type: ignore[arg-type]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), settings)
    assert [row["text"] for row in _rows(result).values()] == texts[:-1]
    assert _removed(result)["10"]["reason"] == "exact_duplicate"


def test_documents_of_a_megabyte_are_compared(tmp_path: Path) -> None:
    text = _text("long", words=160_000)
    cyrillic = text.translate({ord(letter): chr(0x430 + number) for number, letter in enumerate(ascii_lowercase)})
    assert len(text) > 1_000_000
    rows = [_document("a", text), _document("b", f"{text[:-5]} again"), _document("c", cyrillic)]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), DedupeSettings(method="both"))
    assert len(_rows(result)) == 2
    (gone,) = _removed(result).values()
    assert {gone["doc_id"], gone["kept_id"]} == {"a", "b"}
    assert gone["jaccard"] > 0.99


def test_prose_and_a_rule_of_160_underscores_is_no_duplicate_of_other_prose_with_it(tmp_path: Path) -> None:
    prose = [
        "The committee met on Tuesday and agreed that the old bridge should be repaired before the winter, because the "
        "road over the hill is closed to lorries when it snows. The work begins in September. " * 2,
        "Beat the eggs with the sugar until they are pale, fold in the flour and the melted butter, and bake the cake "
        "for forty minutes. Let it cool in the tin, or it will break when you turn it out. " * 2,
    ]
    rows = [_document(name, f"{text}\n{'_' * 160}\n") for name, text in zip("ab", prose, strict=True)]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), DedupeSettings(method="both"))
    assert result.removed == 0


def _variants() -> list[Row]:
    """A text and copies of it, each with one word more of others."""
    return [_document(f"{number:02d}", _text("one", changed=range(number))) for number in range(0, 60, 4)]


def test_similarity_of_one_asks_for_equal_fingerprints_and_of_three_quarters_for_sixteen_bits(tmp_path: Path) -> None:
    source = _write(tmp_path / "in", _variants())
    texts = {str(row["doc_id"]): str(row["text"]) for row in _variants()}
    removed = {}
    for similarity, max_hamming in ((1, 0), (0.85, 9), (0.75, 16)):
        settings = DedupeSettings(similarity=similarity, min_jaccard=0, max_removed_fraction=1)
        result = deduplicate(source, str(tmp_path / f"{max_hamming}"), settings)
        removed[max_hamming] = result.removed
        for name, gone in _removed(result).items():
            assert gone["hamming"] == Simhash(texts[name]).distance(Simhash(texts[gone["kept_id"]])) <= max_hamming
    assert removed[0] < removed[9] < removed[16]


@pytest.mark.parametrize("method", ["simhash", "minhash", "both"])
def test_min_jaccard_of_one_asks_for_equal_sets_and_of_none_for_no_more_than_a_candidate(
    tmp_path: Path, method: str
) -> None:
    twice = " ".join([_text("one")] * 2)
    rows = [*_variants(), _document("twice", twice), _document("thrice", f"{twice} {_text('one')}")]
    source = _write(tmp_path / "in", rows)
    strict, lenient = (
        deduplicate(
            source,
            str(tmp_path / f"{min_jaccard}"),
            DedupeSettings(method=method, min_jaccard=min_jaccard, max_removed_fraction=1),  # type: ignore[arg-type]
        )
        for min_jaccard in (1, 0)
    )
    assert set(_removed(strict)) == {"twice"}, "the windows over the seam are those of the longer one"
    assert _removed(strict)["twice"]["jaccard"] == 1
    assert lenient.removed > strict.removed


def test_one_row_labelled_by_people_is_kept_of_two_that_are_alike(tmp_path: Path) -> None:
    rows = [
        _document(name, _text("one"), label_source=source)
        for name, source in zip("abc", ["auto", "human", "human"], strict=True)
    ]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)
    assert list(_rows(result)) == ["b"]


@pytest.mark.parametrize("method", ["simhash", "minhash", "both"])
@pytest.mark.parametrize("count", [0, 1])
def test_no_document_and_one_have_nothing_to_be_compared_with(tmp_path: Path, method: str, count: int) -> None:
    rows = [_document("a", _text("one"))][:count] or [_document("b", None)]
    settings = DedupeSettings(method=method)  # type: ignore[arg-type]
    result = deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), settings)
    assert (result.rows_out, result.removed, result.metrics["candidates"]) == (count, 0, 0)


def test_the_metrics_tell_what_was_looked_at_and_how_long_each_step_took(tmp_path: Path) -> None:
    result = deduplicate(_corpus_of_three_shards(tmp_path / "in"), str(tmp_path / "out"), _GENEROUS)
    assert {name for name in result.metrics if name.startswith("seconds/")} == {
        "seconds/fingerprint",
        "seconds/search",
        "seconds/verify",
        "seconds/write",
    }
    assert result.metrics["removed_fraction"] == 2 / 62
    assert result.metrics["verified_pairs"] == 1, "a copy is known by its text"


def test_a_row_without_text_between_others_shifts_nobody(tmp_path: Path) -> None:
    rows = [_document(f"{n:03d}", None if n % 3 == 0 else _text(n % 7, changed=[n % 5])) for n in range(200)]
    source = _write(tmp_path / "in", rows[:3], rows[3:101], rows[101:])
    result = deduplicate(source, str(tmp_path / "out"), _GENEROUS)
    texts = {str(row["doc_id"]): row["text"] for row in rows}
    both = _rows(result) | _removed(result)
    assert {name: row["text"] for name, row in both.items()} == {name: text for name, text in texts.items() if text}
    for row in both.values():
        assert row["simhash"] == Simhash(row["text"]).value
    for name, row in _removed(result).items():
        assert _jaccard(str(texts[name]), str(texts[row["kept_id"]])) == pytest.approx(row["jaccard"])


def test_damage_of_the_source_is_found_before_anything_is_written(tmp_path: Path) -> None:
    source = _corpus_of_three_shards(tmp_path / "in")
    shard = sorted((tmp_path / "in").glob("*.parquet"))[1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(ShardDamagedError, match=shard.name):
        deduplicate(source, str(tmp_path / "out"), _GENEROUS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("column", ["doc_id", "text"])
def test_a_column_that_holds_no_strings_is_named_before_anything_is_read(tmp_path: Path, column: str) -> None:
    rows = [{**_document("1", _text("one")), column: 7}]
    with pytest.raises(UnusableColumnError, match=f"column {column} of type int64 cannot be used as strings"):
        deduplicate(_write(tmp_path / "in", rows), str(tmp_path / "out"), _GENEROUS)


def test_rows_with_one_doc_id_and_different_texts_are_decided_on_whatever_their_order(tmp_path: Path) -> None:
    rows = [_document("a", _text("one", changed=[place])) for place in range(5)]
    kept = []
    for attempt in range(3):
        random.Random(attempt).shuffle(rows)
        result = deduplicate(_write(tmp_path / f"in{attempt}", rows), str(tmp_path / f"out{attempt}"), _GENEROUS)
        kept.append(sorted(row["text"] for row in Corpus.open(result.uri).to_table().to_pylist()))
    assert kept == [kept[0]] * 3
    assert len(kept[0]) < len(rows)


def test_a_corpus_is_not_written_over_itself(tmp_path: Path) -> None:
    source = _write(tmp_path / "in", [_document("a", _text("one"))])
    with pytest.raises(SettingsError, match="is the source too, which is never changed"):
        deduplicate(source, source, _GENEROUS)
    assert Corpus.open(source).manifest.stage == "clean"


_DEDUPLICATE_IN = """
import sys
from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.settings import DedupeSettings
deduplicate(sys.argv[1], sys.argv[2], DedupeSettings(max_removed_fraction=1))
"""


def test_a_full_folder_of_temporary_files_is_named(tmp_path: Path) -> None:
    source = _write(tmp_path / "in", [_document(f"{n}", _text(n)) for n in range(3_000)])
    limited = ["bash", "-c", 'ulimit -f 16; exec "$@"', "-", sys.executable, "-c", _DEDUPLICATE_IN, source]
    run = subprocess.run([*limited, str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "(TMPDIR)" in run.stderr.splitlines()[-1]

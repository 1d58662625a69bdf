from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.clean import clean, clean_table
from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, MissingColumnsError, TooManyRejectedError
from airflow_provider_autoglm.settings import CleanSettings
from airflow_provider_autoglm.settings.clean_rules import RULE_SETS
from tests.corpus.conftest import strings_of

ENGLISH = "The river rose during the night, and by the morning the whole of the valley stood under water."
GERMAN = "Der Fluss stieg in der Nacht, und am Morgen stand das ganze Tal unter Wasser, so weit man sehen konnte."
CHINESE = "夜里河水上涨、到了早晨、整个山谷都被淹没在水中、放眼望去、到处都是一片汪洋、看不到边。"


def reasons_of(texts: Sequence[str | None] | pa.Array, **settings: Any) -> list[str | None]:
    """The reason of each row, None for one that passes."""
    table = pa.table({"doc_id": [str(number) for number in range(len(texts))], "text": texts})
    outcome = clean_table(table, CleanSettings.parse({"min_chars": 1, **settings}))
    reasons = dict(zip(outcome.rejected["doc_id"].to_pylist(), outcome.rejected["reason"].to_pylist(), strict=True))
    assert set(outcome.kept["doc_id"].to_pylist()) == set(table["doc_id"].to_pylist()) - set(reasons)
    return [reasons.get(str(number)) for number in range(len(texts))]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "missing_text"),
        ("", "empty_text"),
        (" \t\u200b\n", "empty_text"),
        ("short", "too_short"),
        ("x" * 31, "too_long"),
        ("this is lorem ipsum", "placeholder"),
        ("lorem, error 404", "placeholder"),
        ("error 404: not found", "error page"),
        ("perfectly fine text", None),
        ("x" * 10, None),
        ("y" * 30, None),
        ("  five5  " * 2, None),
        ("中" * 10, None),
        ("中" * 9, "too_short"),
    ],
)
def test_each_rule_gives_its_reason_and_the_first_one_counts(text: str | None, reason: str | None) -> None:
    rules = [{"name": "placeholder", "pattern": "lorem"}, {"name": "error page", "pattern": "(?i)error [45]0."}]

    assert reasons_of([text], min_chars=10, max_chars=30, reject=rules) == [reason]


def test_bytes_that_are_no_text_are_rejected() -> None:
    assert reasons_of(strings_of([b"caf\xe9", b"fine", None, b"\xed\xa0\x80"])) == [
        "invalid_utf8",
        None,
        "missing_text",
        "invalid_utf8",
    ]


def test_rules_look_at_the_cleaned_text() -> None:
    settings = {
        "min_chars": 3,
        "replace": [{"name": "menu", "pattern": "MENU"}],
        "reject": [{"name": "blanks", "pattern": "a  b"}],
    }

    assert reasons_of(["MENU ab", "MENU abc", "a  b"], **settings) == ["too_short", None, None]


@pytest.mark.parametrize(
    ("languages", "reasons"),
    [
        (["en"], [None, "language", "language"]),
        (["de", "zh"], ["language", None, None]),
        (["fr"], ["language"] * 3),
        ([], [None] * 3),
    ],
)
def test_only_wanted_languages_are_kept(languages: list[str], reasons: list[str | None]) -> None:
    assert reasons_of([ENGLISH, GERMAN, CHINESE], languages=languages) == reasons


def test_a_text_without_a_certain_language_is_rejected_only_if_languages_are_wanted() -> None:
    texts = ["12345 67890 ++ 12345", "..."]

    assert reasons_of(texts) == [None, None]
    assert reasons_of(texts, languages=["en"], min_lang_score=0.9) == ["language", "language"]


def test_the_language_a_source_gave_is_kept() -> None:
    table = pa.table(
        {
            "doc_id": ["a", "b", "c", "d"],
            "text": [ENGLISH] * 4,
            "lang": ["de", "de", None, "de"],
            "lang_score": pa.array([0.4, None, 0.1, 0.9], pa.float32()),
        }
    )
    outcome = clean_table(table, CleanSettings(languages=("de",), min_lang_score=0.5))

    kept = {row["doc_id"]: (row["lang"], row["lang_score"]) for row in outcome.kept.to_pylist()}
    assert kept == {"b": ("de", 1.0), "d": ("de", pytest.approx(0.9))}
    rejected = {row["doc_id"]: row["lang"] for row in outcome.rejected.to_pylist()}
    assert rejected == {"a": "de", "c": "en"}


def test_kept_rows_are_clean_and_rejected_rows_are_as_they_came(tmp_path: Path) -> None:
    texts = [f"  {ENGLISH}\r\n ", " too   short ", f" {GERMAN}  "]
    table = pa.table({"text": texts, "stars": [1, 2, 3], "lang_score": pa.nulls(3)})
    source = write_corpus(str(tmp_path / "source"), [table], stage="crawl").uri

    result = clean(source, str(tmp_path / "cleaned"), CleanSettings(languages=("en",), max_rejected_fraction=1))

    corpus = Corpus.open(result.uri)
    (kept,) = corpus.to_table().to_pylist()
    assert (kept["text"], kept["lang"], kept["stars"]) == (ENGLISH, "en", 1)
    rejected = corpus.to_table(kind="rejected").to_pylist()
    assert [(row["text"], row["stars"], row["reason"], row["stage"]) for row in rejected] == [
        (texts[1], 2, "too_short", "clean"),
        (texts[2], 3, "language", "clean"),
    ]
    assert rejected[1]["lang"] == "de"
    ids = dict(zip(range(1, 4), Corpus.open(source).to_table()["doc_id"].to_pylist(), strict=True))
    assert [kept["doc_id"], *(row["doc_id"] for row in rejected)] == [ids[1], ids[2], ids[3]]


def test_too_many_rejected_rows_fail_the_stage_name_the_reasons_and_stay_readable(tmp_path: Path) -> None:
    texts = [*("x" * 60 for _ in range(4)), *("short" for _ in range(5))]
    table = pa.table({"doc_id": [str(number) for number in range(9)], "text": texts})
    source = write_corpus(str(tmp_path / "source"), [table], stage="crawl").uri
    destination = tmp_path / "cleaned"

    for _ in range(2):
        with pytest.raises(TooManyRejectedError, match=r"rejected 5 of 9 rows.*= 0.5 allows \(too_short 5\)") as raised:
            clean(source, str(destination), CleanSettings(min_chars=50))
        assert raised.value.reasons == {"too_short": 5}
        assert not raised.value.retry_can_help
    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(str(destination))
    shards = list((destination / "rejected").glob("*.parquet"))
    assert [row["text"] for shard in shards for row in pq.read_table(shard).to_pylist()] == ["short"] * 5

    allowed = clean(source, str(destination), CleanSettings(min_chars=50, max_rejected_fraction=0.6))
    assert (allowed.rows_out, allowed.rejected) == (4, 5)


def test_exactly_the_allowed_share_may_be_rejected(tmp_path: Path) -> None:
    table = pa.table({"text": ["x" * 60, "short"]})
    source = write_corpus(str(tmp_path / "source"), [table], stage="crawl").uri

    assert clean(source, str(tmp_path / "cleaned"), CleanSettings(max_rejected_fraction=0.5)).rejected == 1


def test_an_empty_corpus_is_cleaned_to_an_empty_one(tmp_path: Path) -> None:
    source = write_corpus(str(tmp_path / "source"), [], stage="crawl").uri

    assert clean(source, str(tmp_path / "cleaned"), CleanSettings()).rows_in == 0


def test_a_corpus_without_doc_id_is_refused(tmp_path: Path) -> None:
    attempt = StageAttempt("odd", [], str(tmp_path / "odd"), {})
    attempt.count_in(1)
    attempt.write(pa.table({"text": [ENGLISH]}))
    attempt.commit()

    with pytest.raises(MissingColumnsError, match="missing columns doc_id; found text"):
        clean(str(tmp_path / "odd"), str(tmp_path / "cleaned"), CleanSettings())


FRAGMENTS = [
    b"word ",
    b"\n",
    "中文".encode(),
    "🙂".encode(),
    "مرحبا ".encode(),
    b"\xed\xa0\x80",
    b"\xff",
    b"\x00",
    b"# ",
    b"> a\n",
]
BYTES = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join) | st.binary(max_size=20)


@settings(deadline=None)
@given(st.lists(st.none() | BYTES, max_size=8), st.integers(1, 60), st.sampled_from([(), ("en", "zh")]))
def test_every_row_is_kept_or_rejected_once_with_a_reason(
    values: list[bytes | None], min_chars: int, languages: tuple[str, ...]
) -> None:
    table = pa.table({"doc_id": [str(row) for row in range(len(values))], "text": strings_of(values)})
    outcome = clean_table(
        table, CleanSettings(rules=RULE_SETS, min_chars=min_chars, languages=languages, mask=("email",))
    )

    rows = [*outcome.kept["doc_id"].to_pylist(), *outcome.rejected["doc_id"].to_pylist()]
    assert sorted(rows, key=int) == table["doc_id"].to_pylist()
    assert all(outcome.rejected["reason"].to_pylist())
    assert all(len(text) >= min(min_chars, 20) for text in outcome.kept["text"].to_pylist())


def test_texts_of_many_megabytes_beside_small_ones_keep_their_rows() -> None:
    long = " ".join(f"word{number}" for number in range(300_000))
    texts = [ENGLISH, long, None, long, ENGLISH, CHINESE * 30_000]
    table = pa.table({"doc_id": list("abcdef"), "text": texts, "lang": ["en"] * 6})
    outcome = clean_table(table, CleanSettings(max_chars=10_000_000, max_repeated_phrases_unspaced=1, max_nonletters=1))

    assert outcome.kept["doc_id"].to_pylist() == list("abdef")
    assert outcome.kept["text"].to_pylist()[1] == long


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# " * 10 + "word and another word " * 3, "too_many_symbols"),
        ("wait... " * 25, "too_many_symbols"),
        ("1234 567 89.0 " * 10, "too_few_letters"),
        ("a1 " + "12,34;56 " * 30, "too_few_letters"),
        ("the same line of a text\n" * 5, "repeated_lines"),
        ("over and over again it says " * 10, "repeated_phrases"),
        (
            "中文内容、" + "#" * 10 + "这一段文字用来说明过滤规则怎样工作的例子一共四十多个字才算够长的文本内容",
            "too_many_symbols",
        ),
        ("价格\uff1a" + "1234567890" * 5 + "元整", "too_few_letters"),
        ("这句话说了一遍又一遍从来没有停过" * 6, "repeated_phrases"),
        ("# # # few words", None),
    ],
)
def test_a_text_that_looks_like_no_text_is_rejected(text: str, reason: str | None) -> None:
    assert reasons_of([text]) == [reason]


def test_scripts_without_spaces_have_a_least_length_of_their_own_that_is_no_more_than_the_other() -> None:
    assert reasons_of([CHINESE[:30], ENGLISH[:30]], min_chars=50) == [None, "too_short"]
    assert reasons_of([CHINESE[:19], ENGLISH[:30]], min_chars=50) == ["too_short", "too_short"]
    assert reasons_of([CHINESE[:5], CHINESE[:4]], min_chars=5) == [None, "too_short"]


def test_what_was_changed_and_masked_is_counted_in_the_manifest_and_added_up_over_parts(tmp_path: Path) -> None:
    texts = [f"{ENGLISH} Write to ann@example.org or bob@example.org.", f"Share this\n\n{ENGLISH}", ENGLISH]
    tables = [pa.table({"url": [str(row)], "text": [text]}) for row, text in enumerate(texts)]
    source = write_corpus(str(tmp_path / "source"), tables, stage="crawl", max_shard_bytes=1).uri
    settings = CleanSettings(mask=("email",))
    counted = {"masked/email": 2, "changed/share_buttons": 1}

    whole = clean(source, str(tmp_path / "whole"), settings)
    assert counted.items() <= whole.metrics.items()
    parts = split_corpus(source, str(tmp_path / "joined"), max_parts=3)
    made = [clean(part["source"], part["destination"], settings).uri for part in parts]
    joined = join_corpora(made, str(tmp_path / "joined"), stage="clean")
    assert counted.items() <= joined.metrics.items()
    assert "[EMAIL] or [EMAIL]" in Corpus.open(joined.uri).to_table()["text"].to_pylist()[0]


def test_a_rule_that_runs_in_python_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tables = [pa.table({"url": [str(row)], "text": [ENGLISH]}) for row in range(3)]
    source = write_corpus(str(tmp_path / "source"), tables, stage="crawl", max_shard_bytes=1).uri
    rules = {"replace": [{"name": "behind", "pattern": "(?<=the) night"}, {"name": "plain", "pattern": "valley"}]}

    result = clean(source, str(tmp_path / "cleaned"), CleanSettings.parse(rules))

    assert [record.args for record in caplog.records if "runs in Python" in record.getMessage()] == [("behind",)]
    assert result.metrics["changed/behind"] == 3

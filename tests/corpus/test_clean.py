from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.clean import clean, clean_table, clean_text
from airflow_provider_autoglm.corpus.language import detect_languages
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, MissingColumnsError, TooManyRejectedError
from airflow_provider_autoglm.settings import CleanSettings
from tests.corpus.conftest import strings_of

ENGLISH = "The river rose during the night, and by the morning the whole of the valley stood under water."
GERMAN = "Der Fluss stieg in der Nacht, und am Morgen stand das ganze Tal unter Wasser, so weit man sehen konnte."
CHINESE = "夜里河水上涨、到了早晨、整个山谷都被淹没在水中、放眼望去、到处都是一片汪洋、看不到边。"


def cleaned(text: str, **settings: Any) -> str:
    values: list[str] = clean_text(pa.array([text]), CleanSettings.parse(settings)).to_pylist()
    return values[0]


def reasons_of(texts: Sequence[str | None] | pa.Array, **settings: Any) -> list[str | None]:
    """The reason of each row, None for one that passes."""
    table = pa.table({"doc_id": [str(number) for number in range(len(texts))], "text": texts})
    outcome = clean_table(table, CleanSettings.parse({"min_chars": 1, **settings}))
    reasons = dict(zip(outcome.rejected["doc_id"].to_pylist(), outcome.rejected["reason"].to_pylist(), strict=True))
    assert set(outcome.kept["doc_id"].to_pylist()) == set(table["doc_id"].to_pylist()) - set(reasons)
    return [reasons.get(str(number)) for number in range(len(texts))]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  two   words \t here ", "two words here"),
        ("one\r\ntwo\rthree\u2028four\u2029five\x85six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("one \n \n\n\n two", "one\n\ntwo"),
        ("a\u00a0b\u2003c\u3000d\u202fe", "a b c d e"),
        ("so\u00adft zero\u200bwidth \ufeffmark\x00\x07", "soft zerowidth mark"),
        ("e\u0301 and \u00e9 and e\u200b\u0301", "\u00e9 and \u00e9 and \u00e9"),
        ("\u1112\u1161\u11ab \ud55c", "\ud55c \ud55c"),
        ("中文 文本", "中文 文本"),
        ("\u200b\t\n", ""),
    ],
)
def test_white_space_and_unicode_become_normal(text: str, clean: str) -> None:
    assert cleaned(text) == clean


@given(st.text())
@example("a\u200b\u0301")
def test_clean_text_stays_as_it_is(text: str) -> None:
    once = cleaned(text)

    assert cleaned(once) == once
    assert once == once.strip()


def test_replacements_run_in_order_before_white_space_is_normalised() -> None:
    rules = [
        {"name": "cookies", "pattern": "(?i)accept all cookies"},
        {"name": "swap", "pattern": r"(\w+) of (\w+)", "replacement": r"\2 \1"},
        {"name": "after swap", "pattern": "rome king", "replacement": "the king"},
    ]

    assert cleaned("Accept All Cookies   king of rome", replace=rules) == "the king"


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


def test_the_language_of_several_lines_and_of_no_language() -> None:
    languages, scores = detect_languages([f"{ENGLISH}\n\n{ENGLISH}\n", GERMAN, CHINESE])

    assert languages == ["en", "de", "zh"]
    assert all(score is not None and 0.5 < score <= 1 for score in scores)
    assert detect_languages([]) == ([], [])


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

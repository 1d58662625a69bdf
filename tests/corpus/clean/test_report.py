"""What is read again of a cleaning: reasons, changes, lengths and languages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.clean import clean
from airflow_provider_autoglm.corpus.clean.report import Report, report_of
from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.schema import TRAFFIC_SOURCE
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.settings import CleanSettings

ENGLISH = "The quick brown fox number {} jumps over the lazy dog and then goes home to sleep."
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund und geht danach nach Hause, um zu schlafen."
COOKIES = f"{GERMAN}\nThis website uses cookies.\nSkip to content\n{GERMAN}"


def source(folder: Path, texts: list[str], **columns: Any) -> str:
    table = pa.table({"url": [f"https://site.example/{n}" for n in range(len(texts))], "text": texts, **columns})
    pieces = [table.slice(0, 2), table.slice(2)]
    return write_corpus(f"{folder}/crawl", pieces, stage="crawl", max_shard_bytes=1).uri


def report_after(folder: Path, uri: str, **settings: Any) -> Report:
    cleaned = clean(uri, f"{folder}/clean", CleanSettings(max_rejected_fraction=1, **settings))
    return report_of(Corpus.open(cleaned.uri))


def test_rows_are_told_by_reason_language_length_and_change(tmp_path: Path) -> None:
    texts = [ENGLISH.format(1), "short", "shorter", COOKIES, GERMAN]
    report = report_after(tmp_path, source(tmp_path, texts), languages=["en"])
    assert (report.counters.rows_in, report.counters.rows_out) == (5, 1)
    assert [(entry.reason, entry.rows) for entry in report.rejected] == [("language", 2), ("too_short", 2)]
    assert {example.document.text for example in report.rejected[1].examples} == {"short", "shorter"}
    assert report.languages == {"en": 1}
    assert report.languages_rejected == {"de": 2}
    assert report.languages_before == {"en": 1, "de": 2}
    assert report.of_unknown_language == 2
    assert report.before is not None
    assert (report.before.texts, report.before.chars) == (5, sum(map(len, texts)))
    assert (report.after.texts, report.after.chars) == (1, len(texts[0]))
    assert report.changed == {"cookie_notice": 1, "skip_link": 1}


def test_a_joined_cleaning_is_told_as_a_whole(tmp_path: Path) -> None:
    uri = source(tmp_path, [ENGLISH.format(number) for number in range(3)] + ["short"])
    settings = CleanSettings()
    parts = [
        clean(part["source"], part["destination"], settings).uri for part in split_corpus(uri, f"{tmp_path}/clean")
    ]
    assert len(parts) == 2
    report = report_of(Corpus.open(join_corpora(parts, f"{tmp_path}/clean", stage="clean").uri))
    whole = report_of(Corpus.open(clean(uri, f"{tmp_path}/whole", settings).uri))
    assert (report.before, report.after, report.rejected) == (whole.before, whole.after, whole.rejected)
    assert report.languages == {"en": 3}


def test_without_its_sources_only_what_was_before_is_unknown(tmp_path: Path) -> None:
    report_after(tmp_path, source(tmp_path, [ENGLISH.format(1), ENGLISH.format(2), "short"]))
    shutil.rmtree(tmp_path / "crawl")
    report = report_of(Corpus.open(f"{tmp_path}/clean"))
    assert report.before is None
    assert report.after.texts == 2
    assert report.to_dict()["lengths_before"] is None


def test_a_text_of_a_person_is_withheld(tmp_path: Path) -> None:
    rows = [ENGLISH.format(1), "my name", "a page"]
    uri = source(tmp_path, rows, source=["site.example", TRAFFIC_SOURCE, "site.example"])
    (entry,) = report_after(tmp_path, uri).rejected
    texts = {example.document.url: example.document.text for example in entry.examples}
    assert texts["https://site.example/1"].startswith("(a text of the traffic")
    assert texts["https://site.example/2"] == "a page"


def test_what_the_cleaning_masks_is_masked_in_examples_too(tmp_path: Path) -> None:
    mails = [f"{ENGLISH.format(1)} Write to me@mail.example.", "me@mail.example", f"{'x' * 1_990} me@mail.example"]
    uri = source(tmp_path, mails, title=[None, "me@mail.example", "title"])
    report = report_after(tmp_path, uri, mask=["email"], max_chars=1_900)
    assert report.masked == {"email": 3}
    assert "mail.example" not in repr([entry.examples for entry in report.rejected])
    assert "[EMAIL]" in repr(report.rejected)


def test_the_numbers_are_json_without_texts_and_the_same_each_time(tmp_path: Path) -> None:
    report = report_after(tmp_path, source(tmp_path, [ENGLISH.format(1), "short", GERMAN]))
    numbers = json.dumps(report.to_dict())
    assert numbers == json.dumps(report_of(Corpus.open(report.uri)).to_dict())
    read = json.loads(numbers)
    assert (read["rows_in"], read["rows_out"], read["rejected"]) == (3, 2, 1)
    assert read["rejected_by_reason"] == {"too_short": 1}
    assert read["languages"] == {"de": 1, "en": 1}
    assert (read["lengths_before"]["texts"], read["lengths_after"]["texts"]) == (3, 2)
    assert "short" not in read["rejected_by_reason"]
    assert "quick brown" not in numbers


def test_an_empty_corpus_has_a_report(tmp_path: Path) -> None:
    uri = write_corpus(f"{tmp_path}/crawl", [], stage="crawl").uri
    report = report_after(tmp_path, uri)
    assert (report.rejected, report.after.texts, report.languages_before) == ((), 0, {})

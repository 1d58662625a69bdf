"""Rows that were set aside, by reason and with examples."""

from __future__ import annotations

import random
from pathlib import Path

from airflow_provider_autoglm.corpus.report.aside import MOST_CHARS_READ, SetAside, set_aside
from airflow_provider_autoglm.corpus.schema import TRAFFIC_SOURCE
from tests.corpus.report.rows import row, with_rejected


def shown(entry: SetAside) -> list[str]:
    return [example.document.doc_id for example in entry.examples]


def test_the_most_frequent_reason_comes_first_with_the_three_smallest_ids_wherever_they_lie(tmp_path: Path) -> None:
    ids = [f"{number:04d}" for number in range(2_500)]
    random.Random(1).shuffle(ids)
    rows = [row(doc_id, "x") for doc_id in ids] + [row("b", reason="robots"), row("a", reason="gone")]
    first, gone, robots = set_aside(with_rejected(tmp_path, rows), "rejected")
    assert (first.reason, first.rows, shown(first)) == ("too_short", 2_500, ["0000", "0001", "0002"])
    assert (gone.reason, gone.rows, shown(gone)) == ("gone", 1, ["a"])
    assert (robots.reason, shown(robots)) == ("robots", ["b"]), "of equally frequent ones the name decides"


def test_of_copies_one_is_an_example(tmp_path: Path) -> None:
    rows = [row("a"), row("a"), row("a"), row("b"), row("c"), row("d")]
    (entry,) = set_aside(with_rejected(tmp_path, rows), "rejected")
    assert (entry.rows, shown(entry)) == (6, ["a", "b", "c"])


def test_no_rows_are_no_reasons(tmp_path: Path) -> None:
    assert set_aside(with_rejected(tmp_path, []), "rejected") == ()


def test_an_example_has_the_text_from_its_own_row(tmp_path: Path) -> None:
    rows = [row(f"{number:02d}", f"text {number}", title=f"title {number}", lang="en") for number in range(9)]
    (entry,) = set_aside(with_rejected(tmp_path, rows, shards=3), "rejected", examples=9)
    assert [(example.document.text, example.document.title) for example in entry.examples] == [
        (f"text {number}", f"title {number}") for number in range(9)
    ]
    assert {example.document.lang for example in entry.examples} == {"en"}


def test_notes_are_columns_that_have_a_value_and_are_not_the_address(tmp_path: Path) -> None:
    rows = [
        row("a", status=404, final_url="https://site.example/a", problem=None),
        row("b", status=302, final_url="https://me:secret@other.example/", problem="odd"),
    ]
    (entry,) = set_aside(with_rejected(tmp_path, rows), "rejected", notes=("status", "final_url", "problem", "absent"))
    assert [dict(example.notes) for example in entry.examples] == [
        {"status": "404"},
        {"status": "302", "final_url": "https://***@other.example/", "problem": "odd"},
    ]


def test_of_a_huge_row_only_the_beginning_is_held(tmp_path: Path) -> None:
    huge = "x" * (10 * 1024 * 1024)
    rows = [row("a", huge, title=huge, problem=huge, url=f"https://site.example/{huge}")]
    (entry,) = set_aside(with_rejected(tmp_path, rows, shards=1), "rejected", notes=("problem",))
    (example,) = entry.examples
    held = [example.document.text, example.document.title, example.document.url, example.notes["problem"]]
    assert [len(value or "") for value in held] == [MOST_CHARS_READ] * 4


def test_texts_of_the_traffic_and_credentials_are_not_copied(tmp_path: Path) -> None:
    rows = [row("a", "what a person wrote", source=TRAFFIC_SOURCE, url="https://me:secret@site.example/a")]
    (entry,) = set_aside(with_rejected(tmp_path, rows, shards=1), "rejected")
    document = entry.examples[0].document
    assert document.text == "(a text of the traffic: not copied here, where nobody would erase it)"
    assert document.url == "https://***@site.example/a"


def test_a_row_without_an_id_is_counted_and_shown(tmp_path: Path) -> None:
    rows = [row("a"), {**row("b"), "doc_id": None}]
    (entry,) = set_aside(with_rejected(tmp_path, rows), "rejected")
    assert (entry.rows, shown(entry)) == (2, ["", "a"])

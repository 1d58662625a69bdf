"""Where words begin and end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.labeling.words import Span, chunks_of, units_of, words_of


def parts(text: str, spans: list[Span]) -> list[str]:
    return [text[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("The team won, 3-1!", ["The", "team", "won", ",", "3", "-", "1", "!"]),
        ("don\u2019t 'quote' it's", ["don\u2019t", "'", "quote", "'", "it's"]),
        ("中国队赢了", ["中", "国", "队", "赢", "了"]),
        ("カタカナー and 漢字", ["カ", "タ", "カ", "ナ", "ー", "and", "漢", "字"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("cafe\u0301 ol\u00e9", ["cafe\u0301", "ol\u00e9"]),
        ("\u0301 a", ["\u0301", "a"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("😀😀 ok", ["😀😀", "ok"]),
        (" \n\t", []),
        ("", []),
    ],
)
def test_words_are_found_in_every_script(text: str, units: list[str]) -> None:
    assert parts(text, units_of(text)) == units


def test_punctuation_is_a_word_only_where_there_is_nothing_else() -> None:
    assert parts("Well, well!", words_of("Well, well!")) == ["Well", "well"]
    assert parts("?! 😀", words_of("?! 😀")) == ["?!", "😀"]


@given(st.text())
def test_every_character_but_white_space_is_in_exactly_one_word(text: str) -> None:
    covered = [position for span in units_of(text) for position in range(span.start, span.end)]
    assert len(covered) == len(set(covered))
    assert covered == sorted(covered)
    left_out = set(range(len(text))) - set(covered)
    assert all(text[position].isspace() for position in left_out)


@given(st.integers(0, 300), st.integers(1, 70))
def test_chunks_cover_all_words_in_order_and_are_no_more_than_wanted(words: int, most: int) -> None:
    spans = [Span(2 * number, 2 * number + 1) for number in range(words)]
    chunks = chunks_of(spans, most)
    assert len(chunks) == words if words <= most else len(chunks) <= most
    assert [span for span in spans if any(c.start <= span.start and span.end <= c.end for c in chunks)] == spans
    assert all(one.end < other.start for one, other in itertools.pairwise(chunks))

from __future__ import annotations

import pytest

from airflow_provider_autoglm.labeling.review.shown import EMPTY, one_line, shown_text, visible


def test_a_short_text_is_shown_as_it_is() -> None:
    assert shown_text("Ein Satz. 一句话。\n\nNoch einer.", 100) == "Ein Satz. 一句话。\n\nNoch einer."


def test_a_long_text_is_cut_and_says_so() -> None:
    assert shown_text("word " * 2_000, 50) == "word " * 9 + "word … [50 of 9,999 characters]"


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b\u200b", "\ufeff"])
def test_a_text_without_anything_to_read_says_so(text: str) -> None:
    assert shown_text(text, 100) == EMPTY


def test_a_text_whose_beginning_cannot_be_read_says_how_long_it_is() -> None:
    assert shown_text("\u200b" * 1_000 + "end", 100) == f"{EMPTY} … [0 of 1,003 characters]"


def test_a_megabyte_is_cut_like_any_other() -> None:
    assert shown_text("x" * 1_000_000, 60) == "x" * 60 + " … [60 of 1,000,000 characters]"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\x00b\x1b[31m\x7f", "a␀b␛[31m␡"),
        ("a\x85b\x9bc", "abc"),
        ("admin\u202egnp.exe\u2066", "admingnp.exe"),
        ("a\u00adb\u200bc\ufeff", "abc"),
        ("a\u00a0b\u2003c", "a b c"),
        ("a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\ne"),
        ("a\n \n\n\t\nb", "a\n\nb"),
        ("a\ud800b", "a\ufffdb"),
        ("👩\u200d👩\u200d👧 क्\u200dष", "👩\u200d👩\u200d👧 क्\u200dष"),
        ("<script>alert(1)</script> [x](javascript:y)", "<script>alert(1)</script> [x](javascript:y)"),
        ("\ue000", "\ue000"),
    ],
)
def test_nothing_in_a_text_hides_or_reorders_what_is_there(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_a_title_is_one_line_and_cut() -> None:
    assert one_line("A\ntitle\t of\x00 a page", 100) == "A title of␀ a page"
    assert one_line("x" * 500, 200) == "x" * 200
    assert one_line(None, 200) is None

"""What is marked as different, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe.word_difference import Piece, beginning, compare
from airflow_provider_autoglm.corpus.schema import normalise_text


def _shown(pieces: Iterable[Piece]) -> str:
    return "".join(f"[{piece.text}]" if piece.is_changed else piece.text for piece in pieces)


def _plain(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.mark.parametrize(
    ("removed", "kept", "removed_shown", "kept_shown"),
    [
        ("the quick brown fox", "the quick red fox", "the quick [brown] fox", "the quick [red] fox"),
        ("the fox jumps", "the lazy fox jumps high", "the fox jumps", "the [lazy] fox jumps [high]"),
        ("a  b\nc", "a b c", "a b c", "a b c"),
        ("caf\u00e9 open", "cafe\u0301 shut", "caf\u00e9 [open]", "caf\u00e9 [shut]"),
        ("会议强调要加快推进产业", "会议指出要加快推进产业", "会议[强调]要加快推进产业", "会议[指出]要加快推进产业"),
        ("see foo.bar(x), now", "see foo.baz(x), now", "see foo.[bar](x), now", "see foo.[baz](x), now"),
        ("is it 👩‍👩‍👧 or not", "is it 👩‍👩‍👦 or not", "is it [👩‍👩‍👧] or not", "is it [👩‍👩‍👦] or not"),
        ("مرحبا بالعالم الجميل", "مرحبا بالعالم الكبير", "مرحبا بالعالم [الجميل]", "مرحبا بالعالم [الكبير]"),
        ("", "new", "", "[new]"),
        ("", "", "", ""),
    ],
)
def test_words_that_one_text_alone_has_are_marked(removed: str, kept: str, removed_shown: str, kept_shown: str) -> None:
    difference = compare(removed, kept)
    assert _shown(difference.removed) == removed_shown
    assert _shown(difference.kept) == kept_shown
    assert difference.is_whole


def test_a_word_that_two_long_changes_share_by_chance_is_part_of_the_change() -> None:
    difference = compare(
        "start considerable amounts of different vegetables end",
        "start practically nothing of anything whatsoever end",
    )
    assert _shown(difference.removed) == "start [considerable amounts of different vegetables] end"


_TEXTS = st.lists(st.sampled_from(["one", "two", "three", "会", "议", "&", "<b>", " ", "\n"]), max_size=60).map(
    " ".join
)


@given(_TEXTS, _TEXTS)
def test_a_whole_difference_is_the_texts_and_what_is_not_marked_is_equal(removed: str, kept: str) -> None:
    difference = compare(removed, kept, max_chars=10_000)
    assert difference.is_whole
    assert _plain(difference.removed) == normalise_text(removed)
    assert _plain(difference.kept) == normalise_text(kept)
    sides = [
        "".join(piece.text for piece in side if not piece.is_changed).replace(" ", "")
        for side in (difference.removed, difference.kept)
    ]
    assert sides[0] == sides[1]


@given(_TEXTS, _TEXTS, st.integers(60, 120))
@example("one " * 40, "one " * 40, 73)
def test_no_side_is_much_longer_than_asked_for(removed: str, kept: str, max_chars: int) -> None:
    difference = compare(removed, kept, max_chars=max_chars)
    assert max(len(_plain(difference.removed)), len(_plain(difference.kept))) <= max_chars + len(" …")


def test_of_equal_words_only_those_next_to_a_difference_are_shown() -> None:
    words = [f"word{number:03d}" for number in range(400)]
    others = [*words]
    others[100], others[300] = "first", "second"
    difference = compare(" ".join(words), " ".join(others))
    shown = _shown(difference.kept)
    assert shown.startswith("… word093 ")
    assert "word099 [first] word101" in shown
    assert "word107 … word293" in shown
    assert shown.endswith("word307 …")
    assert difference.is_whole, "both differences are shown"


def test_of_a_long_change_both_ends_are_shown() -> None:
    new = " ".join(f"new{number:03d}" for number in range(200))
    difference = compare("before after", f"before {new} after")
    (changed,) = [piece.text for piece in difference.kept if piece.is_changed]
    assert changed.startswith("new000 ")
    assert changed.endswith(" new199")
    assert " … " in changed
    assert _plain(difference.removed) == "before after"


def test_differences_that_do_not_fit_are_left_out_and_it_says_so() -> None:
    words = [f"word{number:03d}" for number in range(500)]
    others = [word.upper() if number % 20 == 0 else word for number, word in enumerate(words)]
    difference = compare(" ".join(words), " ".join(others))
    assert not difference.is_whole
    assert _plain(difference.removed).endswith(" …")
    assert not _plain(difference.removed).endswith("… …")


def test_texts_of_a_megabyte_are_compared_from_their_first_difference_on() -> None:
    words = [f"w{number % 997}" for number in range(200_000)]
    others = [*words]
    others[100_000] = "changed"
    others[100_010:100_010] = ["inserted"] * 2_000
    others[-5] = "last"
    difference = compare(" ".join(words), " ".join(others))
    assert not difference.is_whole
    assert [piece.text for piece in difference.kept if piece.is_changed] == ["changed"]
    assert [piece.text for piece in difference.removed if piece.is_changed] == [words[100_000]]


def test_texts_that_have_nothing_in_common_are_marked_whole() -> None:
    removed, kept = ([f"{name}{number}" for number in range(2_000)] for name in "rk")
    difference = compare(" ".join(removed), " ".join(kept))
    assert _shown(difference.removed).startswith("[r0 r1 ")
    assert _shown(difference.kept).startswith("[k0 k1 ")
    assert not difference.is_whole


def test_long_equal_texts_are_their_beginning() -> None:
    text = "some words " * 200
    difference = compare(text, text)
    assert _plain(difference.removed) == _plain(difference.kept) == beginning(text, 600)
    assert difference.is_whole


def test_a_beginning_ends_with_a_whole_word() -> None:
    assert beginning("one two\nthree", 9) == "one two …"
    assert beginning("one two\nthree", 8) == "one …"
    assert beginning(" one  two ", 8) == "one two"
    assert beginning("", 8) == ""

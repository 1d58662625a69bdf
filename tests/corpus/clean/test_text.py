from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.clean import clean_text, cleaned_texts
from airflow_provider_autoglm.settings import CleanSettings
from airflow_provider_autoglm.settings.clean_rules import RULE_SETS

EVERYTHING = CleanSettings(rules=RULE_SETS, mask=("email", "phone", "ip", "card", "national_id"))
FRAGMENTS = [
    *" \n¶[]()|>:@+-./ae1Éß\u0301\u200b\u00ad\u00a0\u1112\u1161\u11ab\u00bdﬁ…™\uff1a\uff0c中文🙂Ãâ",
    "[edit]",
    "(Reuters) -",
    "Share this",
    "Home > x",
    "Next page",
    "> quoted",
    "404\n",
    "上一页",
    "责任编辑",
    "ann@example.org",
    "+49 30 1234567",
    "127.0.0.1",
    "192.0.2.1",
    "4111 1111 1111 1111",
    "123-45-6789",
    "12",
    "cafÃ©",
    "â€™",
    "\x92",
    "\r\n",
    "\t",
]


def cleaned(text: str, **changes: Any) -> str:
    values: list[str] = clean_text(pa.array([text]), CleanSettings.parse(changes)).to_pylist()
    return values[0]


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
        ("مرحبا بالعالم 👩\u200d🔬", "مرحبا بالعالم 👩\u200d🔬"),
    ],
)
def test_white_space_and_unicode_become_normal(text: str, clean: str) -> None:
    assert cleaned(text) == clean


def test_nfkc_makes_compatible_characters_plain_and_nfc_leaves_them() -> None:
    text = "\ufb01le\uff0c\uff21\uff22\uff23 x² … ℃ e\u0301"

    assert cleaned(text) == "file,ABC x2 ... °C \u00e9"
    assert cleaned(text, unicode_form="NFC") == "\ufb01le\uff0c\uff21\uff22\uff23 x² … ℃ \u00e9"


@settings(deadline=None)
@given(st.text(), st.sampled_from(["NFC", "NF\u004bC"]))
@example("a\u200b\u0301", "NFC")
@example("\u00a8\n", "NF\u004bC")
def test_clean_text_stays_as_it_is(text: str, form: str) -> None:
    once = cleaned(text, unicode_form=form)

    assert cleaned(once, unicode_form=form) == once
    assert once == once.strip()


@settings(deadline=None, max_examples=80)
@given(st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join), max_size=4))
@example(["ÃÂ©\u00ad\x80", "Ã\u200b©", "[ed[edit]it]", "Share this\n[edit]Next page"])
@example(["1\n[edit]2", "+49 30 [edit]1234567"])
def test_cleaning_with_all_built_in_rules_and_masks_again_changes_nothing(texts: list[str]) -> None:
    once = clean_text(pa.array(texts, pa.string()), EVERYTHING)
    again = cleaned_texts(once, EVERYTHING)

    assert again.text.to_pylist() == once.to_pylist()
    assert again.counts == {}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.none() | st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join), max_size=5))
def test_a_text_is_cleaned_alike_whatever_stands_beside_it(texts: list[str | None]) -> None:
    together = clean_text(pa.array(texts, pa.string()), EVERYTHING).to_pylist()

    assert together == [clean_text(pa.array([text], pa.string()), EVERYTHING).to_pylist()[0] for text in texts]


def test_marks_that_are_nested_without_end_are_left_after_some_rounds() -> None:
    few, many = ("[ed" * depth + "it]" * depth for depth in (19, 200))

    assert cleaned(few) == ""
    assert cleaned(f"{many} {few} end") == "[ed" * 180 + "it]" * 180 + " end"


def test_replacements_run_in_order_before_white_space_is_normalised() -> None:
    rules = [
        {"name": "cookies", "pattern": "(?i)accept all cookies"},
        {"name": "swap", "pattern": r"(\w+) of (\w+)", "replacement": r"\2 \1"},
        {"name": "after swap", "pattern": "rome king", "replacement": "the king"},
        {"name": "cells", "pattern": "\t+", "replacement": " | "},
    ]

    assert cleaned("Accept All Cookies   king of rome", replace=rules) == "the king"
    assert cleaned("one\t\ttwo", replace=rules) == "one | two"


def test_a_replacement_may_look_ahead_and_back() -> None:
    rules = [
        {"name": "price", "pattern": r"(?<=\$)\d+(?=\.)", "replacement": "N"},
        {"name": "twice", "pattern": r"(\w+) \1"},
    ]

    assert cleaned("for $12.50, not 12.50, again again", replace=rules) == "for $N.50, not 12.50,"


def test_lines_are_dropped_after_white_space_is_normalised() -> None:
    rules = [{"name": "menu", "pattern": "(?i)menu( item)*"}, {"name": "rest", "pattern": "(?!keep).*"}]

    assert cleaned("Menu  item\t\nkeep this\n MENU \n\nkeep that", drop_lines=rules[:1]) == "keep this\n\nkeep that"
    assert cleaned("a\nkeep\nb", drop_lines=rules[1:]) == "keep"
    assert cleaned("Menu", drop_lines=rules[:1]) == ""


def test_every_change_is_counted_by_text_and_every_mask_by_value() -> None:
    texts = pa.array(["cafÃ© x x", "x", "ann@example.org bob@example.org", None, "plain"])
    changes = {"replace": [{"name": "ex", "pattern": r"\bx"}], "mask": ["email"]}

    assert cleaned_texts(texts, CleanSettings.parse(changes)).counts == {
        "changed/mojibake": 1,
        "changed/ex": 2,
        "masked/email": 2,
    }

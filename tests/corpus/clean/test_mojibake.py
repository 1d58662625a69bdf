from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.clean import clean_text
from airflow_provider_autoglm.corpus.clean.mojibake import repair_mojibake
from airflow_provider_autoglm.settings import CleanSettings


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Der Fluß stieg über die Brücke", "latin-1"),
        ("It\u2019s what they call a \u2018flood\u2018", "cp1252"),
        ("L\u2019eau est montée jusqu\u2019à l\u2019église", "cp1252"),
        ("Вода поднялась за ночь", "cp1251"),
        ("它是一条河", "latin-1"),
        ("it\u2019s a flood \u2013 they say", "mac-roman"),
    ],
)
def test_utf8_that_was_read_as_something_else_is_repaired(text: str, encoding: str) -> None:
    broken = text.encode().decode(encoding)

    assert broken != text
    assert repair_mojibake(pa.array([broken, "plain", None])).to_pylist() == [text, "plain", None]


@pytest.mark.parametrize(
    "text",
    [
        "Der Fluß stieg über die Brücke",
        "»À la carte«, sagte sie, Â und Ã",
        "Straße \u201cnennen wir das\u201d",
        "Вода поднялась за ночь",
        "河水在夜里上涨",
        "Œuvre \u2013 naïve café à 20 €",
        "Γει\u03b1 \u03c3\u03bf\u03c5 Κό\u03c3με",
    ],
)
def test_right_text_is_left_alone(text: str) -> None:
    assert repair_mojibake(pa.array([text])).to_pylist() == [text]


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_never_touched(text: str) -> None:
    assert repair_mojibake(pa.array([text])).to_pylist() == [text]


def test_repair_can_be_switched_off() -> None:
    assert clean_text(pa.array(["cafÃ©"]), CleanSettings(repair_mojibake=False)).to_pylist() == ["cafÃ©"]
    assert clean_text(pa.array(["cafÃ©"]), CleanSettings()).to_pylist() == ["café"]

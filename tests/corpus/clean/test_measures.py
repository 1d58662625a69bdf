from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.clean import measures
from airflow_provider_autoglm.corpus.clean.measures import measure

WORDS = st.sampled_from(["one", "two", "three", "#", "wait...", "12", "naïve", "ภาษา", "中文", "、", "🙂"])
TEXTS = st.lists(st.lists(WORDS, max_size=30).map(" ".join), max_size=8).map("\n".join).map(str.strip)


def repeated(items: Sequence[Hashable], weights: Sequence[int]) -> float:
    seen: set[Hashable] = set()
    total = 0
    for item, weight in zip(items, weights, strict=True):
        total += weight if item in seen else 0
        seen.add(item)
    return total / max(1, sum(weights))


@settings(deadline=None)
@given(st.lists(TEXTS))
def test_measures_are_what_counting_gives(texts: list[str]) -> None:
    found = measure(pa.array(texts, pa.string()))

    for row, text in enumerate(texts):
        letters = [character for character in text if character.isalpha() or character == "ิ"]
        is_unspaced = sum("\u0e00" <= character <= "\u9fff" for character in letters) >= 0.3 * max(1, len(letters))
        characters = text.replace("\n", "").replace(" ", "")
        words = text.split()
        assert found.is_unspaced[row] == is_unspaced
        assert found.is_long_enough[row] == (len(characters) >= 40 if is_unspaced else len(words) >= 20)
        units = len(characters) if is_unspaced else len(words)
        assert found.symbols[row] == pytest.approx((text.count("#") + text.count("...")) / max(1, units))
        assert found.nonletters[row] == pytest.approx((len(characters) - len(letters)) / max(1, len(characters)))
        lines = [line for line in text.split("\n") if line]
        assert found.repeated_lines[row] == pytest.approx(repeated(lines, [len(line) for line in lines]))
        flat = text.replace("\n", " ")
        if is_unspaced:
            phrases: list[Hashable] = [flat[start : start + 12] for start in range(len(flat) - 11)]
        else:
            spans = [found.span() for found in re.finditer(r"\S+", flat)]
            phrases = [flat[first[0] : last[1]] for first, last in zip(spans, spans[4:], strict=False)]
        assert found.repeated_phrases[row] == pytest.approx(repeated(phrases, [1] * len(phrases)))


@pytest.mark.parametrize(
    ("text", "is_unspaced"),
    [
        ("The river rose during the night.", False),
        ("夜里河水上涨、到了早晨。", True),
        ("川の水位が夜のうちに上がった。", True),
        ("แม่น้ำสูงขึ้นในตอนกลางคืน", True),
        ("ແມ່ນ້ຳເພີ່ມຂຶ້ນ", True),
        ("ទន្លេបានឡើង", True),
        ("မြစ်ရေတက်လာသည်", True),
        ("강물이 밤사이에 불어났다", False),
        ("नदी रात में बढ़ गई", False),
        ("用 pip install apache-airflow-providers 安装它即可,之后重启调度器就能看到新的操作符", True),
        ("🙂 123", False),
        ("", False),
    ],
)
def test_scripts_without_spaces_between_words_are_told_by_their_letters(text: str, *, is_unspaced: bool) -> None:
    assert measure(pa.array([text])).is_unspaced.tolist() == [is_unspaced]


def test_vowel_signs_and_accents_are_letters() -> None:
    assert measure(pa.array(["नदी रात में बढ़ गई", "ទន្លេបានឡើង"])).nonletters.tolist() == [0, 0]


def test_texts_are_measured_alike_whatever_stands_beside_them() -> None:
    texts = ["a b c d e f a b c d e", "", "x\nx\ny"] * 40
    alone = [measure(pa.array([text])) for text in texts]
    together = measure(pa.array(texts))

    for name in ("repeated_lines", "repeated_phrases", "symbols", "nonletters", "is_unspaced"):
        assert np.array_equal(getattr(together, name), np.concatenate([getattr(one, name) for one in alone]))


def test_a_text_of_a_million_characters_is_measured_by_its_beginning() -> None:
    beginning = "word " * (measures.MOST_CHARACTERS // 5)
    found = measure(pa.array([beginning + "##### " * 100_000, "short"]))

    assert found.symbols.tolist() == [0, 0]
    assert found.repeated_phrases[0] > 0.99

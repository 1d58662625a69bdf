"""Fingerprints, bit for bit those of the package ``simhash``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simhash import Simhash

from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash64, to_simhash


def _reference(text: str) -> int:
    """The definition in whole numbers of any size, for what the package cannot count."""
    content = "".join(re.findall(r"[\w\u4e00-\u9fcc]+", text.lower()))
    windows = [content[start : start + 4] for start in range(max(len(content) - 3, 1))]
    counts = [0] * 64
    for window in windows:
        hashed = int.from_bytes(hashlib.md5(window.encode("utf-8", "surrogatepass")).digest()[-8:], "big")
        for bit in range(64):
            counts[bit] += hashed >> bit & 1
    return sum(1 << bit for bit in range(64) if 2 * counts[bit] > len(windows))


def _values(texts: Sequence[str]) -> list[int]:
    return [int(value) for value in simhash64(texts)]


_text = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300),
    st.text(alphabet="ab _\n", max_size=200),
    st.text(alphabet="aéЖ中\N{MATHEMATICAL BOLD DIGIT ZERO}😀İΣß", max_size=40),
    st.text(alphabet=st.characters(min_codepoint=0x4DF0, max_codepoint=0x9FFF), max_size=120),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_text, max_size=12))
def test_fingerprints_are_those_of_the_package(texts: list[str]) -> None:
    assert _values(texts) == [Simhash(text).value for text in texts]


def test_the_order_and_number_of_texts_in_a_call_do_not_matter() -> None:
    texts = [f"{number} documents went into a call, {'and more ' * (number % 40)}" for number in range(1_000)]
    assert _values(texts) == [Simhash(text).value for text in texts]


@pytest.mark.parametrize("length", [*range(9), 34, 35, 36, 66, 67, 68, 255, 10_000])
def test_texts_of_any_length_are_right(length: int) -> None:
    text = ("The quick brown fox 敏捷的棕色狐狸 jumps_over " * (length // 10 + 1))[:length]
    assert _values([text]) == [_reference(text)]


@pytest.mark.parametrize("text", ["a" * 300, "_" * 70_000, "ab" * 400 + "different", "中" * 1_000 + "a" * 999])
def test_a_4_gram_that_is_too_frequent_for_the_package_is_counted_right(text: str) -> None:
    with pytest.raises(OverflowError):
        Simhash(text)
    assert _values([text]) == [_reference(text)]


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab \ud800\udc00\udfff\U00010000"), max_size=30))
def test_lone_surrogates_are_no_characters_of_words(text: str) -> None:
    # Between two texts, too: the end of one and the start of the next never make a character.
    assert _values([text, "\udc00" + text]) == [_reference(text)] * 2


@pytest.mark.parametrize("text", ["ΟΔΟΣ ΣΑΣ ΣΟΦΟΣ.", "İstanbul'da ΣΊΣΥΦΟΣ", "ᏣᎳᎩ ẞtraße ǅ"])
def test_letters_whose_lower_case_depends_on_others_are_those_of_the_package(text: str) -> None:
    assert _values([text, text * 3]) == [Simhash(text).value, Simhash(text * 3).value]


def test_every_character_is_lowered_and_kept_as_by_the_package() -> None:
    texts = ["".join(map(chr, range(start, start + 64))) for start in range(0, 0x30000, 64)]
    assert _values(texts) == [_reference(text) for text in texts]


def test_a_fingerprint_is_one_of_the_package() -> None:
    one, other = (
        to_simhash(fingerprint) for fingerprint in simhash64(["a text of some words", "a text of more words"])
    )
    assert one.distance(other) == Simhash("a text of some words").distance(Simhash("a text of more words"))


def test_one_text_alone_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a list of texts; \[text\] is one"):
        simhash64("one text")


def test_no_texts_have_no_fingerprints() -> None:
    assert simhash64([]).dtype == np.uint64
    assert simhash64([]).size == 0

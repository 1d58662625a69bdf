from __future__ import annotations

import pytest

from benchmarks.dedupe.documents import ORIGINAL, Document
from benchmarks.dedupe.truth import jaccard, judge

MADE = [
    Document("the first text of all", 0, ORIGINAL),
    Document("the first text of all!", 0, "layout"),
    Document("quite another sentence", 1, ORIGINAL),
    Document("quite a different wording here", 1, "header"),
    Document("12345678", 2, ORIGINAL),
]


def test_a_variant_counts_when_it_goes_or_when_its_original_does() -> None:
    assert judge(MADE, {1: 0}).recall_of == {"layout": 1.0, "header": 0.0}
    assert judge(MADE, {0: 1, 2: 3}).recall == 1.0
    assert judge(MADE, {}).recall == 0.0


def test_a_removal_is_right_within_the_family_or_by_similarity() -> None:
    quality = judge(MADE, {1: 0, 3: 2, 4: 0})
    assert quality.removed == 3
    assert quality.precision == pytest.approx(2 / 3)
    assert quality.unlike == 2


def test_jaccard_looks_at_the_sets_of_four_word_characters() -> None:
    assert jaccard("AB-cd e", "abcde") == 1.0
    assert jaccard("abcde", "abcdf") == pytest.approx(1 / 3)
    assert jaccard("abc", "abcd") == 0.0
    assert jaccard("", "...") == 1.0

"""Similarity of two sets, known whole or by their smallest values alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe.shingles import Shingles, sets_of
from airflow_provider_autoglm.corpus.dedupe.store import SKETCH
from airflow_provider_autoglm.corpus.dedupe.verify import similarity
from tests.corpus.dedupe.runs import jaccard, text_of, words_of

_STANDARD_ERROR = 0.044
_sets = st.frozensets(st.integers(0, 60) | st.integers(0, 2**32 - 1), max_size=60)


def _shingles(*sets: frozenset[int] | set[int], known: int | None = None) -> Shingles:
    """The sets, of the first one only the ``known`` smallest values."""
    parts = [np.array(sorted(values), np.uint32) for values in sets]
    sizes = np.array([part.size for part in parts], np.int64)
    parts[0] = parts[0][:known]
    ends = np.cumsum([part.size for part in parts])
    starts = ends - [part.size for part in parts]
    return Shingles(np.concatenate(parts), starts.astype(np.int64), ends.astype(np.int64), sizes)


@settings(max_examples=200, deadline=None)
@given(_sets, _sets, st.sampled_from([0, 0.25, 1 / 3, 0.5, 2 / 3, 0.8, 1]))
def test_whole_sets_are_compared_exactly(a: frozenset[int], b: frozenset[int], min_jaccard: float) -> None:
    exact = len(a & b) / len(a | b) if a and b else -1.0
    expected = exact if exact >= min_jaccard else -1.0
    assert similarity(_shingles(a, b), 0, 1, min_jaccard) == expected
    assert similarity(_shingles(a, b), 1, 0, min_jaccard) == expected


@settings(max_examples=200, deadline=None)
@given(_sets, _sets, st.integers(1, 60))
def test_an_estimate_looks_at_the_smallest_values_that_are_known_of_the_union(
    a: frozenset[int], b: frozenset[int], known: int
) -> None:
    if not a or not b or len(a) <= known:
        return
    smallest = set(sorted(a | b)[:known])
    expected = len(smallest & a & b) / len(smallest)
    assert similarity(_shingles(a, b, known=known), 0, 1, 0.0) == expected
    assert similarity(_shingles(a, b, known=known), 1, 0, 0.0) == expected


@settings(max_examples=100, deadline=None)
@given(_sets)
def test_what_is_equal_is_similar_by_all_and_by_few_values(a: frozenset[int]) -> None:
    for known in (len(a), (len(a) + 1) // 2):
        assert similarity(_shingles(a, a, known=known), 0, 1, 1.0) == (1.0 if a else -1.0)


def test_of_two_sketches_the_shorter_one_says_how_much_is_known() -> None:
    a, b = set(range(0, 400, 2)), set(range(0, 400, 3))
    both = _shingles(a, b)
    cut = Shingles(both.values, both.starts, both.starts + np.array([40, 25]), both.sizes)
    smallest = set(sorted(a | b)[:25])
    assert similarity(cut, 0, 1, 0.0) == len(smallest & a & b) / 25


def test_a_long_stored_text_is_compared_within_the_error_of_its_sketch() -> None:
    generator = random.Random(5)
    exact, estimated = [], []
    for number in range(300):
        words = words_of(number, 320)
        share = generator.uniform(0, 0.4)
        edited = [word if generator.random() > share else word[::-1] + "q" for word in words]
        texts = (" ".join(words), " ".join(edited))
        sets = sets_of(texts)
        whole = [set(sets.values[sets.bounds[n] : sets.bounds[n + 1]].tolist()) for n in range(2)]
        assert min(map(len, whole)) > 8 * SKETCH
        exact.append(jaccard(*texts))
        estimated.append(similarity(_shingles(*whole, known=SKETCH), 0, 1, 0.0))
    errors = np.array(estimated) - np.array(exact)
    assert np.ptp(exact) > 0.5, "from few edits to very many"
    assert np.sqrt(np.mean(errors**2)) < _STANDARD_ERROR
    assert abs(np.mean(errors)) < 4 * _STANDARD_ERROR / np.sqrt(errors.size)
    assert np.max(np.abs(errors)) < 4 * _STANDARD_ERROR


@pytest.mark.parametrize("text", ["a", "中文", "abc", text_of(1), "مرحبا بالعالم العربي"])
def test_the_sets_of_texts_have_the_similarity_of_their_windows(text: str) -> None:
    other = f"{text} و more"
    sets = sets_of([text, other])
    whole = [set(sets.values[sets.bounds[n] : sets.bounds[n + 1]].tolist()) for n in range(2)]
    assert similarity(_shingles(*whole), 0, 1, 0.0) == jaccard(text, other)

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.batching import batches, isolate_failures

lengths_of_texts = st.lists(st.integers(1, 300), max_size=60)


@given(lengths_of_texts, st.integers(1, 1_000))
def test_every_text_is_in_exactly_one_batch(lengths: list[int], max_tokens: int) -> None:
    rows = [row for batch in batches(lengths, max_tokens) for row in batch]
    assert sorted(rows) == list(range(len(lengths)))


@given(lengths_of_texts, st.integers(1, 1_000))
def test_a_padded_batch_stays_within_its_tokens_unless_one_text_alone_is_longer(
    lengths: list[int], max_tokens: int
) -> None:
    for batch in batches(lengths, max_tokens):
        padded = len(batch) * max(lengths[row] for row in batch)
        assert padded <= max_tokens or len(batch) == 1


@given(lengths_of_texts, st.integers(1, 1_000))
def test_a_batch_is_ended_only_when_the_next_text_would_not_fit(lengths: list[int], max_tokens: int) -> None:
    made = list(batches(lengths, max_tokens))
    for batch, following in pairwise(made):
        assert (len(batch) + 1) * lengths[following[0]] > max_tokens


@given(st.lists(st.booleans(), max_size=40))
def test_exactly_the_failing_texts_are_found_and_the_others_computed(is_bad: list[bool]) -> None:
    texts = [f"{'bad' if bad else 'good'} {row}" for row, bad in enumerate(is_bad)]

    def number_of(some: Sequence[str]) -> NDArray[np.float32]:
        if any(text.startswith("bad") for text in some):
            raise ValueError("bad text")
        return np.array([[float(text.split()[1])] for text in some], np.float32)

    values, failed = isolate_failures(number_of, texts, 1)

    assert failed.tolist() == is_bad
    assert values[:, 0].tolist() == [0.0 if bad else float(row) for row, bad in enumerate(is_bad)]


def test_one_bad_text_of_a_thousand_costs_few_calls() -> None:
    calls = 0

    def compute(some: Sequence[str]) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        if "bad" in some:
            raise ValueError("bad text")
        return np.ones((len(some), 1), np.float32)

    _, failed = isolate_failures(compute, [*["good"] * 700, "bad", *["good"] * 299], 1)

    assert failed.sum() == 1
    assert calls <= 2 * 10 + 1


def test_an_interrupt_is_not_taken_for_a_bad_text() -> None:
    def interrupted(some: Sequence[str]) -> NDArray[np.float32]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isolate_failures(interrupted, ["a", "b"], 1)

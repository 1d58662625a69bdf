"""Pairs of fingerprints, compared with all against all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.neighbours import Pairs, pairs_between, pairs_within

_print = st.integers(0, 2**64 - 1)


def _brute_force(fingerprints: NDArray[np.uint64], max_hamming: int) -> list[tuple[int, int, int]]:
    distance = np.bitwise_count(fingerprints[:, None] ^ fingerprints[None, :])
    i, j = np.nonzero(np.triu(distance <= max_hamming, 1))
    return list(zip(i.tolist(), j.tolist(), distance[i, j].tolist(), strict=True))


def _as_list(pairs: Pairs) -> list[tuple[int, int, int]]:
    return list(zip(pairs.i.tolist(), pairs.j.tolist(), pairs.hamming.tolist(), strict=True))


def _clustered(count: int, centres: int, flips: int, seed: int) -> NDArray[np.uint64]:
    """Prints around few centres, each with up to ``flips`` bits flipped."""
    random = np.random.default_rng(seed)
    prints = random.choice(random.integers(0, 2**64, centres, np.uint64), count)
    for _ in range(flips):
        prints ^= np.uint64(1) << random.integers(0, 64, count).astype(np.uint64)
    return prints


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_print | st.sampled_from([0, 1, 2**63, 2**64 - 1]), max_size=40),
    st.lists(st.tuples(st.integers(0, 39), st.lists(st.integers(0, 63), max_size=18)), max_size=40),
    st.integers(0, 16),
)
def test_all_pairs_are_found_once_and_in_order(
    centres: list[int], copies: list[tuple[int, list[int]]], max_hamming: int
) -> None:
    prints = list(centres)
    for centre, flips in copies:
        prints.append((centres[centre % len(centres)] if centres else 0) ^ sum(1 << bit for bit in set(flips)))
    fingerprints = np.array(prints, np.uint64)
    assert _as_list(pairs_within(fingerprints, max_hamming)) == _brute_force(fingerprints, max_hamming)


@pytest.mark.parametrize("max_hamming", range(17))
@pytest.mark.parametrize(("count", "centres"), [(1_500, 1), (2_000, 100), (3_000, 3_000)])
def test_clustered_prints_are_found_at_every_distance(count: int, centres: int, max_hamming: int) -> None:
    fingerprints = _clustered(count, centres, 8, seed=max_hamming)
    assert _as_list(pairs_within(fingerprints, max_hamming)) == _brute_force(fingerprints, max_hamming)


@pytest.mark.parametrize("max_hamming", [24, 40, 63, 64])
def test_distances_up_to_all_bits_are_exact(max_hamming: int) -> None:
    fingerprints = _clustered(150, 20, 12, seed=1)
    assert _as_list(pairs_within(fingerprints, max_hamming)) == _brute_force(fingerprints, max_hamming)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_prints_have_no_pairs(count: int) -> None:
    pairs = pairs_within(np.zeros(count, np.uint64), 9)
    assert [column.dtype.name for column in (pairs.i, pairs.j, pairs.hamming)] == ["int64", "int64", "uint8"]
    assert _as_list(pairs) == []


@pytest.mark.parametrize("max_hamming", [-1, 65])
def test_a_distance_that_cannot_be_is_refused(max_hamming: int) -> None:
    with pytest.raises(ValueError, match=f"max_hamming = {max_hamming}"):
        pairs_within(np.zeros(2, np.uint64), max_hamming)

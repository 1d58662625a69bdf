"""Pairs of fingerprints, compared with all against all."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.neighbours import (
    Pairs,
    iter_pairs,
    iter_pairs_between,
    likely_pairs,
    pairs_between,
    pairs_within,
)

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


def _brute_force_between(
    batch: NDArray[np.uint64], stored: NDArray[np.uint64], max_hamming: int
) -> list[tuple[int, int, int]]:
    distance = np.bitwise_count(batch[:, None] ^ stored[None, :])
    i, j = np.nonzero(distance <= max_hamming)
    return list(zip(i.tolist(), j.tolist(), distance[i, j].tolist(), strict=True))


def _together(chunks: Iterable[NDArray[np.uint64]]) -> list[int]:
    return [pair for chunk in chunks for pair in chunk.tolist()]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_print | st.sampled_from([0, 1, 2**63, 2**64 - 1]), max_size=20),
    st.lists(_print | st.sampled_from([0, 3, 2**63, 2**64 - 2]), max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.sets(st.integers(0, 63), max_size=18)), max_size=20),
    st.integers(0, 16),
)
def test_pairs_of_a_batch_and_a_store_are_the_pairs_of_both_that_cross(
    batch: list[int], stored: list[int], copies: list[tuple[int, set[int]]], max_hamming: int
) -> None:
    stored += [(batch[n % len(batch)] if batch else 0) ^ sum(1 << bit for bit in flips) for n, flips in copies]
    left, right = np.array(batch, np.uint64), np.array(stored, np.uint64)
    pairs = _as_list(pairs_between(left, right, max_hamming))
    assert pairs == _brute_force_between(left, right, max_hamming)
    every = _as_list(pairs_within(np.concatenate((left, right)), max_hamming))
    assert pairs == [(i, j - left.size, hamming) for i, j, hamming in every if i < left.size <= j]


@pytest.mark.parametrize("max_hamming", [0, 3, 9, 16])
@pytest.mark.parametrize(("batch", "stored"), [(30, 6_000), (3_000, 50), (2_000, 2_000)])
def test_a_batch_is_found_in_a_store_of_any_size(batch: int, stored: int, max_hamming: int) -> None:
    prints = _clustered(batch + stored, 200, 6, seed=max_hamming)
    left, right = prints[:batch], prints[batch:]
    assert _as_list(pairs_between(left, right, max_hamming)) == _brute_force_between(left, right, max_hamming)


@pytest.mark.parametrize("max_hamming", [-1, 65])
def test_a_distance_that_cannot_be_is_refused_between_too(max_hamming: int) -> None:
    with pytest.raises(ValueError, match=f"max_hamming = {max_hamming}"):
        pairs_between(np.zeros(2, np.uint64), np.zeros(0, np.uint64), max_hamming)


@pytest.mark.parametrize("bits", [1, 3])
def test_many_pairs_of_one_bucket_come_in_chunks_and_none_is_lost_where_one_is_cut(bits: int) -> None:
    prints = _clustered(900, 1, bits, seed=bits)
    chunks = list(iter_pairs(prints, 9))
    assert len(chunks) > 3
    assert max(chunk.size for chunk in chunks) < 65_536 + 2_048, "memory holds a chunk, not the pairs"
    assert _as_list(pairs_within(prints, 9)) == _brute_force(prints, 9)
    between = list(iter_pairs_between(prints[:450], prints[450:], 9))
    assert len(between) > 3
    assert max(chunk.size for chunk in between) < 65_536 + 2_048
    assert _as_list(pairs_between(prints[:450], prints[450:], 9)) == _brute_force_between(prints[:450], prints[450:], 9)


def test_a_bucket_that_is_larger_than_what_is_compared_at_once_is_searched_whole() -> None:
    prints = _clustered(5_000, 1, 20, seed=3)
    assert _as_list(pairs_within(prints, 5)) == _brute_force(prints, 5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(0, 16), st.integers(0, 400), st.integers(0, 9))
def test_shares_find_every_pair_once_together(count: int, max_hamming: int, prints: int, seed: int) -> None:
    fingerprints = _clustered(prints, 5, 8, seed)
    found = [_together(iter_pairs(fingerprints, max_hamming, share=(number, count))) for number in range(count)]
    whole = _together(iter_pairs(fingerprints, max_hamming))
    assert sorted(pair for share in found for pair in share) == sorted(whole)
    assert len(set(whole)) == len(whole) == len(_brute_force(fingerprints, max_hamming))


def test_no_share_finds_it_all() -> None:
    fingerprints = _clustered(20_000, 20_000, 0, seed=1)
    fingerprints[10_000:] = fingerprints[:10_000] ^ np.uint64(0b1011)
    sizes = [sum(chunk.size for chunk in iter_pairs(fingerprints, 9, share=(number, 5))) for number in range(5)]
    assert sum(sizes) >= 10_000
    assert sum(size > 0 for size in sizes) >= 3


def test_the_same_search_gives_its_pairs_in_the_same_order() -> None:
    fingerprints = _clustered(20_000, 4_000, 8, seed=5)
    assert _together(iter_pairs(fingerprints, 6)) == _together(iter_pairs(fingerprints, 6))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 300), st.integers(1, 12), st.integers(0, 12), st.integers(0, 9))
def test_pairs_that_are_joined_already_are_left_out(count: int, groups: int, max_hamming: int, seed: int) -> None:
    fingerprints = _clustered(count, 4, 8, seed)
    number = np.random.default_rng(seed).integers(0, groups, count)
    found = _together(iter_pairs(fingerprints, max_hamming, joined=lambda: number))
    expected = [i << 32 | j for i, j, _ in _brute_force(fingerprints, max_hamming) if number[i] != number[j]]
    assert sorted(found) == expected


def test_what_is_joined_is_asked_before_every_block() -> None:
    asked: list[int] = []
    fingerprints = _clustered(500, 3, 8, seed=2)

    def all_after_the_first_block() -> NDArray[np.int64]:
        asked.append(len(asked))
        return np.arange(500) if len(asked) == 1 else np.zeros(500, np.int64)

    found = _together(iter_pairs(fingerprints, 9, joined=all_after_the_first_block))
    assert len(asked) > 1
    assert 0 < len(found) < len(_brute_force(fingerprints, 9))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 12), st.integers(0, 9))
def test_likely_pairs_are_pairs_within_the_distance(count: int, max_hamming: int, seed: int) -> None:
    fingerprints = _clustered(count, 4, 5, seed)
    pairs = {(i, j) for i, j, _ in _brute_force(fingerprints, max_hamming)}
    found = [(pair >> 32, pair & 0xFFFFFFFF) for pair in _together(likely_pairs(fingerprints, max_hamming))]
    assert {(min(pair), max(pair)) for pair in found} <= pairs


def test_likely_pairs_chain_copies_of_a_page() -> None:
    fingerprints = np.repeat(np.array([5, 2**63, 77], np.uint64), 100)
    found = _together(likely_pairs(fingerprints, 0))
    assert {(pair >> 32) // 100 for pair in found} == {0, 1, 2}
    assert len({pair & 0xFFFFFFFF for pair in found} | {pair >> 32 for pair in found}) == 300

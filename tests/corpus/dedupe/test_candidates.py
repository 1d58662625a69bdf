"""Which documents are compared at all: every one that has a candidate, whoever searches which share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.candidates import (
    band_column,
    distance_of_prints,
    fingerprints_of,
    has_candidate,
    is_candidate,
)
from airflow_provider_autoglm.corpus.dedupe.minhash import BANDS, NO_KEY
from airflow_provider_autoglm.corpus.dedupe.prints import BAND_COLUMNS, bands_of
from airflow_provider_autoglm.settings import DedupeSettings

Method = Literal["simhash", "minhash", "both"]


class _Pages:
    """Prints in pages of three rows."""

    def __init__(self, fingerprints: NDArray[np.uint64], keys: NDArray[np.uint32]) -> None:
        self.table = pa.table([fingerprints, *np.ascontiguousarray(keys.T)], names=["simhash", *BAND_COLUMNS])

    def iter_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        for row in range(0, self.table.num_rows, 3):
            yield self.table.slice(row, 3).select(columns or self.table.column_names)


def _drawn(seed: int, documents: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Prints around few centres and keys of few values, of which some documents have none."""
    random = np.random.default_rng(seed)
    prints = random.choice(random.integers(0, 2**64, 4, np.uint64), documents)
    for _ in range(10):
        prints ^= np.uint64(1) << random.integers(0, 64, documents).astype(np.uint64)
    keys = random.integers(1, 40 * documents + 2, (documents, BANDS), np.uint32)
    keys[random.random(documents) < 0.2] = NO_KEY
    return prints, keys


def _by_definition(
    left: tuple[NDArray[np.uint64], NDArray[np.uint32]],
    right: tuple[NDArray[np.uint64], NDArray[np.uint32]],
    rule: DedupeSettings,
) -> NDArray[np.bool_]:
    """Whether document ``i`` of one side and ``j`` of the other are candidates."""
    near = np.bitwise_count(left[0][:, None] ^ right[0][None, :]) <= distance_of_prints(rule)
    if rule.method != "simhash":
        near |= ((left[1][:, None] == right[1][None, :]) & (left[1][:, None] != NO_KEY)).any(axis=2)
    return np.asarray(near, np.bool_)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 1_000),
    st.integers(0, 60),
    st.sampled_from(["simhash", "minhash", "both"]),
    st.sampled_from([0.75, 0.85, 0.95, 1]),
    st.integers(1, 7),
)
def test_a_document_is_compared_if_it_has_a_candidate(
    seed: int, documents: int, method: Method, similarity: float, shares: int
) -> None:
    rule = DedupeSettings(method=method, similarity=similarity)
    prints, keys = _drawn(seed, documents)
    pages = _Pages(prints, keys)
    near = _by_definition((prints, keys), (prints, keys), rule)
    np.fill_diagonal(near, False)
    whole = has_candidate(pages, fingerprints_of(pages), rule)
    assert whole.tolist() == near.any(axis=1).tolist()
    found = [has_candidate(pages, fingerprints_of(pages), rule, (number, shares)) for number in range(shares)]
    assert np.any(found, axis=0).tolist() == whole.tolist()


def test_a_pair_that_is_neighbours_in_no_order_is_found_too() -> None:
    prints = np.random.default_rng(4).integers(0, 2**64, 2_000, np.uint64)
    prints[1_500] = prints[700] ^ np.uint64(1 << 63 | 1 << 47 | 1 << 31 | 1 << 15)
    found = has_candidate(_Pages(prints, np.zeros((prints.size, BANDS), np.uint32)), prints, DedupeSettings())
    assert np.flatnonzero(found).tolist() == [700, 1_500]


@pytest.mark.parametrize("band", range(BANDS))
def test_one_band_in_common_is_enough(band: int) -> None:
    random = np.random.default_rng(band)
    prints = random.integers(0, 2**64, 5, np.uint64)
    keys = np.arange(1, 5 * BANDS + 1, dtype=np.uint32).reshape(5, BANDS)
    keys[3, band] = keys[1, band]
    found = has_candidate(_Pages(prints, keys), prints, DedupeSettings(method="minhash"))
    assert np.flatnonzero(found).tolist() == [1, 3]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 1_000),
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from(["simhash", "minhash", "both"]),
)
def test_a_document_is_a_candidate_of_others_by_the_same_definition(
    seed: int, documents: int, others: int, method: Method
) -> None:
    rule = DedupeSettings(method=method)
    prints, keys = _drawn(seed, documents + others)
    batch, rest = _Pages(prints[:documents], keys[:documents]), _Pages(prints[documents:], keys[documents:])
    bands = [band_column(batch, name) for name in bands_of(rule)]
    found = is_candidate(fingerprints_of(batch), bands, rest.table, rule)
    near = _by_definition((prints[:documents], keys[:documents]), (prints[documents:], keys[documents:]), rule)
    assert found.tolist() == near.any(axis=1).tolist()

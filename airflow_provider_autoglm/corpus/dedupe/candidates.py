"""Which documents have a candidate at all: the search that looks at every document, and may be shared by workers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.minhash import NO_KEY, band_groups
from airflow_provider_autoglm.corpus.dedupe.neighbours import iter_pairs, iter_pairs_between, likely_pairs
from airflow_provider_autoglm.corpus.dedupe.prints import BAND_COLUMNS, Prints, bands_of
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

_WHOLE = (0, 1)
_Scalar = TypeVar("_Scalar", bound=np.generic)


def distance_of_prints(settings: DedupeSettings) -> int:
    """Bits in which the fingerprints of two documents may differ for them to be compared: copies have the same one."""
    return settings.max_hamming if settings.method != "minhash" else 0


def fingerprints_of(prints: Prints) -> NDArray[np.uint64]:
    """The SimHash of every document: 8 bytes each, which is what memory holds of a corpus."""
    return _column(prints, "simhash", np.uint64)


def band_column(prints: Prints, name: str) -> NDArray[np.uint32]:
    """The keys of every document in one band."""
    return _column(prints, name, np.uint32)


def _column(prints: Prints, name: str, kind: type[_Scalar]) -> NDArray[_Scalar]:
    # Copies: what is read may be a view of a buffer that has room for all columns.
    columns = [table[name].to_numpy().copy() for table in prints.iter_tables([name])]
    return np.concatenate([np.empty(0, kind), *columns])


def has_candidate(
    prints: Prints,
    fingerprints: NDArray[np.uint64],
    settings: DedupeSettings,
    share: tuple[int, int] = _WHOLE,
) -> NDArray[np.bool_]:
    """For each document, whether another one has its text or is a candidate to be its near duplicate.

    ``share`` is (number, count): a document is found by at least one share of a search if the whole search finds it.
    """
    number, count = share
    found = np.zeros(fingerprints.size, np.bool_)
    _mark_near(found, fingerprints, distance_of_prints(settings), share)
    for name in bands_of(settings)[number::count]:
        found[band_groups(band_column(prints, name)).members] = True
    return found


def is_candidate(
    fingerprints: NDArray[np.uint64],
    band_keys: Sequence[NDArray[np.uint32]],
    others: pa.Table,
    settings: DedupeSettings,
) -> NDArray[np.bool_]:
    """For each document, whether it is a candidate of one of ``others``, which are prints; keys are an array a band."""
    prints, print_of = np.unique(fingerprints, return_inverse=True)
    is_near = np.zeros(prints.size, np.bool_)
    for pairs in iter_pairs_between(prints, np.unique(others["simhash"].to_numpy()), distance_of_prints(settings)):
        is_near[pairs >> np.uint64(32)] = True
    found = is_near[print_of]
    for name, keys in zip(BAND_COLUMNS, band_keys, strict=False):
        found |= np.isin(keys, others[name].to_numpy()) & (keys != NO_KEY)
    return found


def _mark_near(
    found: NDArray[np.bool_], fingerprints: NDArray[np.uint64], max_hamming: int, share: tuple[int, int]
) -> None:
    """Mark documents whose fingerprints are near another one; equal ones are looked at once."""
    order = np.argsort(fingerprints, kind="stable")
    ordered = fingerprints[order]
    is_first = np.ones(ordered.size, np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    numbers = np.cumsum(is_first, dtype=np.int32) - np.int32(1)
    print_of = np.empty_like(numbers)
    print_of[order] = numbers
    prints = ordered[is_first]
    is_near = np.zeros(prints.size, np.bool_)
    is_near[numbers[~is_first]] = True
    del order, ordered, is_first, numbers

    def joined() -> NDArray[np.int32]:
        """Of two that are marked already nothing is learned: they have the same number, zero."""
        return np.where(is_near, np.int32(0), np.arange(1, is_near.size + 1, dtype=np.int32))

    if max_hamming > 0:  # no nearer than that are two that differ
        every = iter_pairs(prints, max_hamming, share=share, joined=joined)
        for pairs in chain(likely_pairs(prints, max_hamming), every):
            is_near[pairs >> np.uint64(32)] = True
            is_near[pairs & np.uint64(0xFFFFFFFF)] = True
    np.take(is_near, print_of, out=found)

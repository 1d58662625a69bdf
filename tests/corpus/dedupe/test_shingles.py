"""What documents are compared by, from the disk and back."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe.shingles import ShinglesOnDisk, TextSets

_values = st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=6).map(sorted)
_pages = st.lists(st.lists(st.tuples(_values, st.integers(0, 3)), max_size=4), max_size=4)


def _written(pages: list[list[tuple[list[int], int]]], bands: int) -> ShinglesOnDisk:
    """Sets of which some values are not known, with keys that count from one."""
    on_disk = ShinglesOnDisk(sum(map(len, pages)), bands)
    done = 0
    for page in pages:
        known = np.array([len(values) for values, _ in page], np.int64)
        every = np.array([value for values, _ in page for value in values], np.uint32)
        keys = np.arange(done * bands, (done + len(page)) * bands, dtype=np.uint32).reshape(len(page), bands) + 1
        unknown = np.array([more for _, more in page], np.int64)
        on_disk.add(keys.astype(np.uint32), TextSets(every, np.append(0, np.cumsum(known))), known + unknown)
        done += len(page)
    return on_disk


@settings(deadline=None)
@given(_pages, st.sampled_from([0, 3]), st.randoms(use_true_random=False))
def test_records_are_numbered_as_the_reader_wants_them(
    pages: list[list[tuple[list[int], int]]], bands: int, random: Random
) -> None:
    every = [document for page in pages for document in page]
    order = list(range(len(every)))
    random.shuffle(order)
    reader = _written(pages, bands).reader(np.array(order, np.int32))
    some = np.array([number for number in range(len(every)) if number % 3 != 1][::-1], np.int64)
    shingles = reader.load(some)
    assert reader.known(some).tolist() == [len(every[order[number]][0]) for number in some]
    for place, number in enumerate(some.tolist()):
        values, unknown = every[order[number]]
        start, end = shingles.starts[place], shingles.ends[place]
        first_key = order[number] * bands + 1
        assert shingles.values[start:end].tolist() == values
        assert shingles.values[start - bands : start].tolist() == list(range(first_key, first_key + bands))
        assert shingles.sizes[place] == len(values) + unknown

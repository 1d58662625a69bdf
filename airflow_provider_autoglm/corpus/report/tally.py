"""Counting by a value that may be anything: a few values are named, the others are counted together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

OTHERS = "others"
_MAX_CHARS = 255


def count_values(counts: Counter[str], values: pa.ChunkedArray) -> None:
    """Add how often each value occurs to ``counts``, by its first 255 characters; nulls are left out."""
    beginnings = pc.utf8_slice_codeunits(values.drop_null().cast(pa.string()), 0, _MAX_CHARS)
    for entry in pc.value_counts(beginnings).to_pylist():
        counts[entry["values"]] += entry["counts"]


def most_frequent(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """The ``limit`` most frequent values, and what the others sum up to under :data:`OTHERS`."""
    order = sorted(counts, key=lambda value: (-counts[value], value))
    named = {value: counts[value] for value in order[:limit]}
    return named | ({OTHERS: sum(counts[value] for value in order[limit:])} if len(order) > limit else {})

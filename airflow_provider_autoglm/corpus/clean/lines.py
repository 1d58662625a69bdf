"""Dropping whole lines of a column of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.patterns import matches
from airflow_provider_autoglm.settings.clean import whole_line


def drop_lines(text: pa.StringArray, rules: Sequence[tuple[str, str]]) -> tuple[pa.StringArray, Counter[str]]:
    """``text`` without the lines that one of ``rules`` (name, pattern) matches whole, and the texts each has changed.

    A line counts for the first rule that matches it. Lines end at ``\\n``; nulls stay null.
    """
    lists = pc.split_pattern(text, "\n")
    lines = lists.flatten()
    row_of_line = pc.list_parent_indices(lists).to_numpy()
    is_kept = np.ones(len(lines), bool)
    changed: Counter[str] = Counter()
    for name, pattern in rules:
        found = matches(lines, whole_line(pattern), rule=name).to_numpy(zero_copy_only=False) & is_kept
        if found.any():
            is_kept &= ~found
            changed[name] += len(np.unique(row_of_line[found]))
    if not changed:
        return text, changed
    offsets = np.concatenate(([0], np.cumsum(np.bincount(row_of_line[is_kept], minlength=len(text)))))
    kept = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), lines.filter(pa.array(is_kept)))
    return pc.if_else(pc.is_null(text), pa.scalar(None, pa.string()), pc.binary_join(kept, "\n")), changed

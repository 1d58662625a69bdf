"""Working on some rows of a column of texts and leaving the others as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ChangeTexts = Callable[[pa.StringArray], pa.StringArray]


def change_where(text: pa.StringArray, chosen: pa.BooleanArray, change: ChangeTexts) -> pa.StringArray:
    """``text`` with the chosen rows (null counts as not chosen) replaced by what ``change`` makes of them."""
    chosen = pc.fill_null(chosen, False)
    if not chosen.true_count:
        return text
    if chosen.true_count == len(chosen):
        return change(text)
    return pc.replace_with_mask(text, chosen, change(text.filter(chosen)))


def differs(before: pa.StringArray, after: pa.StringArray) -> pa.BooleanArray:
    """Which texts are not the same any more."""
    return pc.fill_null(pc.not_equal(before, after), False)


def pieces(sizes: npt.NDArray[np.int64], at_once: int) -> Iterator[slice]:
    """Consecutive rows whose ``sizes`` add up to about ``at_once``; one piece at least, so that no rows are one too."""
    starts = np.unique(np.cumsum(sizes) // at_once, return_index=True)[1].tolist() or [0]
    for start, end in zip(starts, [*starts[1:], len(sizes)], strict=True):
        yield slice(start, end)

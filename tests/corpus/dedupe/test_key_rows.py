"""Keys as rows, of the documents that are compared alone, in portions of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe.key_rows import KeyRows, iter_key_rows
from airflow_provider_autoglm.corpus.dedupe.minhash import BANDS
from airflow_provider_autoglm.corpus.dedupe.prints import BAND_COLUMNS

_ROWS = 50
_KEYS = np.arange(_ROWS * BANDS, dtype=np.uint32).reshape(_ROWS, BANDS)


class _Pages:
    """Prints in pages of seven rows."""

    def iter_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        table = pa.table(list(np.ascontiguousarray(_KEYS.T)), names=BAND_COLUMNS).select(columns or BAND_COLUMNS)
        for row in range(0, _ROWS, 7):
            yield table.slice(row, 7)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=_ROWS, max_size=_ROWS), st.lists(st.integers(0, 20), max_size=6))
def test_rows_of_compared_documents_come_in_order_as_many_as_are_asked_for(
    compared: list[bool], portions: list[int]
) -> None:
    is_compared = np.array(compared)
    rows = KeyRows(_Pages(), is_compared, BAND_COLUMNS)
    left = _KEYS[is_compared].tolist()
    for portion in portions:
        taken = rows.take(min(portion, len(left))).tolist()
        assert taken == left[: len(taken)]
        left = left[len(taken) :]


def test_one_band_is_one_column() -> None:
    is_compared = np.arange(_ROWS) % 3 == 0
    pages = list(iter_key_rows(_Pages(), is_compared, ["band_05"]))
    assert np.concatenate(pages).tolist() == _KEYS[is_compared, 5:6].tolist()


def test_without_bands_rows_are_empty_and_nothing_is_read() -> None:
    assert KeyRows(_Pages(), np.ones(_ROWS, np.bool_), ()).take(2 * _ROWS).shape == (2 * _ROWS, 0)

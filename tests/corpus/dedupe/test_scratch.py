"""Values in a temporary file that has no name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from airflow_provider_autoglm.corpus.dedupe.scratch import ScratchArray


def _read(array: ScratchArray[np.uint32], *runs: tuple[int, int]) -> list[int]:
    starts, sizes = np.array(runs, np.int64).reshape(-1, 2).T
    return array.read(starts.copy(), sizes.copy()).tolist()


def test_runs_of_values_come_back_in_the_order_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    array = ScratchArray(np.uint32, "test")
    for start in range(0, 100_000, 10_000):
        array.append(np.arange(start, start + 10_000, dtype=np.uint32))
        assert _read(array, (start + 9_999, 1)) == [start + 9_999], "what was added last is read too"
    assert array.size == 100_000
    assert _read(array, (70_000, 2), (9_999, 3), (5, 0), (0, 1)) == [70_000, 70_001, 9_999, 10_000, 10_001, 0]
    assert _read(array) == []
    assert os.listdir(tmp_path) == []


def test_what_is_not_there_is_an_error_and_no_value() -> None:
    array = ScratchArray(np.uint32, "test")
    array.append(np.arange(3, dtype=np.uint32))
    with pytest.raises(OSError, match="temporary file"):
        _read(array, (2, 2))

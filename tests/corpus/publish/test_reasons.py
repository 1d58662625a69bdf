"""Reasons that a version is given later: whole records alone count."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_autoglm.corpus.publish.reasons import add_reasons, added_reasons
from airflow_provider_autoglm.corpus.storage import UNFINISHED_PREFIX, Storage


def test_what_a_killed_run_has_begun_to_write_is_passed_over(tmp_path: Path) -> None:
    storage = Storage.local()
    add_reasons(str(tmp_path), 1, ("drift",), added_by="dataset/1", storage=storage)
    (tmp_path / "v1" / f"{UNFINISHED_PREFIX}0123456789abcdef").write_bytes(b'{"reas')
    assert added_reasons(str(tmp_path), 1, storage) == ("drift",)

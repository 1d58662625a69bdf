"""The first task of a DAG run, judged by what the other tasks get."""

from __future__ import annotations

import pytest

from airflow_provider_autoglm.operators.run import folder_name


@pytest.mark.parametrize("run_id", ["manual__2026-11-22T00:09:45.580700+00:00", "nightly_1", "v1.2"])
def test_a_run_id_is_the_name_of_its_folder_where_it_can_be(run_id: str) -> None:
    assert folder_name(run_id) == run_id


def test_run_ids_that_can_name_no_folder_get_one_each() -> None:
    names = {folder_name(run_id) for run_id in ("a_b", "a b", "a~b", "a/b", "a#b", ".", "_", "运行", "跑步")}

    assert len(names) == 9
    assert not any(name.startswith(".") or set(name) & set("/#~ ") for name in names)

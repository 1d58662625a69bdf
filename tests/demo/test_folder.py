from __future__ import annotations

from pathlib import Path

import pytest

from demo.folder import FolderInUseError, claim


def test_a_new_demo_starts_with_an_empty_folder(tmp_path: Path) -> None:
    with claim(tmp_path / "demo"):
        (tmp_path / "demo" / "summary.json").write_text("{}")
        (tmp_path / "demo" / "airflow").mkdir()
    with claim(tmp_path / "demo"):
        assert [entry.name for entry in (tmp_path / "demo").iterdir()] == [".autoglm-demo"]


def test_a_folder_with_files_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.tex"
    precious.write_text("years of work")
    with pytest.raises(FolderInUseError, match="not the demo's; set DEMO_DIR"):
        claim(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [precious.name]


def test_a_second_demo_in_the_same_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with claim(tmp_path):
        (tmp_path / "airflow").mkdir()
        with pytest.raises(FolderInUseError, match="another demo is running"):
            claim(tmp_path)
        assert (tmp_path / "airflow").exists()

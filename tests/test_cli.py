"""``airflow autoglm``: the templates copied into a deployment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.usefixtures("measured_children")


def autoglm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow", "autoglm", *arguments], check=False, capture_output=True, text=True
    )


def test_copy_dags_drops_the_templates_and_keeps_changed_ones(tmp_path: Path) -> None:
    dags = tmp_path / "deployment" / "dags"
    first = autoglm("copy-dags", str(dags))
    assert first.returncode == 0, first.stderr
    assert (dags / "dataset.py").read_bytes() == (REPOSITORY / "dags" / "dataset.py").read_bytes()

    (dags / "dataset.py").write_text("# mine\n")
    again = autoglm("copy-dags", str(dags))
    assert again.returncode == 1
    assert "kept" in again.stdout
    assert (dags / "dataset.py").read_text() == "# mine\n"

    assert autoglm("copy-dags", "--overwrite", str(dags)).returncode == 0
    assert (dags / "dataset.py").read_bytes() == (REPOSITORY / "dags" / "dataset.py").read_bytes()


def test_gc_of_a_pipeline_that_is_not_there_says_so(tmp_path: Path) -> None:
    done = autoglm("gc", "nosuch", "--root", str(tmp_path))
    assert done.returncode == 1
    assert "there is no pipeline at" in done.stderr


def test_gc_names_a_damaged_record_and_goes_on(airflow_home: Path, tmp_path: Path) -> None:
    records = tmp_path / "news" / "state" / "unlogged_runs"
    records.mkdir(parents=True)
    (records / "broken.json").write_text("{")
    done = autoglm("gc", "news", "--root", str(tmp_path))
    assert done.returncode == 1
    damaged, *_, last = done.stdout.splitlines()
    assert damaged == f"damaged {(records / 'broken.json').as_uri()} (no record of a run; delete it)"
    assert last == "0 runs logged, 0 waiting for MLflow, 0 files deleted"

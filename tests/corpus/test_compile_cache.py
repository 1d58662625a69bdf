"""Where compiled kernels are kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_COMPILE_WITH = """
import logging, sys
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
import numba
from airflow_provider_autoglm.corpus.compile_cache import set_cache_directory
if sys.argv[1]:
    set_cache_directory(sys.argv[1])
from airflow_provider_autoglm.corpus.dedupe.neighbours import pairs_within
import numpy as np
print(pairs_within(np.array([1, 3, 2**60], np.uint64), 1), repr(numba.config.CACHE_DIR))
"""


def _compile(directory: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _COMPILE_WITH, directory],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_kernels_are_kept_in_the_directory_that_was_set_and_only_there(tmp_path: Path) -> None:
    chosen, default = tmp_path / "chosen", tmp_path / "default"
    run = _compile(str(chosen), XDG_CACHE_HOME=str(default))
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Pairs(i=array([0]), j=array([1]), hamming=array([1]")
    assert run.stdout.endswith("''\n"), "numba's own setting is put back"
    assert list(chosen.rglob("*.nbi"))
    assert not default.exists()
    assert chosen.stat().st_mode & 0o077 == 0, "nobody else may write what is executed"


def test_without_a_directory_kernels_go_to_the_users_cache(tmp_path: Path) -> None:
    run = _compile("", XDG_CACHE_HOME=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert list((tmp_path / "airflow-provider-autoglm").rglob("*.nbi"))


def test_a_directory_that_cannot_be_made_costs_one_warning_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    run = _compile(str(tmp_path / "file" / "cache"))
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Pairs(i=array([0]), j=array([1]), hamming=array([1]")
    assert run.stderr.count("WARNING") == 1
    assert "set [autoglm] cache_dir" in run.stderr


def test_kernels_that_numba_finds_no_place_for_cost_one_warning_and_no_error(tmp_path: Path) -> None:
    module, cache = tmp_path / "site-packages" / "doubling.py", tmp_path / "cache"
    module.parent.mkdir()
    module.write_text(
        "import sys\n"
        "from airflow_provider_autoglm.corpus.compile_cache import kernel, set_cache_directory\n"
        "set_cache_directory(sys.argv[1])\n"
        "@kernel\ndef double(x: int) -> int:\n    return 2 * x\n"
        "@kernel\ndef again(x: int) -> int:\n    return double(double(x))\n"
        "print(again(3))\n"
    )
    command = [sys.executable, str(module), str(cache)]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (first.stdout, first.stderr) == ("12\n", "")
    (place,) = cache.iterdir()
    shutil.rmtree(place)
    for in_the_way in (place, module.parent / "__pycache__", tmp_path / "home"):
        in_the_way.write_text("no folder can be made here")
    second = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "home")},
    )
    assert second.stdout == "12\n"
    assert second.stderr.count("cannot keep compiled kernels") == 1


_COMPILE_ONE = """
import logging, sys
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
from airflow_provider_autoglm.corpus.compile_cache import set_cache_directory
set_cache_directory(sys.argv[1])
from airflow_provider_autoglm.corpus.dedupe.minhash import band_groups
import numpy as np
print(band_groups(np.array([7, 7, 1], np.uint32)).members.tolist())
"""


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_files_of_the_cache_cost_one_warning_and_are_written_again(tmp_path: Path, suffix: str) -> None:
    command = [sys.executable, "-c", _COMPILE_ONE, str(tmp_path)]
    runs = []
    for _ in range(3):
        runs.append(subprocess.run(command, capture_output=True, text=True, check=True))
        if len(runs) == 1:
            for file in tmp_path.rglob(f"*{suffix}"):
                file.write_bytes(file.read_bytes()[:20] if suffix == ".nbc" else b"")
    assert [run.stdout for run in runs] == ["[0, 1]\n"] * 3
    assert [run.stderr.count("cannot keep compiled kernels") for run in runs] == [0, 1, 0]


def test_a_cache_that_cannot_take_more_costs_one_warning_and_no_error(tmp_path: Path) -> None:
    limited = ["bash", "-c", 'ulimit -f 1; exec "$@"', "-", sys.executable, "-c", _COMPILE_ONE, str(tmp_path)]
    run = subprocess.run(
        limited, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert run.stdout == "[0, 1]\n"
    assert run.stderr.count("cannot keep compiled kernels") == 1


def test_importing_the_stage_loads_no_kernel() -> None:
    code = "import sys, airflow_provider_autoglm.corpus.dedupe; print('numba' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"

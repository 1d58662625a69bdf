"""The command that makes .env."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from cryptography.fernet import Fernet

from tests.compose.composed import make_env, read_env
from tests.conftest import REPOSITORY


def test_the_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    before = os.umask(0)
    try:
        make_env(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=in-use\n")
    done = subprocess.run(
        [sys.executable, REPOSITORY / "compose/make_env.py", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "is there already and was left as it is" in done.stderr
    assert file.read_text() == "POSTGRES_PASSWORD=in-use\n"
    assert list(tmp_path.iterdir()) == [file]


def test_every_secret_is_a_new_one_and_none_is_printed(tmp_path: Path) -> None:
    command = [sys.executable, REPOSITORY / "compose/make_env.py"]
    said = [subprocess.run([*command, tmp_path / name], capture_output=True, check=True).stdout for name in "ab"]
    values = [*read_env(tmp_path / "a").values(), *read_env(tmp_path / "b").values()]
    assert len(set(values)) == len(values)
    assert not any(value.encode() in output for value in values for output in said)


def test_keys_are_what_airflow_takes(tmp_path: Path) -> None:
    made = make_env(tmp_path / ".env")
    Fernet(made["AIRFLOW_FERNET_KEY"])
    assert len(made["AIRFLOW_JWT_SECRET"]) >= 64


def test_passwords_can_stand_in_a_url(tmp_path: Path) -> None:
    made = make_env(tmp_path / ".env")
    assert all(made[name].isalnum() for name in made if name.endswith("_PASSWORD"))

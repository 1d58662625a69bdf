"""Secrets as the documented command makes them, and the compose file read with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import Processes
from tests.compose.composed import Composed, compose, make_env
from tests.compose.native import Native


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("compose") / ".env"
    make_env(file)
    return file


@pytest.fixture(scope="module")
def composed(env_file: Path) -> Composed:
    return compose(env_file)


@pytest.fixture
def native(composed: Composed, tmp_path: Path) -> Native:
    return Native(composed, tmp_path / "root")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs") as started:
        yield started

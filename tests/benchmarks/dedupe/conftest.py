"""Real texts without a download: the docstrings of a part of the standard library."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from benchmarks.dedupe.paragraphs import of_docstrings, readable


@pytest.fixture(scope="package")
def files() -> list[list[str]]:
    """The readable paragraphs of some modules, module by module."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-d]*.py"))
    return [list(readable(of_docstrings(path.read_text()))) for path in modules]

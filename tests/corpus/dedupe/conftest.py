"""Kernels that are compiled before the first test."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package", autouse=True)
def kernels(compiled_kernels: None) -> None:
    """All tests of the stage need them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import DedupeSettings


@pytest.mark.parametrize(
    ("similarity", "bits"), [(1, 0), (0.99, 0), (0.984375, 1), (0.95, 3), (0.9, 6), (0.85, 9), (0.8, 12), (0.75, 16)]
)
def test_the_similarity_says_how_many_of_64_bits_may_differ(similarity: float, bits: int) -> None:
    assert DedupeSettings(similarity=similarity).max_hamming == bits


def test_nine_bits_of_two_fingerprints_may_differ_by_default() -> None:
    assert DedupeSettings().max_hamming == 9


@pytest.mark.parametrize(
    "value", [{"keep": "column"}, {"keep_column": "views"}, {"keep": "earliest", "keep_column": "x"}]
)
def test_the_column_to_keep_by_is_named_with_the_rule_that_needs_it_and_with_no_other(value: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="keep_column goes with keep = 'column', and is needed for it"):
        DedupeSettings.parse(value, path="autoglm_default.dedupe")


def test_documents_are_kept_by_a_column_that_is_named() -> None:
    settings = DedupeSettings.parse({"keep": "column", "keep_column": "views"}, path="dedupe")

    assert (settings.keep, settings.keep_column) == ("column", "views")

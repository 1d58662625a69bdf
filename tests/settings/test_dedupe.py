from __future__ import annotations

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import DedupeSettings, PipelineSettings


@pytest.mark.parametrize(
    ("similarity", "bits"), [(1, 0), (0.99, 0), (0.984375, 1), (0.95, 3), (0.9, 6), (0.85, 9), (0.8, 12), (0.75, 16)]
)
def test_the_similarity_says_how_many_of_64_bits_may_differ(similarity: float, bits: int) -> None:
    assert DedupeSettings(similarity=similarity).max_hamming == bits


def test_nine_bits_of_two_fingerprints_may_differ_by_default() -> None:
    assert DedupeSettings().max_hamming == 9


def test_the_rule_that_needs_a_column_asks_for_it() -> None:
    with pytest.raises(SettingsError, match="keep = 'column' needs keep_column"):
        DedupeSettings.parse({"keep": "column"}, path="autoglm_default.dedupe")


@pytest.mark.parametrize("keep", ["longest", "earliest"])
def test_a_column_that_is_not_used_may_stay_for_another_run(keep: str) -> None:
    assert DedupeSettings.parse({"keep": keep, "keep_column": "views"}, path="dedupe").keep == keep


def test_documents_are_kept_by_a_column_that_is_named() -> None:
    settings = DedupeSettings.parse({"keep": "column", "keep_column": "views"}, path="dedupe")

    assert (settings.keep, settings.keep_column) == ("column", "views")


def test_what_is_wrong_with_several_keys_together_names_the_stage_alone() -> None:
    with pytest.raises(SettingsError) as error:
        PipelineSettings.parse(
            {"sources": ["https://a.example/"], "labels": ["a", "b"], "dedupe": {"keep": "column"}}, path="autoglm_news"
        )
    assert "autoglm_news.dedupe: keep = 'column' needs keep_column" in str(error.value)

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, create_model

from airflow_provider_autoglm.settings import DedupeSettings, PipelineSettings
from airflow_provider_autoglm.settings.reference import main, render


def test_the_reference_is_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_an_outdated_or_missing_reference_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "reference" / "settings.md"
    assert main(["--check"], page) == 1

    assert main([], page) == 0
    assert main(["--check"], page) == 0

    page.write_text(page.read_text().replace("min_jaccard", "least_jaccard"))
    assert main(["--check"], page) == 1
    assert "out of date; run: make docs" in capsys.readouterr().err


def test_every_key_has_a_row_with_type_default_and_limits() -> None:
    page = render()

    assert "| `dedupe.similarity` | float | `0.85` | ≥ 0.75, ≤ 1 | Share of equal bits" in page
    assert "| `sources` | list of Source | required | length ≥ 1 |" in page
    assert "| `publish.window_days` | int or null | `null` | " in page
    assert "| `crawl.max_page_bytes` | int | `10485760` | ≥ 1 024, ≤ 1 073 741 824 |" in page
    assert "AIRFLOW__AUTOGLM__" in page
    for name in DedupeSettings.model_fields:
        assert page.count(f"`dedupe.{name}`") == 1


def test_the_reference_changes_with_a_field() -> None:
    stricter = create_model(
        "DedupeSettings",
        __base__=DedupeSettings,
        __doc__="Stricter.",
        similarity=(float, Field(default=0.9, ge=0.8, le=1, description="Share | at least.")),
    )
    pipeline = create_model(
        "PipelineSettings", __base__=PipelineSettings, __doc__="Another.", dedupe=(stricter, stricter())
    )

    assert "| `dedupe.similarity` | float | `0.9` | ≥ 0.8, ≤ 1 | Share \\| at least. |" in render(pipeline)
    assert "| `dedupe.similarity` | float | `0.9`" not in render()

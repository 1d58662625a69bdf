from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import PipelineSettings, PublishSettings, RunReference

VARIABLE: dict[str, Any] = {
    "sources": ["https://example.org:8443/docs", "/data/texts.parquet"],
    "labels": [{"name": "sport", "phrases": ["a match", "a team"]}, {"name": "science"}],
    "crawl": {"contact": "crawl@example.org"},
}


def refused(value: dict[str, Any], model: Any = PipelineSettings) -> str:
    with pytest.raises(SettingsError) as raised:
        model.parse(value, path="here")
    return str(raised.value)


def test_label_names_must_differ() -> None:
    labels = [{"name": "b"}, {"name": "a"}, {"name": "b"}, {"name": "a"}, {"name": "c"}]

    assert "here.labels" in refused({**VARIABLE, "labels": labels})
    assert "label names must differ; repeated: a, b" in refused({**VARIABLE, "labels": labels})


def test_a_text_is_an_example_of_one_label() -> None:
    labels = [{"name": "sport", "examples": ["A match."]}, {"name": "science", "examples": ["A cell.", "A match."]}]

    message = refused({**VARIABLE, "labels": labels})

    assert "here.labels" in message
    assert "text 0 of the examples of 'sport' is text 1 of those of 'science'" in message


@pytest.mark.parametrize("elsewhere", [{"label": {"labels": [{"name": "x"}]}}, {"publish": {"labels": ["x"]}}])
def test_labels_stand_in_one_place(elsewhere: dict[str, Any]) -> None:
    assert "set the classes under the key labels" in refused({**VARIABLE, **elsewhere})


def test_effective_settings_are_what_the_stages_take() -> None:
    effective = PipelineSettings.parse(VARIABLE).effective(root="file:///data")

    assert effective.root == "file:///data"
    assert effective.label.labels == effective.labels
    assert effective.publish.labels == ("sport", "science")
    assert PipelineSettings.parse({**VARIABLE, "root": "s3://own"}).effective(root="file:///data").root == "s3://own"


def test_the_shares_of_test_and_validation_leave_something_for_train() -> None:
    message = refused({"test_fraction": 0.5, "validation_fraction": 0.5}, PublishSettings)

    assert "test_fraction and validation_fraction together must be below 1" in message


def test_a_run_knows_where_its_stages_write() -> None:
    run = RunReference(pipeline="news", dag_id="d", run_id="r", root="file:///data", folder="file:///data/news/runs/r")

    assert run.destination("clean") == "file:///data/news/runs/r/clean"
    assert run.datasets == "file:///data/news/datasets"


def test_with_a_window_unchanged_pages_are_emitted_since_they_would_fall_out_of_it() -> None:
    assert not PipelineSettings.parse(VARIABLE).effective(root="/data").crawl.emit_unchanged
    windowed = PipelineSettings.parse({**VARIABLE, "publish": {"window_days": 30}})
    assert windowed.effective(root="/data").crawl.emit_unchanged


def test_without_a_contact_no_site_is_visited() -> None:
    assert "crawl.contact: required to visit web sites" in refused({**VARIABLE, "crawl": {}})
    only_files = {**VARIABLE, "crawl": {}, "sources": ["/data/texts.parquet"]}
    assert PipelineSettings.parse(only_files).crawl.contact == ""

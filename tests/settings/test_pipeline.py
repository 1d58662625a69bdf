from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import CleanSettings, PipelineSettings, PublishSettings, RunReference, Source

VARIABLE: dict[str, Any] = {
    "sources": ["https://example.org:8443/docs", "/data/texts.parquet"],
    "labels": [{"name": "sport", "phrases": ["a match", "a team"]}, {"name": "science"}],
}


def refused(value: dict[str, Any], model: Any = PipelineSettings) -> str:
    with pytest.raises(SettingsError) as raised:
        model.parse(value, path="here")
    return str(raised.value)


def test_a_bare_string_is_a_site_or_a_parquet_file() -> None:
    site, file = PipelineSettings.parse(VARIABLE).sources

    assert site.url == "https://example.org:8443/docs"
    assert file.parquet == "/data/texts.parquet"


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"url": "https://example.org:8443/docs"}, "example.org:8443"),
        ({"parquet": "s3://bucket/texts/"}, "texts"),
        ({"parquet": "/data/texts.parquet"}, "texts.parquet"),
        ({"parquet": "/data/texts.parquet", "name": "news"}, "news"),
    ],
)
def test_the_source_column_holds_name_host_or_file(source: dict[str, str], key: str) -> None:
    assert Source.parse(source).key == key


@pytest.mark.parametrize("source", [{}, {"url": "https://a.org", "parquet": "/x"}])
def test_a_source_is_a_site_or_a_file_and_not_both(source: dict[str, str]) -> None:
    assert "set exactly one of url and parquet" in refused({**VARIABLE, "sources": [source]})


@pytest.mark.parametrize("url", ["ftp://example.org", "https://", "example.org"])
def test_only_web_addresses_are_crawled(url: str) -> None:
    assert "must be an http:// or https:// address" in refused({**VARIABLE, "sources": [{"url": url}]})


@pytest.mark.parametrize("source", ["example.org", "texts/a.parquet", {"parquet": "a.parquet"}])
def test_a_source_that_is_neither_address_nor_absolute_path_is_refused(source: Any) -> None:
    message = refused({**VARIABLE, "sources": [source]})

    assert "here.sources.0.parquet" in message
    assert "must be a URI or an absolute path; the address of a web site begins with https://" in message


def test_label_names_must_differ() -> None:
    labels = [{"name": "b"}, {"name": "a"}, {"name": "b"}, {"name": "a"}, {"name": "c"}]

    assert "here.labels" in refused({**VARIABLE, "labels": labels})
    assert "label names must differ; repeated: a, b" in refused({**VARIABLE, "labels": labels})


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


def test_lengths_must_be_in_order() -> None:
    assert "max_chars (10) must be at least min_chars (100)" in refused(
        {"min_chars": 100, "max_chars": 10}, CleanSettings
    )


@pytest.mark.parametrize("pattern", ["(?=ahead)", "(?<!behind)x", r"\u00e9", "(open", r"(a)\1"])
@pytest.mark.parametrize("rules", ["reject", "replace"])
def test_a_pattern_that_re2_cannot_read_is_refused_with_its_rule(rules: str, pattern: str) -> None:
    message = refused({rules: [{"name": "fine", "pattern": "x"}, {"name": "odd", "pattern": pattern}]}, CleanSettings)

    assert f"here.{rules}.1" in message
    assert f"rule 'odd': {pattern!r} is no RE2 pattern (no lookaround, no \\uXXXX)" in message


@pytest.mark.parametrize("replacement", [r"\2", r"\x"])
def test_a_replacement_that_does_not_fit_its_pattern_is_refused(replacement: str) -> None:
    message = refused({"replace": [{"name": "odd", "pattern": "(a)", "replacement": replacement}]}, CleanSettings)

    assert f"rule 'odd': the replacement {replacement!r} does not fit" in message


def test_a_run_knows_where_its_stages_write() -> None:
    run = RunReference(pipeline="news", dag_id="d", run_id="r", root="file:///data", folder="file:///data/news/runs/r")

    assert run.destination("clean") == "file:///data/news/runs/r/clean"
    assert run.datasets == "file:///data/news/datasets"

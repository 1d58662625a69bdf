from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import PipelineSettings, Source

LABELS = [{"name": "sport"}, {"name": "science"}]


def refused(source: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        PipelineSettings.parse({"sources": [source], "labels": LABELS}, path="here")
    return str(raised.value)


def test_a_bare_string_is_a_site_or_files() -> None:
    site, files = Source.parse("https://example.org:8443/docs"), Source.parse("/data/*.csv.gz")  # type: ignore[arg-type]

    assert (site.url, site.is_web, site.location) == ("https://example.org:8443/docs", True, site.url)
    assert (files.files, files.is_web, files.location) == ("/data/*.csv.gz", False, files.files)


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"url": "https://example.org:8443/docs"}, "example.org:8443"),
        ({"sitemap": "https://example.org/sitemap.xml"}, "example.org"),
        ({"feed": "https://example.org/feed"}, "example.org"),
        ({"files": "s3://bucket/texts/"}, "texts"),
        ({"files": "/data/texts.parquet"}, "texts.parquet"),
        ({"dataset": "/data/pets", "split": "train"}, "pets"),
        ({"files": "/data/texts.parquet", "name": "news"}, "news"),
    ],
)
def test_the_source_column_holds_name_host_or_file(source: dict[str, str], key: str) -> None:
    assert Source.parse(source).key == key


@pytest.mark.parametrize(
    "source", [{}, {"url": "https://a.org", "files": "/x"}, {"feed": "https://a.org", "dataset": "/x"}]
)
def test_a_source_is_of_exactly_one_kind(source: dict[str, str]) -> None:
    assert "here.sources.0: set exactly one of url, sitemap, feed, files and dataset" in refused(source)


@pytest.mark.parametrize("kind", ["url", "sitemap", "feed"])
@pytest.mark.parametrize("address", ["ftp://example.org", "https://", "example.org"])
def test_only_web_addresses_are_crawled(kind: str, address: str) -> None:
    message = refused({kind: address})

    assert f"here.sources.0.{kind} = '{address}': must be an http:// or https:// address with a host" in message


@pytest.mark.parametrize(
    ("source", "kind"),
    [("example.org", "files"), ("a/b.csv", "files"), ({"files": "a.csv"}, "files"), ({"dataset": "pets"}, "dataset")],
)
def test_a_source_that_is_neither_address_nor_absolute_path_is_refused(source: Any, kind: str) -> None:
    message = refused(source)

    assert f"here.sources.0.{kind}" in message
    assert "must be a URI or an absolute path; the address of a web site begins with https://" in message


@pytest.mark.parametrize(
    "source",
    [
        {"url": "https://me:marked-secret@a.org/"},
        {"sitemap": "https://me:marked-secret@a.org/"},
        {"files": "s3://key:marked-secret@bucket/a.csv"},
        {"dataset": "s3://key:marked-secret@bucket/a"},
    ],
)
def test_credentials_are_refused_and_not_repeated(source: dict[str, str]) -> None:
    message = refused(source)

    assert "carries credentials" in message
    assert "marked-secret" not in message


@pytest.mark.parametrize("name", ["utf8", "cp1252", "GB18030", "shift_jis", "utf-16"])
def test_any_text_codec_of_python_may_be_an_encoding(name: str) -> None:
    assert Source.parse({"files": "/a.csv", "encoding": name}).encoding == name


@pytest.mark.parametrize("name", ["utf-88", "rot13", "base64"])
def test_an_encoding_that_is_none_is_refused(name: str) -> None:
    assert f"encoding = '{name}': must be a text codec of Python" in refused({"files": "/a.csv", "encoding": name})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"url": "https://a.org", "fields": {"text": "x"}},
            "fields belongs to a source with files or dataset, not with url",
        ),
        ({"dataset": "/a", "format": "csv"}, "format belongs to a source with files, not with dataset"),
        ({"files": "/a.csv", "split": "train"}, "split belongs to a source with dataset, not with files"),
        (
            {"feed": "https://a.org", "conn_id": "s3"},
            "conn_id belongs to a source with files or dataset, not with feed",
        ),
        ({"files": "/a.csv", "fields": {"title": "x"}}, "here.sources.0.fields: must say where the column text is"),
        ({"files": "/a.csv", "fields": {"text": ""}}, "sources.0.fields: a column and its place must not be empty"),
        ({"files": "/a.csv", "delimiter": "::"}, "delimiter = '::': string should have at most 1 character"),
        ({"files": "/a.csv", "format": "excel"}, "format = 'excel': input should be 'parquet', 'arrow', 'csv'"),
        ({"parquet": "/a.parquet"}, "here.sources.0.parquet: unknown key"),
    ],
)
def test_a_key_that_means_nothing_here_is_refused(source: dict[str, Any], message: str) -> None:
    assert message in refused(source)


def test_what_a_source_was_dumped_to_is_the_same_source_again() -> None:
    source = Source.parse({"files": "/a.json", "fields": {"text": "a.b"}, "records": "items", "name": "x"})

    assert Source.parse(source.model_dump(mode="json")) == source
    assert Source.parse(source.model_dump(mode="json", exclude_defaults=True)) == source

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_autoglm.exceptions import SettingsError, UnsafeUriError
from airflow_provider_autoglm.settings import DedupeSettings, PipelineSettings, PublishSettings, Settings
from airflow_provider_autoglm.settings.base import model_at, redact_userinfo, refuse_userinfo
from airflow_provider_autoglm.settings.tracking import TrackingSettings

VARIABLE: dict[str, Any] = {
    "sources": ["https://example.org"],
    "labels": [{"name": "sport", "phrases": ["a match"]}, {"name": "science"}],
    "crawl": {"contact": "crawl@example.org"},
}
SECRET = "hunter2-AKIAIOSFODNN7"


def problems_of(value: Any, model: type[Settings] = PipelineSettings, path: str = "autoglm_default") -> list[str]:
    with pytest.raises(SettingsError) as raised:
        model.parse(value, path=path)
    assert not raised.value.retry_can_help
    assert all(problem in str(raised.value) for problem in raised.value.problems)
    return raised.value.problems


def test_an_unknown_key_is_named_with_its_path_and_the_nearest_key() -> None:
    (problem,) = problems_of({**VARIABLE, "dedupe": {"similarty": 0.9}})

    assert problem == "autoglm_default.dedupe.similarty: unknown key; did you mean 'similarity'?"


def test_an_unknown_key_of_a_list_item_is_named_with_its_place() -> None:
    (problem,) = problems_of(
        {**VARIABLE, "sources": ["https://a.org", {"ulr": "https://b.org", "url": "https://b.org"}]}
    )

    assert problem == "autoglm_default.sources.1.ulr: unknown key; did you mean 'url'?"


def test_an_unknown_key_like_no_other_gets_the_list_of_known_keys() -> None:
    (problem,) = problems_of({"zzz": 1}, TrackingSettings, path="")

    assert problem == "zzz: unknown key; known keys: conn_id, experiment, required"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"similarity": 85}, "similarity = 85: input should be less than or equal to 1"),
        ({"similarity": 0.5}, "similarity = 0.5: input should be greater than or equal to 0.75"),
        ({"method": "simhsh"}, "method = 'simhsh': input should be 'simhash', 'minhash' or 'both'"),
        (
            {"window_days": 2.5},
            "window_days = 2.5: input should be a valid integer, got a number with a fractional part",
        ),
        ({"min_jaccard": float("nan")}, "min_jaccard = nan: input should be less than or equal to 1"),
        (
            {"min_jaccard": "high"},
            "min_jaccard = 'high': input should be a valid number, unable to parse string as a number",
        ),
    ],
)
def test_a_value_out_of_range_is_named_with_the_value_and_what_is_allowed(value: Any, problem: str) -> None:
    assert problems_of(value, DedupeSettings, path="dedupe") == [f"dedupe.{problem}"]


def test_all_problems_are_told_at_once() -> None:
    problems = problems_of({**VARIABLE, "dedupe": {"similarity": 99}, "clean": {"min_char": 3}, "root": 4})

    assert [problem.split(" ")[0].rstrip(":") for problem in problems] == [
        "autoglm_default.root",
        "autoglm_default.clean.min_char",
        "autoglm_default.dedupe.similarity",
    ]


def test_sources_and_labels_are_the_only_keys_that_must_be_set() -> None:
    assert problems_of({}) == [
        "autoglm_default.sources: required and not set",
        "autoglm_default.labels: required and not set",
    ]
    assert PipelineSettings.parse(VARIABLE).crawl.max_pages == 10_000


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sources", [], "a list of 0: list should have at least 1 item"),
        ("labels", [{"name": "one"}], "a list of 1: list should have at least 2 items"),
        ("labels", {"name": "one"}, "an object: input should be a valid list"),
        ("labels", 7, "7: input should be a valid list"),
    ],
)
def test_a_list_of_the_wrong_shape_is_told_by_its_shape(key: str, value: Any, message: str) -> None:
    (problem,) = problems_of({**VARIABLE, key: value})

    assert problem.startswith(f"autoglm_default.{key} = {message}")


def test_a_refused_item_is_the_only_problem_of_its_list() -> None:
    (problem,) = problems_of({**VARIABLE, "sources": ["ftp://example.org", {"url": "ftp://example.org"}]})

    assert problem == (
        "autoglm_default.sources.1.url = 'ftp://example.org': must be an http:// or https:// address with a host"
    )


def test_a_variable_that_is_no_object_is_refused_without_showing_it() -> None:
    (problem,) = problems_of(SECRET)

    assert problem.startswith("autoglm_default: input should be a valid dictionary")
    assert problems_of("text", path="")[0].startswith("settings: ")


@pytest.mark.parametrize(
    "value",
    [
        {**VARIABLE, "password": SECRET},
        {**VARIABLE, "crawl": {"auth": {"token": SECRET}}},
        {**VARIABLE, "sources": [{"url": "https://example.org", "password": SECRET}]},
        {**VARIABLE, "sources": {"url": "https://example.org", "password": SECRET}},
        {**VARIABLE, "labels": {"name": "one", "token": SECRET}},
        {**VARIABLE, "labels": [{"name": "one", "token": SECRET}]},
        {**VARIABLE, "crawl": [{"token": SECRET}]},
        {**VARIABLE, "sources": [f"https://me:{SECRET}@example.org/"]},
        {**VARIABLE, "sources": [{"files": f"s3://key:{SECRET}@bucket/x"}]},
        {**VARIABLE, "sources": [{"url": f"https://me:p@{SECRET}@example.org/"}]},
        {**VARIABLE, "root": f"s3://key:with/slash/{SECRET}@bucket"},
        {**VARIABLE, "sources": [f"https://{SECRET}@example.org/", {"url": 1}]},
        {**VARIABLE, "sources": [f"user:{SECRET}@example.org"]},
    ],
)
def test_a_secret_in_the_wrong_place_is_never_shown(value: dict[str, Any]) -> None:
    assert SECRET not in "; ".join(problems_of(value))


def test_a_long_value_is_cut() -> None:
    (problem,) = problems_of({"title": "x" * 500}, PublishSettings, path="publish")

    assert len(problem) < 200
    assert "…" in problem


def test_a_model_is_accepted_as_it_is() -> None:
    settings = DedupeSettings(similarity=0.95)

    assert DedupeSettings.parse(settings) is settings


def test_settings_survive_json() -> None:
    settings = PipelineSettings.parse({**VARIABLE, "publish": {"window_days": 30}})

    assert PipelineSettings.parse(json.loads(settings.model_dump_json())) == settings


@pytest.mark.parametrize(
    ("uri", "redacted"),
    [
        ("https://me:secret@host/x", "https://***@host/x"),
        ("https://me@host", "https://***@host"),
        ("s3://key:se/cr/et@bucket/x", "s3://***@bucket/x"),
        ("https://me:p@ss@host/x", "https://***@host/x"),
        ("abfs+ssl://me:@host", "abfs+ssl://***@host"),
    ],
)
def test_credentials_in_a_uri_are_refused_and_blotted_out(uri: str, redacted: str) -> None:
    assert redact_userinfo(f"see {uri} there") == f"see {redacted} there"
    with pytest.raises(UnsafeUriError) as raised:
        refuse_userinfo(uri)
    assert raised.value.redacted_uri == redacted


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.org/@someone",
        "https://example.org:8443/a@b",
        "http://[::1]:8080/a@b",
        "https://example.org?to=a@b",
        "hdfs://name:8020/user@x",
        "file:///data/a@b",
        "/data/a:b@c",
    ],
)
def test_an_at_sign_elsewhere_is_no_credential(uri: str) -> None:
    assert refuse_userinfo(uri) == uri
    assert redact_userinfo(json.dumps([uri, "a@b"])) == json.dumps([uri, "a@b"])


def test_the_model_of_a_key_is_found_through_lists_and_nesting() -> None:
    assert model_at(PipelineSettings, ("dedupe", "similarity")) is DedupeSettings
    assert model_at(PipelineSettings, ("labels", 3, "name")).__name__ == "LabelDefinition"
    assert model_at(PipelineSettings, ("root", "deeper")) is PipelineSettings
